"""Areas declared complete in the window, by real mouse and key events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.plan import RunPlan

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.canvas.area.area_tool import AreaTool
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
NONE, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
KEY = Qt.Key
SHAPE = (1200, 1600)


@pytest.fixture
def tool(window: MainWindow, qtbot: QtBot) -> Iterator[AreaTool]:
    """The tool in hand, taken up by its key."""
    from microscope_qc.app.canvas.area.area_tool import AreaTool

    found = window.canvas.findChild(AreaTool)
    assert found is not None
    press(window, KEY.Key_A)
    assert window.session.tool == "area" and found.active
    assert found.bar is not None
    qtbot.waitUntil(found.bar.isVisible)
    qtbot.wait(50)  # the bar makes the canvas lower
    window.canvas.fit_slide()
    yield found
    found.hand.drop()
    window.session.set_tool("select")
    window.session.declaring.show(True)


def native(window: MainWindow) -> Any:
    return window.canvas.picture.native


def point(window: MainWindow, y: float, x: float) -> QPoint:
    return QPoint(*(round(value) for value in window.canvas.view.to_screen(y, x)))


def drag(window: MainWindow, start: tuple[float, float], end: tuple[float, float], button: Any = LEFT) -> None:
    a, b = point(window, *start), point(window, *end)
    QTest.mousePress(native(window), button, NONE, a)
    for share in (0.5, 1.0):
        QTest.mouseEvent(QTest.MouseAction.MouseMove, native(window), button, NONE, a + (b - a) * share)
    QTest.mouseRelease(native(window), button, NONE, b)


def click(window: MainWindow, *places: tuple[float, float]) -> None:
    for place in places:
        QTest.mouseClick(native(window), LEFT, NONE, point(window, *place))


def double_click(window: MainWindow, y: float, x: float) -> None:
    """Press, release, double click, release: what Qt sends."""
    click(window, (y, x))
    QTest.mouseDClick(native(window), LEFT, NONE, point(window, y, x))
    QTest.mouseRelease(native(window), LEFT, NONE, point(window, y, x))


def press(window: MainWindow, key: Qt.Key, keys: Any = NONE) -> None:
    QTest.keyClick(native(window), key, keys)


def areas(window: MainWindow) -> list[Any]:
    return window.session.declaring.areas()


def corners(area: Any) -> np.ndarray:
    return np.array(area.outline.parts[0][0])


def test_a_drag_declares_a_rectangle_for_all_classes_says_so_and_is_undone(window: MainWindow, tool: AreaTool) -> None:
    drag(window, (200, 300), (700, 1100))
    (area,) = areas(window)
    assert corners(area) == pytest.approx(
        np.array([(200, 300), (200, 1100), (700, 1100), (700, 300)]), abs=1 / window.canvas.view.zoom
    )
    assert area.class_ids == {item.id for item in window.session.classes}
    assert "all classes" in window.toast.text and "S1" in window.toast.text
    said = re.search(r"([\d.]+) mm²", window.toast.text)
    assert said is not None and float(said[1]) == pytest.approx(0.1, rel=0.02)  # to the screen's pixels
    assert len(window.session.table) == 8, "no box is drawn"
    press(window, KEY.Key_Z, CTRL)
    assert areas(window) == []
    assert window.toast.text == "Undone: Declare an area of S1 complete for all classes"
    press(window, KEY.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    assert areas(window) == [area] and window.toast.text.startswith("Redone: Declare an area")


def test_clicks_and_enter_declare_a_polygon(window: MainWindow, tool: AreaTool) -> None:
    confirmed = int((window.session.table.rows["state"] == ReviewState.CONFIRMED).sum())
    window.session.selection.set(window.session.table.rows["id"][:1])
    click(window, (100, 100), (100, 1500), (1100, 800))
    assert tool.bar is not None and "3 corners" in tool.bar.state.text() and areas(window) == []
    press(window, KEY.Key_Return)
    (area,) = areas(window)
    assert corners(area) == pytest.approx(
        np.array([(100, 100), (100, 1500), (1100, 800)]), abs=1 / window.canvas.view.zoom
    )
    states = window.session.table.rows["state"]
    assert int((states == ReviewState.CONFIRMED).sum()) == confirmed, "Enter confirms no finding meanwhile"
    press(window, KEY.Key_Return)
    states = window.session.table.rows["state"]
    assert int((states == ReviewState.CONFIRMED).sum()) == confirmed + 1, "without an outline it does again"


def test_a_double_click_closes_and_so_does_a_click_on_the_first_corner(window: MainWindow, tool: AreaTool) -> None:
    click(window, (100, 100), (100, 1500))
    double_click(window, 1100, 800)
    assert [len(corners(area)) for area in areas(window)] == [3]
    click(window, (200, 200), (200, 400), (600, 400), (600, 200), (200, 200))
    assert [len(corners(area)) for area in areas(window)] == [3, 4]
    double_click(window, 900, 900)
    assert len(areas(window)) == 2 and "three corners" in window.toast.text
    assert len(tool.hand.corners) == 1


def test_backspace_and_undo_take_one_corner_back_and_escape_drops_the_outline(
    window: MainWindow, tool: AreaTool, project: Project
) -> None:
    before = project.history.undo_title
    click(window, (100, 100), (100, 1500), (1100, 800), (1000, 100))
    press(window, KEY.Key_Backspace)
    assert len(tool.hand.corners) == 3
    press(window, KEY.Key_Z, CTRL)
    assert len(tool.hand.corners) == 2 and project.history.undo_title == before, "nothing of the project is undone"
    press(window, KEY.Key_Escape)
    assert tool.hand.corners == [] and window.session.tool == "area" and areas(window) == []
    press(window, KEY.Key_Escape)
    assert window.session.tool == "select"
    assert tool.bar is not None and not tool.bar.isVisible()


def test_the_canvas_pans_and_zooms_while_an_outline_is_under_way(window: MainWindow, tool: AreaTool) -> None:
    click(window, (300, 300), (300, 900))
    before = window.canvas.view
    drag(window, (600, 600), (500, 500), MIDDLE)
    assert window.canvas.view.y == pytest.approx(before.y + 100, abs=4)
    QTest.keyPress(native(window), KEY.Key_Space)
    drag(window, (600, 600), (700, 600))
    QTest.keyRelease(native(window), KEY.Key_Space)
    assert window.canvas.view.y == pytest.approx(before.y, abs=8)
    assert len(tool.hand.corners) == 2 and areas(window) == []
    click(window, (800, 800))
    press(window, KEY.Key_Enter, Qt.KeyboardModifier.KeypadModifier)
    assert len(areas(window)) == 1


def test_corners_wait_while_another_tool_or_slide_is_looked_at(
    window: MainWindow, tool: AreaTool, project: Project, qtbot: QtBot
) -> None:
    click(window, (100, 100), (100, 1500), (1100, 800))
    press(window, KEY.Key_V)
    assert window.session.tool == "select" and len(tool.hand.corners) == 3
    press(window, KEY.Key_A)
    window.session.show_slide(project.slides[1].id)
    assert tool.hand.corners == []
    qtbot.waitUntil(lambda: window.session.mosaic is not None)
    window.session.show_slide(project.slides[0].id)
    assert len(tool.hand.corners) == 3
    press(window, KEY.Key_Return)
    assert [area.slide_id for area in project.areas] == [project.slides[0].id]


def test_whole_slide_and_view_ask_nothing_and_say_what_they_did(window: MainWindow, tool: AreaTool) -> None:
    bar = tool.bar
    assert bar is not None
    QTest.mouseClick(bar.whole, LEFT)
    assert areas(window)[0].outline.bounds == (0, 0, *SHAPE)
    assert "all of S1, 0.48 mm²" in window.toast.text and "Undo takes it back" in window.toast.text
    window.canvas.set_view(window.canvas.view.fitted(101.3, 203.7, 503.9, 700.1))
    QTest.mouseClick(bar.view, LEFT)
    y0, x0, y1, x1 = window.canvas.view.bounds
    bounds = areas(window)[1].outline.bounds
    assert max(0, y0) <= bounds[0] < max(0, y0) + 1 and min(x1, SHAPE[1]) - 1 < bounds[3] <= min(x1, SHAPE[1])
    assert bounds[1] >= max(0, x0) and bounds[2] <= min(y1, SHAPE[0])
    press(window, KEY.Key_Z, CTRL)
    press(window, KEY.Key_Z, CTRL)
    assert areas(window) == []


def test_an_area_off_the_slide_is_refused_and_its_corners_stay(window: MainWindow, tool: AreaTool) -> None:
    window.canvas.set_view(window.canvas.view.centred(0, 0))
    click(window, (-300, -300), (-300, -100), (-100, -100))
    with pytest.raises(Exception, match="encloses nothing"):
        tool.close_outline()
    assert areas(window) == [] and len(tool.hand.corners) == 3


def test_classes_are_chosen_and_remembered_with_the_project(
    window: MainWindow, tool: AreaTool, project: Project, qtbot: QtBot
) -> None:
    bar, classes = tool.bar, window.session.classes
    assert bar is not None and "all classes" in bar.classes.text()
    bar.menu.popup(bar.classes.mapToGlobal(QPoint(0, 0)))
    qtbot.waitUntil(bar.menu.isVisible)
    lines = bar.menu.actions()
    assert all(line.isChecked() for line in lines if line.isCheckable())

    def tick(line: Any) -> None:
        QTest.mouseClick(bar.menu, LEFT, NONE, bar.menu.actionGeometry(line).center())

    tick(lines[0])
    assert not any(line.isChecked() for line in lines), "none of them"
    tick(lines[3])
    assert bar.menu.isVisible(), "further ones can be ticked"
    bar.menu.hide()
    assert f"Complete for: {classes[1].code}" in bar.classes.text()
    drag(window, (200, 300), (700, 1100))
    assert areas(window)[0].class_ids == {classes[1].id}
    place = project.path
    window.session.set_project(None)
    window.session.set_project(Project.open(place))
    assert window.session.declaring.class_ids == {classes[1].id}
    window.session.declaring.choose_classes(frozenset())
    with pytest.raises(Exception, match="at least one class"):
        window.session.declaring.declare_slide()


def test_declared_areas_are_outlined_and_can_be_hidden(window: MainWindow, tool: AreaTool, qtbot: QtBot) -> None:
    window.session.declaring.declare([(100, 100), (100, 1500), (1100, 800)])
    press(window, KEY.Key_Escape)
    qtbot.waitUntil(lambda: not tool.active)

    def greens() -> int:
        """Pixels of the outline's colour around the middle of its upper side, on the overlay alone."""
        QApplication.processEvents()
        window.canvas.overlay.repaint()
        image = window.canvas.overlay.grab().toImage()
        ratio, middle = image.devicePixelRatio(), point(window, 100, 800)
        colours = [image.pixelColor(round(middle.x() * ratio), round((middle.y() + dy) * ratio)) for dy in range(-4, 5)]
        return sum(colour.green() > colour.red() + 40 for colour in colours)

    qtbot.waitUntil(lambda: greens() > 0)
    window.book.trigger("view.areas")
    assert not window.settings.declared_areas
    qtbot.waitUntil(lambda: greens() == 0)
    window.book.trigger("view.areas")
    qtbot.waitUntil(lambda: greens() > 0)


def test_undo_shows_where_the_area_was(window: MainWindow, project: Project, qtbot: QtBot) -> None:
    window.session.declaring.declare([(50, 50), (50, 150), (150, 150)])
    window.session.declaring.declare([(900, 1300), (900, 1500), (1100, 1500)])
    window.canvas.set_view(window.canvas.view.fitted(0, 0, 200, 200))
    window.session.undoing.undo()
    y0, x0, y1, x1 = window.canvas.view.bounds
    assert y0 <= 900 and x0 <= 1300 and y1 >= 1100 and x1 >= 1500
    assert window.canvas.view.zoom > 1.2, "the other area is not shown with it"


def test_what_was_only_viewed_is_never_declared(window: MainWindow, project: Project, qtbot: QtBot) -> None:
    window.canvas.zoom_to(1.0)
    qtbot.waitUntil(lambda: window.session.slide_view.seen.share > 0)
    assert list(project.areas) == []


def test_reading_only_nothing_can_be_declared(window: MainWindow, project: Project) -> None:
    place = project.path
    window.session.set_project(None)
    with Project.open(place):
        window.session.set_project(Project.open(place, write=False))
        press(window, KEY.Key_A)
        assert window.session.tool == "select"
        assert "Read only" in window.book.why_not(window.book.table["tool.area"])
    window.session.set_project(None)


def scan_all(project: Project) -> None:
    """A finished run of a model over the whole first slide."""
    region, slide = Region(0, 0, *SHAPE), project.slides[0].id
    plan = RunPlan(model="m", model_name="m", region=region, tile_px=400, overlap_px=0, classes=("ACP",))
    run = project.runs.start(slide, plan)
    project.runs.know_classes(run.id, {0: project.classes[0].id})
    writer = JournalWriter(run.folder)
    for tile in range(len(TileGrid(region, 400, 0))):
        writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
    writer.close()
    project.runs.finish(run.id, "finished")


def test_areas_drawn_at_random_are_visited_and_searched_one_after_the_other(
    window: MainWindow, project: Project, qtbot: QtBot
) -> None:
    session, declaring = window.session, window.session.declaring
    with pytest.raises(InputError, match="No model has scanned"):
        window.book.trigger("area.draw")
    scan_all(project)
    window.book.trigger("area.draw")
    qtbot.waitUntil(lambda: len(project.areas) > 0, timeout=60_000)
    drawn = list(project.areas)
    assert len(drawn) > 2 and "drawn at random" in window.toast.text and declaring.to_search == drawn[0]
    assert project.history.undo_title == f"Draw {len(drawn)} areas of S1 at random"
    y0, x0, y1, x1 = window.canvas.view.bounds
    top, left, bottom, right = drawn[0].outline.bounds
    assert y0 <= top and x0 <= left and y1 >= bottom and x1 >= right, "the first one is in sight"
    window.book.trigger("area.next")
    assert declaring.to_search == drawn[1]
    unjudged = session.table.rows["state"] == ReviewState.UNREVIEWED
    session.judging.confirm(session.table.rows["id"][unjudged])
    window.book.trigger("area.searched")
    assert project.areas.by_id(drawn[1].id).class_ids == {item.id for item in session.classes}
    assert declaring.to_search == drawn[2], "it goes on to the next one"
    press(window, KEY.Key_Z, CTRL)
    assert project.areas.by_id(drawn[1].id) == drawn[1]


def test_a_searched_area_with_findings_that_nobody_judged_says_when_it_counts(
    window: MainWindow, project: Project, qtbot: QtBot
) -> None:
    (area,) = project.areas.add_drawn([(project.slides[0].id, Region(250, 50, 450, 650))])
    window.session.declaring.go_to(area)
    window.book.trigger("area.searched")
    assert "It counts when 4 findings in it are judged, too." in window.toast.text
    assert "Go to an area" in window.book.why_not(window.book.table["area.searched"])
