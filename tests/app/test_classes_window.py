"""Class manager, imports, filter and history from the window's menus."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from microscope_qc.app.commands import exchange
from microscope_qc.app.panels.classes.manager import ClassManager
from microscope_qc.app.panels.exchange.import_dialog import ImportDialog
from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.exchange.export import export_boxes

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton


def test_the_manager_stays_open_and_every_view_follows(window: MainWindow) -> None:
    window.navigator.trigger("classes.manage")
    manager = window.findChild(ClassManager)
    assert manager.isVisible()
    second = window.session.classes[1]
    window.navigator.show_panel("classes").manage_requested.emit(second.id)
    assert manager.form.item.id == second.id
    manager.form.code.setText("ZZZ")
    QTest.keyClick(manager.form.code, Qt.Key.Key_Return)
    dock = window.navigator.show_panel("classes")
    assert list(dock.rows())[1].text(1) == "ZZZ"
    window.navigator.trigger("edit.undo")
    assert manager.form.code.text() == second.code and list(dock.rows())[1].text(1) == second.code
    window.session.set_project(None)
    assert manager.list.topLevelItemCount() == 0
    manager.close()


def test_a_large_import_is_written_by_a_worker(
    window: MainWindow, qtbot: QtBot, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "findings.json"
    run_job(export_boxes(project, path, "coco"))
    monkeypatch.setattr(exchange, "WRITTEN_AT_ONCE", 0)
    dialog = exchange.import_from(window.context, path)
    assert isinstance(dialog, ImportDialog)
    qtbot.waitUntil(dialog.take.isEnabled, timeout=60_000)
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)
    before = len(window.session.table)
    QTest.mouseClick(dialog.take, LEFT)
    assert project.is_writing and len(window.session.table) == before
    assert not window.book.actions["edit.undo"].isEnabled()
    window.navigator.trigger("edit.delete")
    assert "being written" in window.toast.text
    qtbot.waitUntil(lambda: not project.is_writing, timeout=60_000)
    assert len(window.session.table) == before + 8
    assert window.book.actions["edit.undo"].isEnabled()
    window.navigator.trigger("edit.undo")
    assert len(window.session.table) == before


def test_the_history_is_written_as_a_table(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "history"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    window.navigator.trigger("file.history")
    written = target.with_suffix(".csv")
    qtbot.waitUntil(lambda: written.exists() and "Written" in window.toast.text, timeout=60_000)
    with written.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert any(line["what"] == "Import 8 boxes" and line["user"] for line in lines)


def test_the_filter_is_shown_at_the_bottom_and_removed(window: MainWindow) -> None:
    assert not window.book.actions["view.show_all"].isEnabled()
    window.session.set_filter(min_confidence=0.5)
    hint = window.status.filter_hint
    assert hint.isVisible() and "of 8 shown" in hint.words.text()
    assert window.book.actions["view.show_all"].isEnabled()
    window.navigator.trigger("view.show_all")
    assert not hint.isVisible() and window.session.project.filters.current == BoxFilter()
    assert not window.book.actions["view.show_all"].isEnabled()
