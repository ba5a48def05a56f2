"""Going back to a backup in the window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_slides import write_slide

from microscope_qc.app.dialogs.backups import BackupsDialog
from microscope_qc.core.boxes import make_rows
from microscope_qc.project import Project, backups

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window


def box(x: float) -> object:
    return make_rows(1, class_id=1, y0=1, x0=x, y1=9, x1=x + 9)


def test_the_project_is_as_it_was(
    the_window: MainWindow, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.create(tmp_path / "cell.mqc", slides=[write_slide(tmp_path / "a.png", seed=1)]) as made:
        made.boxes.add(1, box(5))
    session = the_window.session
    the_window.navigator.open_paths([tmp_path / "cell.mqc"])
    qtbot.waitUntil(lambda: session.project is not None, timeout=30_000)
    project = session.project
    assert project is not None and len(backups.backup_files(project.path)) == 1, "made at the start"
    project.boxes.add(1, box(30))
    dialogs: list[BackupsDialog] = []

    def choose(dialog: BackupsDialog) -> bool:
        dialogs.append(dialog)
        assert dialog.table.item(0, 1).text() == "1" and not dialog.restore.isEnabled()
        dialog.table.selectRow(0)
        assert dialog.restore.isEnabled()
        return True

    monkeypatch.setattr(BackupsDialog, "exec", choose)
    the_window.book.trigger("file.backups")
    qtbot.waitUntil(lambda: session.project not in (None, project), timeout=30_000)
    assert session.project is not None and len(session.project.boxes.rows()) == 1
    assert sorted(backup.findings for backup in backups.backups_of(project.path)) == [1, 2]
    session.set_project(None)
