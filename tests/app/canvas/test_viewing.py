"""Map, viewed areas, measuring, positions and bookmarks, by real mouse and key events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QInputDialog

from microscope_qc.app.canvas.overview.overview_layers import REJECTED, dots_image, veil_image
from microscope_qc.core.boxes import ReviewState, make_rows

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def drag(window: MainWindow, start: tuple[float, float], end: tuple[float, float], keys: Any = NONE) -> None:
    """Drag between two slide positions."""
    native, view = window.canvas.picture.native, window.canvas.view
    a, b = (QPoint(*(round(value) for value in view.to_screen(*place))) for place in (start, end))
    QTest.mousePress(native, LEFT, keys, a)
    for share in (0.4, 1.0):
        QTest.mouseEvent(QTest.MouseAction.MouseMove, native, LEFT, keys, a + (b - a) * share)
    QTest.mouseRelease(native, LEFT, keys, b)


def press(window: MainWindow, key: Qt.Key, keys: Any = NONE) -> None:
    """Press a key on the canvas."""
    window.activateWindow()
    window.canvas.setFocus()
    QTest.keyClick(window.canvas.picture.native, key, keys)


def test_a_length_is_measured_copied_and_removed(window: MainWindow) -> None:
    session = window.session
    press(window, Qt.Key.Key_L)
    assert session.tool == "length"
    drag(window, (800, 200), (800, 900))
    measured = session.slide_view.measurement
    assert measured is not None
    assert measured.length_px == pytest.approx(700, abs=4 / window.canvas.view.zoom)
    words = measured.words((0.5, 0.5))
    assert words.startswith(f"{measured.length_px / 2:.4g} µm")
    press(window, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text().split("\t") == words.split("   ")
    drag(window, (900, 300), (500, 500), SHIFT)
    turned = session.slide_view.measurement
    assert turned is not None
    assert turned.angle_deg() == pytest.approx(60, abs=0.01)
    press(window, Qt.Key.Key_Escape)
    assert session.slide_view.measurement is None
    assert session.tool == "length"
    press(window, Qt.Key.Key_Escape)
    assert session.tool == "select"


def test_a_measured_line_goes_with_its_slide_and_stays_with_other_tools(window: MainWindow) -> None:
    session, project = window.session, window.session.project
    press(window, Qt.Key.Key_L)
    drag(window, (800, 200), (900, 900))
    press(window, Qt.Key.Key_V)
    assert session.slide_view.measurement is not None
    before = np.array(window.session.table.rows["y0"])
    session.show_slide(project.slides[1].id)
    assert session.slide_view.measurement is None
    session.show_slide(project.slides[0].id)
    np.testing.assert_array_equal(session.table.rows["y0"], before)


def test_what_stays_visible_and_large_enough_counts_as_viewed(window: MainWindow, qtbot: QtBot) -> None:
    view = window.session.slide_view
    window.canvas.zoom_to(0.3)
    window.canvas.go_to(600, 800)
    qtbot.waitUntil(lambda: window.canvas.picture.complete)
    QTest.qWait(1000)  # longer than a look takes: too far away to judge, however long it stays
    assert view.seen.share == 0
    window.canvas.zoom_to(1.0)
    qtbot.waitUntil(lambda: view.seen.share > 0)
    y0, x0, y1, x1 = window.canvas.view.bounds
    expected = (min(y1, 1200) - max(y0, 0)) * (min(x1, 1600) - max(x0, 0)) / (1200 * 1600)
    assert view.seen.share == pytest.approx(expected, abs=0.02)
    window.navigator.trigger("view.forget_seen")
    assert view.seen.share == 0


def test_the_veil_is_switched_on_the_map(window: MainWindow, qtbot: QtBot) -> None:
    overview = window.canvas.overview
    window.canvas.zoom_to(1.0)
    qtbot.waitUntil(overview.isVisible)
    QTest.mouseClick(overview.veil_button, LEFT)
    assert window.session.slide_view.veil
    bright = overview.grab().toImage().pixelColor(8, 8).lightness()
    press(window, Qt.Key.Key_V, SHIFT)
    assert not window.session.slide_view.veil
    assert not overview.veil_button.isChecked()
    assert overview.grab().toImage().pixelColor(8, 8).lightness() < bright
    qtbot.waitUntil(lambda: "8 findings shown" in overview.toolTip())


def test_dots_are_at_the_findings_in_their_colours() -> None:
    rows = make_rows(3, class_id=[1, 2, 2], y0=[0, 90, 90], y1=[10, 100, 100], x0=[0, 190, 190], x1=[10, 200, 200])
    rows["state"][1] = ReviewState.REJECTED
    image = dots_image(rows, {1: (255, 0, 0), 2: (0, 0, 250)}, (100, 200), grid=(10, 20))
    assert (image.width(), image.height()) == (20, 10)
    first, shared = image.pixelColor(0, 0), image.pixelColor(19, 9)
    assert (first.red(), first.green(), first.blue()) == (255, 0, 0)
    assert shared.red() == REJECTED[0] // 2
    assert abs(shared.blue() - (250 + REJECTED[2]) // 2) <= 1
    assert shared.alpha() > first.alpha() > 128
    assert image.pixelColor(5, 5).alpha() == 0


def test_a_hundred_thousand_findings_fit_the_map() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.uniform(0, 1e5, 100_000), rng.uniform(0, 2e5, 100_000)
    rows = make_rows(100_000, class_id=rng.integers(0, 30, 100_000), y0=y - 9, y1=y + 9, x0=x - 9, x1=x + 9)
    image = dots_image(rows, {}, (100_000, 200_000), grid=(50, 70))
    assert (image.width(), image.height()) == (70, 50)
    assert all(image.pixelColor(i, j).alpha() > 200 for i in range(0, 70, 9) for j in range(0, 50, 9))


def test_many_findings_are_counted_elsewhere_and_only_the_newest_count_is_shown(
    window: MainWindow, project: Any, qtbot: QtBot
) -> None:
    overview = window.canvas.overview
    window.canvas.zoom_to(1.0)
    qtbot.waitUntil(overview.isVisible)
    rng = np.random.default_rng(0)
    y, x = rng.uniform(0, 1190, 25_000), rng.uniform(0, 1590, 25_000)
    rows = make_rows(25_000, class_id=project.classes[0].id, y0=y, y1=y + 9, x0=x, x1=x + 9)
    ids = project.boxes.add(project.slides[0].id, rows, title="Import")
    qtbot.waitUntil(lambda: "25\u202f008 findings shown" in overview.toolTip())
    middle = overview._dots.width() // 2, overview._dots.height() // 2
    qtbot.waitUntil(lambda: overview._dots.pixelColor(*middle).alpha() > 200)
    project.boxes.delete(ids)
    qtbot.waitUntil(lambda: "8 findings shown" in overview.toolTip().replace("25\u202f008", ""))
    qtbot.waitUntil(lambda: overview._dots.pixelColor(*middle).alpha() == 0)


def test_the_veil_covers_what_was_not_viewed() -> None:
    cells = np.zeros((4, 6), bool)
    cells[1, 2] = True
    image = veil_image(cells)
    assert image.pixelColor(2, 1).alpha() == 0
    assert image.pixelColor(3, 1).alpha() > 0


def test_a_view_is_kept_and_found_again(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(*_: object, text: str) -> tuple[str, bool]:
        asked.append(text)
        return "Pore at the edge", True

    monkeypatch.setattr(QInputDialog, "getText", answer)
    window.canvas.zoom_to(1.5)
    window.canvas.go_to(400, 900)
    press(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert asked == ["Place 1"]
    window.canvas.fit_slide()
    menu = window.book.menus["View/Bookmarks"]
    for _ in range(2):  # opened twice, it lists the places once
        menu.aboutToShow.emit()
    found = [action for action in menu.actions() if "Pore" in action.text()]
    assert len(found) == 1
    found[0].trigger()
    view = window.canvas.view
    assert (view.y, view.x, view.zoom) == pytest.approx((400, 900, 1.5))
