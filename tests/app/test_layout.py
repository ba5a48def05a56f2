"""How panels lie: kept from one start to the next, reset, and whole on a small screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QHeaderView, QSplitter, QWidget

from microscope_qc.app.base.settings import AppSettings, load_settings
from microscope_qc.app.shell import pages
from microscope_qc.project import Project

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def start(
    the_window: MainWindow, project: Project, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], MainWindow]]:
    """Starts the program again, with the settings it left and the project open."""
    from microscope_qc.app.shell.main_window import MainWindow

    monkeypatch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(tmp_path / "config"))
    path, opened = project.path, []
    project.close()

    def start_again() -> MainWindow:
        if opened:
            opened.pop().close()
        window = MainWindow(load_settings()[0])
        opened.append(window)
        if not window.settings.geometry:
            window.resize(1240, 768)  # less than the screens of tests
        window.show()
        qtbot.waitExposed(window)
        window.session.set_project(Project.open(path))
        qtbot.waitUntil(lambda: window.session.mosaic is not None)
        qtbot.wait(100)
        return window

    yield start_again
    while opened:
        opened.pop().close()


def drag_by(widget: object, place: QPoint, by: QPoint) -> None:
    """Drag with the mouse."""
    QTest.mouseMove(widget, place)
    QTest.mousePress(widget, LEFT, NONE, place)
    for share in (0.5, 1.0):
        QTest.mouseMove(widget, place + by * share)
    QTest.mouseRelease(widget, LEFT, NONE, place + by)


def test_the_next_start_finds_everything_as_it_was_left(start: Callable[[], MainWindow], qtbot: QtBot) -> None:
    window = start()
    assert window.docks["slides"].width() == pytest.approx(236, abs=2)
    assert window.docks["card"].width() >= 276
    window.resizeDocks([window.docks["slides"]], [310], Qt.Orientation.Horizontal)
    window.resizeDocks([window.docks["gallery"]], [290], Qt.Orientation.Vertical)
    table = window.navigator.show_panel("table")
    areas, header = window.navigator.show_panel("areas"), table.findChild(QHeaderView)
    header = next(one for one in table.findChildren(QHeaderView) if one.orientation() == Qt.Orientation.Horizontal)
    window.navigator.show_panel("table")
    edge = header.sectionViewportPosition(1) + header.sectionSize(1) - 1
    before = header.sectionSize(1)
    drag_by(header.viewport(), QPoint(edge, header.height() // 2), QPoint(40, 0))
    assert header.sectionSize(1) > before + 20
    wide = header.sectionSize(1)
    window.navigator.show_panel("areas")
    splitter = areas.findChild(QSplitter)
    qtbot.waitUntil(lambda: splitter.isVisible() and splitter.width() > 600)
    drag_by(splitter.handle(1), splitter.handle(1).rect().center(), QPoint(-60, 0))
    parts = splitter.sizes()
    window.docks["classes"].hide()
    window.workspaces.use("sem")
    window.workspaces.use("annotate")
    qtbot.wait(100)
    slides, bottom = window.docks["slides"].width(), window.docks["areas"].height()
    right = window.docks["card"].width()
    assert bottom > 250
    assert slides == pytest.approx(310, abs=4)

    window = start()
    assert window.workspaces.current == "annotate"
    assert not window.docks["classes"].isVisible()
    assert window.docks["slides"].width() == pytest.approx(slides, abs=4)
    assert window.docks["areas"].height() == pytest.approx(bottom, abs=4)
    assert window.docks["card"].width() == pytest.approx(right, abs=4)
    table = window.navigator.show_panel("table")
    header = next(one for one in table.findChildren(QHeaderView) if one.orientation() == Qt.Orientation.Horizontal)
    assert header.sectionSize(1) == wide
    splitter = window.navigator.show_panel("areas").findChild(QSplitter)
    qtbot.waitUntil(lambda: splitter.sizes() == pytest.approx(parts, abs=6))

    window.navigator.trigger("view.reset")
    qtbot.waitUntil(lambda: window.docks["slides"].width() == pytest.approx(236, abs=2))
    assert window.docks["classes"].isVisible()
    assert window.settings.column_widths == {} and window.settings.splitters == {}


def test_what_a_page_needs_is_imported_in_another_thread_and_only_made_if_it_is_still_wanted(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, made, asked, may_end = window.pages, list[str](), list[threading.Thread](), threading.Event()

    def slow_import(_name: str) -> None:
        asked.append(threading.current_thread())
        assert may_end.wait(60)

    monkeypatch.setattr(pages, "import_module", slow_import)
    monkeypatch.setitem(pages.BY_PARTS, "statistics", "a_module.that_nobody_has_imported")
    monkeypatch.setattr(shown, "_made_by_parts", {})
    monkeypatch.setattr(shown._make_soon, "_work", lambda: made.append(shown._workspace))
    shown.show_for("statistics")
    qtbot.waitUntil(lambda: bool(asked))
    assert asked[0] is not threading.main_thread() and shown.currentWidget() is shown._coming
    shown.show_for("annotate")
    may_end.set()
    qtbot.waitUntil(lambda: not window.jobs._calls)
    qtbot.wait(50)
    assert not made and shown.currentWidget() is window.canvas
    shown.show_for("statistics")
    qtbot.waitUntil(lambda: made == ["statistics"])
    shown.show_for("annotate")


def test_panels_behind_others_are_not_made_for_an_arrangement(start: Callable[[], MainWindow], qtbot: QtBot) -> None:
    window = start()
    assert window.pages.learn is None
    QTest.mouseClick(window.workspaces.buttons.buttons["learn"], LEFT)
    qtbot.waitUntil(lambda: window.pages.learn is not None and window.pages.learn.isVisible())
    bottom = [window.docks[name] for name in ("table", "areas", "models", "comparisons", "studies")]
    qtbot.waitUntil(lambda: any(dock.content is not None and dock.content.isVisible() for dock in bottom))
    made = [dock for dock in bottom if dock.content is not None]
    assert len(made) == 1, "the one in front"
    other = next(dock for dock in bottom if dock.spec.name in ("models", "studies") and dock not in made)
    other.raise_()
    qtbot.waitUntil(lambda: other.content is not None)


@pytest.mark.parametrize("name", ["learn", "statistics"])
def test_large_pages_are_made_part_by_part(name: str, start: Callable[[], MainWindow], qtbot: QtBot) -> None:
    window = start()
    parts: list[int] = []
    QTest.mouseClick(window.workspaces.buttons.buttons[name], LEFT)
    assert getattr(window.pages, name) is None, "it is made later"
    page = window.pages.currentWidget()

    def look() -> bool:
        nonlocal page
        page = window.pages.currentWidget()
        parts.append(len(page.findChildren(QWidget)))
        return getattr(window.pages, name) is not None

    while not look():
        QApplication.processEvents()
    assert len(set(parts)) > 3, "between two parts the window answered"
    assert getattr(window.pages, name) is page and page.isVisible()


def test_a_window_that_closes_while_a_page_is_made_leaves_no_thread(
    start: Callable[[], MainWindow], qtbot: QtBot
) -> None:
    window = start()
    before = set(threading.enumerate())
    QTest.mouseClick(window.workspaces.buttons.buttons["statistics"], LEFT)
    qtbot.waitUntil(lambda: window.pages.currentWidget().objectName() == "statistics")
    assert window.pages.statistics is None
    assert window.close()
    qtbot.waitUntil(lambda: not [one for one in set(threading.enumerate()) - before if one.is_alive()])


def test_other_workspaces_are_imported_once_while_the_window_is_free(
    start: Callable[[], MainWindow], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.app.shell import ahead

    done: list[int] = []
    monkeypatch.setattr(ahead, "START_MS", 0)
    monkeypatch.setattr(ahead, "import_ahead", lambda: done.append(1))
    window = start()
    qtbot.waitUntil(lambda: done == [1])
    again = window.findChild(ahead.ModulesAhead)
    window.session.mosaic_changed.emit()
    assert not again.waits


def test_settings_keep_only_what_they_can_read() -> None:
    kept = AppSettings(dock_sizes={"annotate": {"slides": (236, 400)}}, column_widths={"table": {"Class": 90}})
    assert AppSettings.model_validate_json(kept.model_dump_json()) == kept
