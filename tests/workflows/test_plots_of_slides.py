"""Dots on slides lie where the findings do; by hand and by model stand beside each other with their times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import CODES, SIZE_UM, detect, make, places

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project import log as project_log
from microscope_qc.reports.marked import picture, write_plot
from microscope_qc.workflows.results import plots_of_slides
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots import make_plot

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def counted(project: Project) -> CountedFindings:
    return run_job(count_findings([project]))


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Three slides, the third without findings; on the first a user drew five in 40 s, with a pause after the third."""
    clock = [BEGAN]
    monkeypatch.setattr(project_log, "now", lambda: clock[0].isoformat(timespec="milliseconds"))
    with make(tmp_path / "cell.mqc", slides=3) as project:
        ids = detect(project, 0, 30)
        project.boxes.edit(ids[:5], state=ReviewState.REJECTED, reason="false positive")
        detect(project, 1, 12, seed=1)
        class_id = project.classes.by_code("AOP").id
        for number, later_s in enumerate((0, 10, 10, 4000, 20)):
            clock[0] += timedelta(seconds=later_s)
            at = 300.0 + 12 * number
            project.boxes.add(project.slides[0].id, make_rows(1, class_id=class_id, y0=at, x0=at, y1=at + 8, x1=at + 8))
        yield project


def test_dots_lie_where_the_findings_do(cells: Project, tmp_path: Path) -> None:
    plot = make_plot(counted(cells), "places")
    assert [panel.name for panel in plot.panels] == ["cell 0", "cell 1"], "a slide without findings is not drawn"
    for number, slide in enumerate(list(cells.slides)[:2]):
        rows = cells.boxes.rows(slide.id)
        rows = rows[rows["state"] != ReviewState.REJECTED]
        found = {int(mark.findings[0]): (mark.x, mark.value) for _, _, mark in plot.marks() if mark.panel == number}
        assert found.keys() == set(rows["id"].tolist())
        for row in rows:
            x_mm = (row["x0"] + row["x1"]) / 2 * SIZE_UM / 1000
            y_mm = (row["y0"] + row["y1"]) / 2 * SIZE_UM / 1000
            assert found[int(row["id"])] == pytest.approx((x_mm, y_mm))
    assert {series.name.split()[0] for series in plot.series} <= set(CODES)
    assert plot.panels[0].extent == (2.0, 2.0) and plot.panels[0].picture is not None
    records = plot.records()
    assert len(records) == 37 + 5 and set(records[0]) == {"series", "slide", "x_mm", "y_mm", "finding"}
    for suffix in (".svg", ".png", ".csv"):
        assert write_plot(plot, tmp_path / f"a{suffix}").stat().st_size > 300


def test_a_class_alone_and_a_picture_that_knows_its_dots(cells: Project) -> None:
    plot = make_plot(counted(cells), "places", PlotChoice(of="AOP"))
    assert [series.name[:3] for series in plot.series] == ["AOP"]
    drawn = picture(plot, 900, 500)
    assert set(drawn.places) == {key for key, _, _ in plot.marks()}
    wanted = np.array([int(plot.series[0].colour[i : i + 2], 16) for i in (1, 3, 5)])
    hits = 0
    for left, top, right, bottom in drawn.places.values():
        middle = drawn.pixels[round((top + bottom) / 2), round((left + right) / 2), :3].astype(int)
        hits += int(np.abs(middle - wanted).sum() < 90)
    assert hits > 0.8 * len(drawn.places), "dots may lie on each other"


def test_a_slide_that_cannot_be_read_has_dots_all_the_same(cells: Project) -> None:
    cells.slides[0].path.unlink()
    plots_of_slides._picture.cache_clear()
    plot = make_plot(counted(cells), "places")
    assert plot.panels[0].picture is None and plot.panels[1].picture is not None
    assert picture(plot, 400, 300).places


def test_many_dots_and_slides_are_limited_and_it_is_said(cells: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots_of_slides, "MOST_PANELS", 1)
    monkeypatch.setattr(plots_of_slides, "MOST_DOTS", 6)
    plot = make_plot(counted(cells), "places")
    assert [panel.name for panel in plot.panels] == ["cell 0"]
    assert "1 slides with the most findings of 2" in plot.notes[0] and "6 largest of 30 findings" in plot.notes[1]
    drawn = {int(mark.findings[0]) for _, _, mark in plot.marks()}
    rows = cells.boxes.rows(cells.slides[0].id)
    rows = rows[rows["state"] != ReviewState.REJECTED]
    longer = np.maximum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"])
    assert len(drawn) >= 6 and min(longer[np.isin(rows["id"], list(drawn))]) >= np.sort(longer)[-6]


def test_what_was_drawn_stands_beside_what_models_found_with_their_times(cells: Project) -> None:
    plot = make_plot(counted(cells), "by-hand")
    hand, model = plot.series
    assert (hand.name, model.name) == ("drawn by hand", "m")
    assert [mark.value for mark in hand.marks] == [5, 0, 0] and [mark.value for mark in model.marks] == [30, 12]
    assert hand.marks[0].label == "0:40", "10 + 10 + 20 s: the pause does not count"
    assert "5 findings in 0:40, 7.5 per minute" in plot.notes[0]
    assert "42 findings" in plot.notes[1] and "Found by both: 0." in plot.notes


def test_what_both_found_is_counted(cells: Project) -> None:
    slide = cells.slides[2]
    class_id = cells.classes.by_code("ACP").id
    cells.boxes.add(slide.id, make_rows(2, class_id=class_id, **{name: side[:2] for name, side in places(5).items()}))
    detect(cells, 2, 5)
    plot = make_plot(counted(cells), "by-hand")
    assert "Found by both: 2." in plot.notes
    with pytest.raises(InputError, match="no class or class group XYZ"):
        make_plot(counted(cells), "by-hand", PlotChoice(of="XYZ"))


def test_without_anything_drawn_a_sentence_stands(tmp_path: Path) -> None:
    with make(tmp_path / "a.mqc", slides=1) as project:
        detect(project, 0, 3)
        assert "draw what you see" in make_plot(counted(project), "by-hand").why_not
