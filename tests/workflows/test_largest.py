"""The largest size expected, from sections and from fields of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouping_toys import MM2, SIDE, SIZE_UM, make, scan

from microscope_qc import api
from microscope_qc.analysis.largest import largest_expected
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.largest import SearchedArea, largest_found, why_not_e2283
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots import make_plot


def filled(path: Path, slides: int, seed: int = 0, count: int = 8) -> Project:
    """Slides with findings of 4 to 40 px, each in a column of its own."""
    project, rng = make(path, slides=slides), np.random.default_rng(seed)
    for slide in range(slides):
        side = rng.integers(4, 40, count)
        y, x = rng.integers(0, SIDE - 50, count), np.arange(count) * (SIDE // count)
        rows = make_rows(
            count, class_id=project.classes.by_code("ACP").id, confidence=0.9, y0=y, x0=x, y1=y + side, x1=x + 4
        )
        project.runs.add_findings(scan(project, slide), rows)
    return project


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Project]:
    with filled(tmp_path / "cell.mqc", 6) as project:
        yield project


def counted(project: Project) -> CountedFindings:
    return run_job(count_findings([project]))


def largest_of(project: Project) -> np.ndarray:
    """The longest kept finding of each slide, um."""
    rows = [project.boxes.rows(slide.id) for slide in project.slides]
    return np.array(
        [((one["y1"] - one["y0"])[one["state"] != ReviewState.REJECTED] * SIZE_UM).max() for one in rows], float
    )


def test_the_largest_of_each_section_counts(cells: Project) -> None:
    worst = cells.boxes.rows(cells.slides[0].id)
    longest = worst["id"][np.argmax(worst["y1"] - worst["y0"])]
    cells.boxes.edit(np.array([longest]), state=ReviewState.REJECTED, reason="false positive")
    found = largest_found(counted(cells), "ACP")
    each = [area["largest_um"] for area in found["each"]]
    assert each == pytest.approx(largest_of(cells))
    assert longest not in [area["finding"] for area in found["each"]]
    wanted = largest_expected(np.array(each), np.full(6, MM2), below_um=1.0)
    assert found["expected_um"] == pytest.approx(wanted.expected_um)
    assert found["interval"] == pytest.approx(wanted.interval)
    assert (found["area_mm2"], found["in_mm2"]) == pytest.approx((MM2, 1000 * MM2))
    assert found["design"] == "Gumbel, not E2283" and "6 areas of 4 mm2, of 0 named specimens" in found["why"]
    assert found["unjudged"] == 6
    cells.boxes.edit(np.array([found["each"][1]["finding"]]), state=ReviewState.CONFIRMED)
    assert largest_found(counted(cells), "ACP")["unjudged"] == 5


def test_the_design_of_the_standard_is_known() -> None:
    planes = [SearchedArea("steel", f"s{number}", f"S{number // 4}", 150.0) for number in range(24)]
    assert why_not_e2283(planes, None) is None
    assert "24 areas of 150 mm2, of 6 named specimens" in str(why_not_e2283([*planes[:-1], planes[0]], None))
    unnamed = [replace(area, specimen="") for area in planes]
    assert "of 0 named specimens" in str(why_not_e2283(unnamed, None))
    smaller = [*planes[:-1], replace(planes[-1], area_mm2=100.0)]
    assert "24 areas of 100 to 150 mm2" in str(why_not_e2283(smaller, None))
    assert "not fields" in str(why_not_e2283(planes, 150.0))


def test_a_section_is_cut_into_fields(tmp_path: Path) -> None:
    with filled(tmp_path / "one.mqc", 1, count=40) as project:
        found = counted(project)
        alone = largest_found(found)
        assert alone["expected_um"] is None
        assert alone["reason"].startswith("1 section with a finding says nothing") and "fields" in alone["reason"]
        fields = largest_found(found, fields_mm2=0.25)
        assert fields["areas"] == 16 and fields["empty"] == 16 - len(
            {area["finding"] for area in fields["each"]} - {None}
        )
        assert fields["area_mm2"] == pytest.approx(0.25)
        rows = project.boxes.rows(project.slides[0].id)
        cell = SIDE // 4
        place = (rows["y0"] + rows["y1"]) / 2 // cell * 4 + (rows["x0"] + rows["x1"]) / 2 // cell
        wanted = {
            int(mine["id"][np.argmax(mine["y1"] - mine["y0"])])
            for mine in (rows[place == number] for number in np.unique(place))
        }
        assert {area["finding"] for area in fields["each"]} - {None} == wanted
        sparse = largest_found(found, fields_mm2=0.01)
        assert sparse["expected_um"] is None and "Take larger fields" in sparse["reason"]
        with pytest.raises(InputError, match="too small"):
            largest_found(found, fields_mm2=1e-7)


def test_what_cannot_be_said_is_said(tmp_path: Path) -> None:
    with make(tmp_path / "empty.mqc", slides=6) as project:
        assert "Detect defects" in largest_found(counted(project))["reason"]
        alike = make_rows(1, class_id=project.classes.by_code("ACP").id, confidence=0.9, y0=5, x0=5, y1=15, x1=9)
        project.runs.add_findings(scan(project, 0), alike)
        for slide in range(1, 6):
            project.runs.add_findings(scan(project, slide), alike)
        assert "alike" in largest_found(counted(project))["reason"]


def test_an_area_that_is_not_larger_is_refused(cells: Project) -> None:
    with pytest.raises(InputError, match="not larger"):
        largest_found(counted(cells), in_mm2=5)
    plot = make_plot(counted(cells), "largest", PlotChoice(in_mm2=5))
    assert "not larger" in plot.why_not


def test_dots_are_the_largest_and_the_line_ends_in_what_is_expected(cells: Project) -> None:
    plot = make_plot(counted(cells), "largest", PlotChoice(of="ACP"))
    found = largest_found(counted(cells), "ACP")
    dots, (expected,) = (series.marks for series in plot.series)
    assert {int(mark.findings[0]) for mark in dots} == {area["finding"] for area in found["each"]}
    assert [mark.value for mark in dots] == sorted(largest_of(cells))
    assert expected.value == pytest.approx(found["expected_um"]) and expected.interval == tuple(found["interval"])
    assert plot.line[2:] == pytest.approx((expected.x, expected.value))


def test_command_and_script_say_the_same(cells: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(cells.path)
    cells.close()
    wanted = api.largest(path, of="ACP", in_mm2=400.0)
    assert main(["stats", path, "--largest", "ACP", "--in-mm2", "400", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["largest"]
    assert found["expected_um"] == pytest.approx(wanted.attrs["expected_um"]) and found["in_mm2"] == 400
    assert [area["largest_um"] for area in found["each"]] == pytest.approx(wanted["largest_um"].tolist())
    assert main(["stats", path, "--largest", "ACP"]) == 0
    said = capsys.readouterr().out
    assert "Largest size (ACP): On" in said and "one finding longer than" in said and "from the largest of 6" in said
    assert "Not by ASTM E2283" in said
    assert main(["stats", path, "--in-mm2", "400"]) != 0
