"""Plots of statistics: each bar and dot is what a count finding by finding gives, and knows these findings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from test_grouping import CODES, MM2, SPECIMENS, detect, make, scan

from microscope_qc import api
from microscope_qc.analysis.counts import pooled_by_specimen
from microscope_qc.analysis.rank_correlation import spearman
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.reports.marked import picture
from microscope_qc.reports.plot_values import Plot
from microscope_qc.reports.plots import LOOKS
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots import PLOTS, make_plot

DATES = ("2018-01", "2018-01", "2018-03-05", "2018-06-01", "2019", "2019-02-01")


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Project]:
    """Six slides of five specimens; many findings were judged, some got another class, some were drawn."""
    with make(tmp_path / "cell.mqc", slides=6) as project:
        for slide, specimen in enumerate(SPECIMENS):
            ids = detect(project, slide, 40 + 15 * slide)
            project.boxes.edit(ids[::4], state=ReviewState.CONFIRMED)
            project.boxes.edit(ids[1::8], state=ReviewState.REJECTED, reason="false positive")
            project.boxes.edit(ids[2::16], state=ReviewState.REJECTED, reason="duplicate")
            project.boxes.edit(ids[3::16], state=ReviewState.REJECTED, reason="preparation artefact")
            project.boxes.edit(ids[6::16], class_id=project.classes.by_code("COP").id)
            values = {"specimen": specimen, "capacity": 10.0 - slide // 2, "production_date": DATES[slide]}
            project.fields.set({project.slides[slide].id: values})
        yield project


def counted(project: Project) -> CountedFindings:
    return run_job(count_findings([project]))


def kept(project: Project, *codes: str) -> list[np.ndarray]:
    """Kept findings of some classes on each slide."""
    numbers = [project.classes.by_code(code).id for code in codes or CODES]
    rows = [project.boxes.rows(slide.id) for slide in project.slides]
    return [one[np.isin(one["class_id"], numbers) & (one["state"] != ReviewState.REJECTED)] for one in rows]


def findings(plot: Plot) -> np.ndarray:
    return np.concatenate([mark.findings for _, _, mark in plot.marks()])


def test_totals_are_densities_of_cross_sections_by_class_group(cells: Project) -> None:
    plot = make_plot(counted(cells), "totals")
    assert list(plot.names) == [slide.name for slide in cells.slides]
    assert [series.name for series in plot.series] == ["Anode", "Cathode"]
    for series, codes in zip(plot.series, (("ACP", "AOP"), ("COP",)), strict=True):
        for mark, rows in zip(series.marks, kept(cells, *codes), strict=True):
            assert mark.value == pytest.approx(len(rows) / MM2)
            assert mark.interval[0] < mark.value < mark.interval[1]
            assert np.array_equal(np.sort(mark.findings), rows["id"])


def test_totals_by_a_field_pool_specimens(cells: Project) -> None:
    plot = make_plot(counted(cells), "totals", PlotChoice(by="capacity"))
    assert list(plot.names) == ["8 Ah", "9 Ah", "10 Ah"]
    counts = [len(rows) for rows in kept(cells, "ACP", "AOP")]
    for mark, here in zip(plot.series[0].marks, ((4, 5), (2, 3), (0, 1)), strict=True):
        expected = pooled_by_specimen([counts[n] for n in here], [MM2] * 2, [SPECIMENS[n] for n in here])
        assert mark.value == pytest.approx(expected.per_mm2) and mark.interval == pytest.approx(expected.interval)


def test_two_detectors_stand_side_by_side_as_they_found(cells: Project) -> None:
    other = scan(cells, 0, model="other")
    box = make_rows(1, class_id=cells.classes.by_code("COP").id, confidence=0.9, y0=390.0, y1=395.0, x0=390.0, x1=395.0)
    (new,) = cells.runs.add_findings(other, box)
    plot = make_plot(counted(cells), "totals", PlotChoice(detectors=("m", "other")))
    assert [series.name for series in plot.series] == ["Anode, m", "Cathode, m", "Cathode, other"] or [
        series.name for series in plot.series
    ] == ["Anode, m", "Cathode, m", "Anode, other", "Cathode, other"]
    mark = plot.series[-1].marks[0]
    assert mark.value == 1 and mark.findings.tolist() == [new]
    assert len(plot.series[-1].marks) == 1, "where it has not looked there is no zero"
    first = sum(series.marks[0].value for series in plot.series[:2])
    said = cells.opinions.of_slide(cells.slides[0].id)
    assert first == (said["run_id"] != other).sum()
    with pytest.raises(InputError, match="another"):
        make_plot(counted(cells), "totals", PlotChoice(detectors=("another",)))


def test_each_finding_is_in_the_bin_of_its_size(cells: Project) -> None:
    plot = make_plot(counted(cells), "sizes")
    rows = np.concatenate(kept(cells))
    assert np.array_equal(np.sort(findings(plot)), np.sort(rows["id"]))
    longer = np.maximum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"]) * 5.0
    size_of = dict(zip(rows["id"].tolist(), longer.tolist(), strict=True))
    for _, _, mark in plot.marks():
        low, high = plot.edges[round(mark.x)], plot.edges[round(mark.x) + 1]
        assert all(low * 0.999 <= size_of[number] <= high * 1.001 for number in mark.findings.tolist())
        assert mark.value == len(mark.findings)


def test_dots_are_specimens_where_there_are_several(cells: Project) -> None:
    plot = make_plot(counted(cells), "field", PlotChoice(field="capacity", of="ACP"))
    counts, marks = [len(rows) for rows in kept(cells, "ACP")], plot.series[0].marks
    assert [mark.x for mark in marks] == [10, 9, 9, 8, 8]
    assert marks[0].value == pytest.approx((counts[0] + counts[1]) / (2 * MM2))
    assert [len(mark.findings) for mark in marks] == [counts[0] + counts[1], *counts[2:]]
    rho = stats.spearmanr([mark.x for mark in marks], [mark.value for mark in marks]).statistic
    assert f"{rho:.2f}, n = 5 specimens" in plot.notes[-1]


def test_a_specimen_with_several_values_counts_once(cells: Project) -> None:
    for number, slide in enumerate(cells.slides):
        cells.fields.set({slide.id: {"capacity": 10.0 - number}})
    plot = make_plot(counted(cells), "field", PlotChoice(field="capacity"))
    assert len(plot.series[0].marks) == 6 and "n = 5 specimens" in plot.notes[-1]


def test_a_date_that_is_not_exact_stands_in_its_middle(cells: Project) -> None:
    plot = make_plot(counted(cells), "dates", PlotChoice(of="Anode"))
    days = {mark.at: np.datetime64("1970-01-01") + round(mark.x) for mark in plot.series[0].marks}
    assert days["2018-03-05"] == np.datetime64("2018-03-05")
    assert abs(days["2019"] - np.datetime64("2019-07-02")) <= np.timedelta64(1, "D")
    assert np.array_equal(np.sort(findings(plot)), np.sort(np.concatenate(kept(cells, "ACP", "AOP"))["id"]))


def test_outcomes_go_by_what_the_model_said(cells: Project) -> None:
    plot = make_plot(counted(cells), "outcomes")
    rows = np.concatenate([cells.boxes.rows(slide.id) for slide in cells.slides])
    sums = {series.name: sum(mark.value for mark in series.marks) for series in plot.series}
    reasons = rows["reason"].astype(str)
    assert sums["false positive"] == (reasons == "false positive").sum()
    assert sums["artefact"] == (reasons == "preparation artefact").sum()
    assert sums["set aside"] == (reasons == "duplicate").sum()
    assert sum(sums.values()) == len(rows) == len(np.unique(findings(plot)))
    said = np.concatenate([cells.opinions.of_slide(slide.id) for slide in cells.slides])
    said_of = dict(zip(said["finding_id"].tolist(), said["class_id"].tolist(), strict=True))
    confirmed = rows[rows["state"] == ReviewState.CONFIRMED]
    agreeing = sum(said_of[int(row["id"])] == row["class_id"] for row in confirmed)
    # a class that was set counts as judged, also where nobody confirmed it
    renamed = rows[(rows["state"] == ReviewState.UNREVIEWED) & (rows["flags"] & 2 > 0)]
    agreeing += sum(said_of[int(row["id"])] == row["class_id"] for row in renamed)
    assert sums["true"] == agreeing


@pytest.mark.parametrize("name", PLOTS)
def test_where_nothing_can_be_drawn_a_sentence_stands(name: str, tmp_path: Path) -> None:
    with make(tmp_path / "empty.mqc", slides=2, pixel_size_um=None) as project:
        found = counted(project)
        choice = PlotChoice(field="capacity" if name == "field" else "")
        plot = make_plot(found, name, choice)
        assert plot.why_not.endswith((".", ".")) and not list(plot.marks())
        assert picture(plot, 300, 200).pixels.shape == (200, 300, 4)
        rows = make_rows(3, class_id=project.classes[0].id, y0=[10.0, 30, 50], y1=[20.0, 40, 60], x0=5.0, x1=9.0)
        project.boxes.add(project.slides[0].id, rows)
        project.fields.set({project.slides[0].id: {"capacity": 2.0, "production_date": "2018"}})
        plot = make_plot(counted(project), name, choice)
        assert bool(plot.why_not) == (name not in ("places", "by-hand", "shares")), (
            "without a pixel size there is no length"
        )


def test_counts_need_no_area(tmp_path: Path) -> None:
    with make(tmp_path / "bare.mqc", slides=2, pixel_size_um=None) as project:
        rows = make_rows(3, class_id=project.classes[0].id, y0=[10.0, 30, 50], y1=[20.0, 40, 60], x0=5.0, x1=9.0)
        project.boxes.add(project.slides[0].id, rows)
        plot = make_plot(counted(project), "totals", PlotChoice(weight="count"))
        assert [mark.value for mark in plot.series[0].marks] == [3, 0]


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_knows_where_its_marks_are(name: str, cells: Project) -> None:
    plot = make_plot(counted(cells), name, PlotChoice(field="capacity" if name == "field" else ""))
    drawn = picture(plot, 900, 500, look=LOOKS["dark"])
    assert set(drawn.places) == {key for key, _, _ in plot.marks()}
    paper = np.array([0x1B, 0x1D, 0x20])
    for key, series, _ in plot.marks():
        left, top, right, bottom = drawn.places[key]
        middle = drawn.pixels[round((top + bottom) / 2), round((left + right) / 2), :3]
        wanted = np.array([int(series.colour[i : i + 2], 16) for i in (1, 3, 5)])
        if name in ("map", "coverage"):  # with colours of their own
            assert np.abs(middle.astype(int) - paper).sum() > 30, (key, middle)
        elif bottom - top > 4:
            assert np.abs(middle.astype(int) - wanted).sum() < np.abs(paper - wanted).sum() / 2, (key, middle, wanted)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, 15).astype(float)
    y = x + rng.normal(0, 3, 15)
    found = spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.interval[0] < found.rho < found.interval[1]


def test_the_limits_of_spearman_hold() -> None:
    rng = np.random.default_rng(1)
    inside, rounds, rho = 0, 2000, 0.6
    truth = 6 / np.pi * np.arcsin(rho / 2)  # of two normal variables
    for _ in range(rounds):
        x, z = rng.normal(size=(2, 15))
        low, high = spearman(x, rho * x + np.sqrt(1 - rho**2) * z).interval
        inside += low <= truth <= high
    assert inside / rounds > 0.93


@pytest.mark.parametrize(("x", "y"), [([1.0, 2, 3], [1.0, 2, 3]), ([1.0] * 6, [1.0, 2, 3, 4, 5, 6])])
def test_too_little_for_spearman_is_said(x: list[float], y: list[float]) -> None:
    found = spearman(np.array(x), np.array(y))
    assert found.rho is None and found.reason


def test_the_command_and_the_script_have_the_same_values(
    cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plot.csv"
    args = ["plot", "field", str(cells.path), str(out), "--field", "capacity", "--class", "ACP", "--json"]
    assert main(args) == 0
    said = json.loads(capsys.readouterr().out)
    with out.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    table = api.plot("field", cells.path, field="capacity", of="ACP")
    assert len(lines) == len(table) == len(said["values"]) == 5
    assert [float(line["findings per mm²"]) for line in lines] == pytest.approx(table["findings per mm²"].tolist())
    assert table.attrs["notes"] == said["notes"] and "Spearman" in said["notes"][-1]
    for suffix in (".svg", ".png", ".pdf"):
        picture_file = tmp_path / f"plot{suffix}"
        assert main(["plot", "totals", str(cells.path), str(picture_file), "--look", "dark"]) == 0
        assert picture_file.stat().st_size > 2000
    with Image.open(tmp_path / "plot.png") as image:
        assert image.convert("RGB").getpixel((1, 1)) == (0x1B, 0x1D, 0x20)
    assert "Anode" in (tmp_path / "plot.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["field", "--field", "colour"], "no such field"),
        (["sizes", "--class", "ZZZ"], "no class or class group"),
        (["totals", "--detector", "nobody"], "No detector called nobody"),
    ],
)
def test_what_is_not_there_is_named(
    arguments: list[str], words: str, cells: Project, tmp_path: Path, capsys: Any
) -> None:
    name, *more = arguments
    assert main(["plot", name, str(cells.path), str(tmp_path / "x.svg"), *more]) == 2
    assert words in capsys.readouterr().err


def test_the_command_lists_every_kind() -> None:
    from microscope_qc.cli.plots import LOOKS as NAMED_LOOKS
    from microscope_qc.cli.plots import NAMES

    assert tuple(PLOTS) == NAMES and tuple(LOOKS) == NAMED_LOOKS
