"""Means of what EDX measured, three elements against each other, and findings that are unlike the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import detect, make
from scipy.stats import t

from microscope_qc import api
from microscope_qc.analysis.outliers import unlike_others
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.reports.marked import picture, write_plot
from microscope_qc.reports.triangle import HEIGHT, place_in_triangle
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.plot_parts import CLASS_OF, PlotChoice
from microscope_qc.workflows.results.plots import make_plot
from microscope_qc.workflows.stage.edx import import_edx

BY_CLASS = PlotChoice(by=CLASS_OF)


def counted(project: Project) -> CountedFindings:
    return run_job(count_findings([project]))


def of_class(project: Project, code: str) -> list[int]:
    rows, number = project.boxes.rows(project.slides[0].id), project.classes.by_code(code).id
    return rows["id"][rows["class_id"] == number].tolist()


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Project]:
    """Six findings of one class with Ni around 30 at%, one of them with 60; two of another; one that is rejected."""
    with make(tmp_path / "cell.mqc", slides=2) as project:
        detect(project, 0, 30)
        detect(project, 1, 4, seed=1)
        six, two = of_class(project, "ACP")[:6], of_class(project, "AOP")[:2]
        lines = [(number, 40 - n, 30 + n, 20, 10) for n, number in enumerate(six[:5])]
        lines += [(six[5], 10, 60, 20, 10), (two[0], 60, 0, 0, 40), (two[1], 50, 0, 0, 50)]
        rejected = of_class(project, "COP")[0]
        lines += [(rejected, 0, 100, 0, 0)]
        project.boxes.edit(np.array([rejected]), state=ReviewState.REJECTED, reason="false positive")
        table = tmp_path / "edx.csv"
        table.write_text("\n".join(["id,O at%,Ni at%,Mn at%,Si at%", *(",".join(map(str, line)) for line in lines)]))
        run_job(import_edx(project, table))
        yield project


def test_bars_are_means_with_intervals_of_t(measured: Project, tmp_path: Path) -> None:
    plot = make_plot(counted(measured), "composition", BY_CLASS)
    assert list(plot.names) == ["ACP (n = 6)", "AOP (n = 2)"], "what is rejected or was not measured is left out"
    marks = {(series.name, mark.at): mark for _, series, mark in plot.marks()}
    nickel = np.array([30, 31, 32, 33, 34, 60.0])
    mark = marks["Ni", "ACP"]
    assert mark.value == pytest.approx(nickel.mean())
    reach = t.ppf(0.975, 5) * nickel.std(ddof=1) / np.sqrt(6)
    assert mark.interval == pytest.approx((nickel.mean() - reach, nickel.mean() + reach))
    assert mark.findings.tolist() == of_class(measured, "ACP")[:6] and "n = 6" in mark.tip and "at%" in mark.tip
    assert marks["Ni", "AOP"].value == 0 and marks["O", "AOP"].value == pytest.approx(55)
    assert sum(mark.value for (_, at), mark in marks.items() if at == "ACP") == pytest.approx(100)
    records = plot.records()
    assert {"series", "class", "mean, at%", "low", "high", "n"} == set(records[0])
    by_weight = make_plot(counted(measured), "composition", PlotChoice(by=CLASS_OF, unit="wt"))
    assert by_weight.y == "mean, wt%" and max(m.value for _, _, m in by_weight.marks()) != mark.value
    for suffix in (".svg", ".png", ".csv"):
        assert write_plot(plot, tmp_path / f"a{suffix}").stat().st_size > 100


def test_the_one_that_is_unlike_the_others_is_named_and_drawn(measured: Project) -> None:
    odd = of_class(measured, "ACP")[5]
    plot = make_plot(counted(measured), "composition", BY_CLASS)
    assert any(f"{odd} of ACP (O 10.0 instead of 37.5 at%)" in note for note in plot.notes)
    plot = make_plot(counted(measured), "ternary", PlotChoice(by=CLASS_OF, corners=("Ni", "Mn", "O")))
    (pale,) = (series for series in plot.series if series.pale)
    assert [mark.findings.tolist() for mark in pale.marks] == [[odd]] and "unlike" in pale.name
    assert unlike_others(np.array([[1.0], [1], [1], [9]]), least=1.0).tolist() == [-1] * 4, "four say too little"


def test_a_triangle_has_the_parts_of_three_elements(measured: Project, tmp_path: Path) -> None:
    plot = make_plot(counted(measured), "ternary", PlotChoice(by=CLASS_OF, corners=("Ni", "Mn", "O")))
    first = of_class(measured, "ACP")[0]
    record = next(one for one in plot.records() if one["finding"] == first)
    assert record == {"group": "ACP", "Ni": pytest.approx(100 / 3), "Mn": pytest.approx(200 / 9),
                      "O": pytest.approx(400 / 9), "finding": first}  # fmt: skip
    assert len(plot.records()) == 8
    assert place_in_triangle(0, 0) == pytest.approx((0.5, HEIGHT)) and place_in_triangle(50, 50)[1] == 0
    drawn = picture(plot, 700, 500)
    assert set(drawn.places) == {key for key, _, _ in plot.marks()}, "each dot can be clicked"
    silicon = make_plot(counted(measured), "ternary", PlotChoice(by=CLASS_OF, corners=("Ni", "Mn", "Co")))
    assert "2 findings without any of the three left out." in silicon.notes
    assert list(make_plot(counted(measured), "ternary", BY_CLASS).names) == ["O", "Ni", "Si"]


def test_bars_stand_for_batches_too(measured: Project) -> None:
    first, second = measured.slides
    measured.fields.set({first.id: {"batch": "B1", "producer": "P"}, second.id: {"batch": "B2"}})
    plot = make_plot(counted(measured), "composition", PlotChoice(by="batch"))
    assert list(plot.names) == ["B1 (n = 8)"] and plot.x == "Batch"
    assert list(make_plot(counted(measured), "composition", PlotChoice(by="producer", of="AOP")).names) == ["P (n = 2)"]


def test_what_cannot_be_drawn_says_why(measured: Project, tmp_path: Path) -> None:
    for corners, words in ((("Ni", "Xx", "O"), "“Xx” is no element"), (("Ni", "O"), "three different elements")):
        with pytest.raises(InputError, match=words):
            make_plot(counted(measured), "ternary", PlotChoice(by=CLASS_OF, corners=corners))
    with pytest.raises(InputError, match="There is no unit"):
        make_plot(counted(measured), "composition", PlotChoice(by=CLASS_OF, unit="mol"))
    assert "was measured by EDX" in make_plot(counted(measured), "ternary", PlotChoice(of="COP")).why_not


def test_the_command_scripts_and_the_report_have_them(
    measured: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = str(measured.path)
    measured.close()
    out = tmp_path / "a.svg"
    assert main(["plot", "ternary", cell, str(out), "--elements", "Ni,Mn,O", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"][0]["group"] == "ACP" and "100 %" in out.read_text()
    frame = api.plot("composition", cell, unit="wt")
    assert set(frame["class"]) == {"ACP", "AOP"} and "mean, wt%" in frame.columns
    assert main(["report", cell, str(tmp_path / "a.html")]) == 0
    page = (tmp_path / "a.html").read_text()
    assert "Mean composition, at%" in page and "parts of the three together" in page
