"""The counts of a published study, typed in as a table, give its figures: totals by electrode, and shares by class.

What the study printed are the totals by electrode of the first detector on HS18020, and the shares on INSP_044. How the
totals divide among classes, the second detector and the sixth cross-section are made up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import make, places, scan

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.reports.marked import write_plot
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.plot_parts import COUNT, PlotChoice
from microscope_qc.workflows.results.plots import make_plot

TABLE = Path(__file__).with_name("source_counts.csv")
ANODE, CATHODE = ("ACP", "AOP", "AFP", "AHS"), ("CFA", "CRP", "COP")
DETECTORS = ("SSD", "window classifier")
PRINTED = {"HS18020_46": (335, 75), "HS18020_45": (334, 70), "HS18020_48": (93, 48), "HS18020_47": (73, 74)}
PRINTED_SHARES = {"CRP": 48.9, "CFA": 33.3, "AHS": 8.6, "AFP": 4.9, "ACP": 3.2, "AOP": 1.1}


def read_counts() -> dict[tuple[str, str], dict[str, int]]:
    """Counts by cross-section and detector."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {
            (row.pop("cross_section"), row.pop("detector")): {code: int(count) for code, count in row.items()}
            for row in csv.DictReader(file)
        }


COUNTS = read_counts()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountedFindings]:
    """Slides with so many findings of each detector; what both found lies at the same place."""
    names = list(dict.fromkeys(name for name, _ in COUNTS))
    with make(tmp_path_factory.mktemp("source") / "study.mqc", slides=len(names)) as project:
        for slide, name in enumerate(names):
            project.slides.rename(project.slides[slide].id, name)
            for detector in DETECTORS:
                add(project, slide, detector, COUNTS[name, detector], COUNTS[name, DETECTORS[0]])
        yield run_job(count_findings([project]))


def add(project: Project, slide: int, detector: str, counts: dict[str, int], most: dict[str, int]) -> None:
    """A detection; the findings of a class begin at a place of their own."""
    begins = dict(zip(most, np.cumsum([0, *most.values()]).tolist(), strict=False))
    chosen = np.concatenate([begins[code] + np.arange(count) for code, count in counts.items()])
    corners = {name: side[chosen] for name, side in places(sum(most.values())).items()}
    class_ids = [project.classes.by_code(code).id for code, count in counts.items() for _ in range(count)]
    run = scan(project, slide, [*ANODE, *CATHODE], model=detector)
    project.runs.add_findings(run, make_rows(len(chosen), class_id=class_ids, confidence=0.9, **corners))


def test_the_table_is_what_the_study_printed() -> None:
    for name, printed in PRINTED.items():
        counts = COUNTS[name, "SSD"]
        assert (sum(counts[c] for c in ANODE), sum(counts[c] for c in CATHODE)) == printed
    assert len({name for name, _ in COUNTS}) == 6 and all(len(counts) == 7 for counts in COUNTS.values())


def test_two_detectors_stand_side_by_side_by_electrode(found: CountedFindings, tmp_path: Path) -> None:
    plot = make_plot(found, "totals", PlotChoice(detectors=DETECTORS, weight=COUNT))
    drawn = {(series.name, mark.at): mark.value for series in plot.series for mark in series.marks}
    expected = {
        (f"{group}, {detector}", name): sum(counts[code] for code in codes)
        for (name, detector), counts in COUNTS.items()
        for group, codes in (("Anode", ANODE), ("Cathode", CATHODE))
    }
    assert drawn == expected
    assert [series.pale for series in plot.series] == [False, False, True, True]
    for suffix in (".svg", ".png", ".pdf"):
        assert write_plot(plot, tmp_path / f"totals{suffix}").stat().st_size > 3000


def test_shares_of_the_classes_are_those_that_were_printed(found: CountedFindings, tmp_path: Path) -> None:
    plot = make_plot(found, "shares")
    of_name: dict[str, dict[str, float]] = {}
    for series in plot.series:
        for mark in series.marks:
            of_name.setdefault(mark.at, {})[series.name[:3]] = mark.value
    assert {code: round(value, 1) for code, value in of_name["INSP_044"].items()} == PRINTED_SHARES
    assert all(sum(values.values()) == pytest.approx(100) for values in of_name.values())
    for name, values in of_name.items():
        counts = {code: count for code, count in COUNTS[name, "SSD"].items() if count}
        assert values == pytest.approx({code: 100 * count / sum(counts.values()) for code, count in counts.items()})
    low, high = next(m.interval for s in plot.series if s.name[:3] == "CRP" for m in s.marks if m.at == "INSP_044")
    assert low < 48.9 < high and high - low == pytest.approx(10.5, abs=0.3), "Wilson, 170 of 348"
    assert write_plot(plot, tmp_path / "shares.svg").stat().st_size > 3000
