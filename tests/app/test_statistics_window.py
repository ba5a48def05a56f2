"""The Statistics workspace in the window: a click on a plot is seen in the gallery and on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.results.plots import PLOTS

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.panels.statistics.page import StatisticsPage
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton
HEIGHT, WIDTH = 1200, 1600


@pytest.fixture
def searched(project: Project) -> Project:
    """The first slide was searched by a detector and a user, and its cell is known."""
    slide, defects = project.slides[0].id, project.classes
    project.areas.declare(slide, [(0, 0), (0, WIDTH), (HEIGHT, WIDTH), (HEIGHT, 0)])
    project.fields.set({slide: {"capacity": 2.9, "production_date": "2018-02-08"}})
    plan = RunPlan(model="m", model_name="m", region=Region(0, 0, HEIGHT, WIDTH), tile_px=400, overlap_px=0,
                   classes=("ACP",))  # fmt: skip
    run = project.runs.start(slide, plan)
    rows = make_rows(3, class_id=defects[0].id, confidence=0.8, y0=700.0, y1=760.0, x0=[100.0, 400, 700],
                     x1=[180.0, 500, 900])  # fmt: skip
    ids = project.runs.add_findings(run.id, rows)
    project.runs.finish(run.id, "finished")
    project.boxes.edit(ids[:1], state=ReviewState.CONFIRMED)
    project.boxes.edit(ids[1:2], state=ReviewState.REJECTED, reason="preparation artefact")
    return project


@pytest.fixture
def page(searched: Project, window: MainWindow, qtbot: QtBot) -> StatisticsPage:
    """The page after a click on its button."""
    window.settings.statistics = {}
    QTest.mouseClick(window.workspaces.buttons.buttons["statistics"], LEFT)
    qtbot.waitUntil(lambda: window.pages.statistics is not None)
    made = window.pages.statistics
    assert made is not None and made.isVisible() and window.docks["gallery"].isVisible()
    qtbot.waitUntil(lambda: made.counting.fresh and not made.counting.busy and bool(made.table.lines))
    return made


def test_the_workspace_has_its_table(page: StatisticsPage, window: MainWindow) -> None:
    assert page.table.isVisible() and page.hasFocus() or page.table.hasFocus()
    assert "11 findings" not in page.table.lines[0].cells[0].text, "one was rejected"
    assert "10 findings" in page.table.lines[0].cells[0].text
    assert not window.docks["detect"].isVisible()


NOTHING_TO_DRAW = ("truth", "largest", "control", "composition", "ternary")
"""Nobody inspected or measured these slides, two are too few for the largest on more, and one was searched."""


@pytest.mark.parametrize("view", [view for view in PLOTS if view not in NOTHING_TO_DRAW])
def test_a_click_on_a_plot_is_seen_in_gallery_and_canvas(
    view: str, page: StatisticsPage, window: MainWindow, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(page.plot.drawn):
        page.show_view(view)
    chart, gallery = page.plot.chart, window.docks["gallery"].build()
    if view == "totals":
        with qtbot.waitSignal(page.plot.drawn):
            box = page.plot.boxes["weight"]
            box.setCurrentIndex(box.findData("count"))
            box.activated.emit(box.currentIndex())
    qtbot.waitUntil(lambda: len(gallery.model.ids) == 11)
    largest = max(chart.keys, key=lambda key: len(chart.plot.mark(key).findings))
    QTest.mouseClick(chart, LEFT, pos=chart.place_of(largest))
    wanted = sorted(chart.plot.mark(largest).findings.tolist())
    assert wanted and chart.current == largest

    def in_gallery() -> list[int]:
        return sorted(int(gallery.model.ids[index.row()]) for index in gallery.view.selectionModel().selectedRows())

    qtbot.waitUntil(lambda: in_gallery() == wanted)
    QTest.mouseClick(page.plot.only, LEFT)
    assert window.workspaces.current == "annotate"
    qtbot.waitUntil(lambda: sorted(gallery.model.ids) == wanted)
    window.canvas.fit_slide()
    boxes = window.canvas.boxes
    qtbot.waitUntil(lambda: boxes._selected is not None and sorted(set(boxes._selected.ids.tolist())) == wanted)
    assert sorted(boxes.rows["id"].tolist()) == wanted
    window.session.clear_filter()


@pytest.mark.parametrize("view", NOTHING_TO_DRAW)
def test_a_plot_without_anything_to_draw_says_why(view: str, page: StatisticsPage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.plot.drawn):
        page.show_view(view)
    assert not list(page.plot.chart.keys) and page.plot.chart.plot.why_not


def test_the_page_follows_a_judgement_by_key(page: StatisticsPage, window: MainWindow, qtbot: QtBot) -> None:
    row = window.session.table.rows["id"][:1]
    window.session.judging.reject(row, "false positive")
    assert page.state.text().startswith("Out of date")
    qtbot.waitUntil(lambda: "9 findings" in page.table.lines[0].cells[0].text)


def test_another_theme_draws_the_plot_again(page: StatisticsPage, window: MainWindow, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.plot.drawn):
        page.show_view("sizes")
    before = window.settings.theme
    try:
        for theme, paper in (("dark", "#1b1d20"), ("light", "#ffffff")):
            window.theme_switcher.use(theme)
            qtbot.waitUntil(lambda paper=paper: page.plot.chart.grab().toImage().pixelColor(8, 8).name() == paper)
            qtbot.waitUntil(lambda paper=paper: page.plot.chart._image.pixelColor(8, 8).name() == paper)
    finally:
        window.theme_switcher.use(before)
