"""On a German computer the decimal comma and the decimal point are the same number in every field of the window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QLocale, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QWidget

from microscope_qc.app.dialogs.go_to import GoToDialog
from microscope_qc.app.dialogs.slide import PixelSizeDialog
from microscope_qc.app.panels.sem.marks import STAGE_X, STAGE_Y

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project


@pytest.fixture
def german(window: MainWindow) -> Iterator[MainWindow]:
    """The window with German numbers, also in the C library where it knows them."""
    import locale

    before, named = QLocale(), locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "de_DE.utf8", "German_Germany.1252"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    QLocale.setDefault(QLocale("de_DE"))
    window.setLocale(QLocale("de_DE"))
    assert window.locale().toString(0.5) == "0,5"
    yield window
    locale.setlocale(locale.LC_NUMERIC, named)
    QLocale.setDefault(before)
    window.unsetLocale()


def type_into(field: QWidget, text: str) -> None:
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(field, text)


@pytest.mark.parametrize("text", ["0.35", "0,35", "0,35 µm", "350 nm"])
def test_the_pixel_size(german: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def act(dialog: PixelSizeDialog) -> int:
        dialog.show()
        type_into(dialog.number, text)
        QTest.keyClick(dialog.number, Qt.Key.Key_Return)
        dialog.accept()
        return dialog.result()

    monkeypatch.setattr(PixelSizeDialog, "exec", act)
    german.navigator.trigger("slide.pixel_size")
    assert project.slides[0].pixel_size_um == (0.35, 0.35)


def test_the_filter_and_the_search(german: MainWindow) -> None:
    session = german.session
    header = german.navigator.show_panel("gallery").header
    panel = header.more.panel
    panel.refresh()
    for text in ("0,35", "0.35"):
        type_into(panel.confidence.low, text)
        QTest.keyClick(panel.confidence.low, Qt.Key.Key_Return)
        assert session.filter.min_confidence == 0.35
        shown = len(session.shown_rows())
        session.clear_filter()
        panel.refresh()
    assert 0 < shown < 8
    for text in ("confidence>=0,35", "confidence>=0.35"):
        type_into(header.search, text)
        QTest.keyClick(header.search, Qt.Key.Key_Return)
        assert len(session.shown_rows()) == shown
    session.clear_filter()


def test_marks_and_the_height_of_the_stage(german: MainWindow, project: Project, qtbot: QtBot) -> None:
    session = german.session
    dock = german.navigator.show_panel("sem")
    session.mark_placed.emit(100.0, 200.0)
    for column, text in ((STAGE_X, "12,34567"), (STAGE_Y, "-0.5")):
        if column == STAGE_Y:  # a new mark asks for X
            dock.table.setCurrentIndex(dock.marks.index(0, column))
            dock.table.edit(dock.marks.index(0, column))
        editor = dock.table.viewport().findChild(QLineEdit)
        type_into(editor, text)
        QTest.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: dock.table.viewport().findChild(QLineEdit) is None)
        dock.refresh()
    (mark,) = project.marks.of_slide(project.slides[0].id)
    assert (mark.stage_x_mm, mark.stage_y_mm) == (12.34567, -0.5)
    assert dock.marks.index(0, STAGE_X).data() == "12.34567"
    height = dock.exports.stage.height_mm
    type_into(height, "7,125")
    QTest.keyClick(height, Qt.Key.Key_Return)
    assert dock.exports.stage.options().stage_z_mm == 7.125


@pytest.mark.parametrize("text", ["100,5; 200,25", "100.5, 200.25", "100,5 200,25"])
def test_going_to_a_position(german: MainWindow, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def act(dialog: GoToDialog) -> int:
        dialog.show()
        type_into(dialog.field, text)
        dialog.accept()
        return dialog.result()

    monkeypatch.setattr(GoToDialog, "exec", act)
    german.navigator.trigger("view.go_to")
    view = german.canvas.view
    assert (view.x, view.y) == (pytest.approx(201.0), pytest.approx(400.5))
