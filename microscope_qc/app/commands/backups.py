"""Backups of the open project: one every hour, and going back to one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project.backups import Backup


def _backups(context: Context) -> None:
    """List the backups, which are read in the background, and offer to go back to one."""
    from microscope_qc.project.backups import backups_of

    project = context.session.project
    if project is None:
        return
    place, name = project.path, project.name
    context.jobs.call(lambda: backups_of(place), on_done=lambda found: _show(context, place, name, found))


def _show(context: Context, place: Path, name: str, found: list[Backup]) -> None:
    from microscope_qc.app.dialogs.backups import BackupsDialog

    session = context.session
    if session.project is None or session.project.path != place:
        return
    dialog = BackupsDialog(name, found, context.navigator.window, can_write=session.can_write)
    if not dialog.exec() or dialog.chosen is None:
        return
    if context.jobs.running:
        raise InputError("A task is still running on this project.", hint="Wait for it, or stop it first.")
    _go_back(context, place, dialog.chosen)


def _go_back(context: Context, place: Path, backup: Backup) -> None:
    """Close the project, put the backup in its place, and open it again, whatever came of it."""

    def open_again() -> None:
        context.navigator.open_paths([place])

    def on_done(said: list[str]) -> None:
        open_again()
        context.session.notice.emit(" ".join(said))

    def on_failed(error: BaseException) -> None:
        open_again()
        context.errors.take(error)

    context.session.set_project(None)
    context.jobs.run(_restored(place, backup), "Go back to a backup", on_done=on_done, on_failed=on_failed)


def _restored(place: Path, backup: Backup) -> Job[list[str]]:
    from microscope_qc.project.backups import restore

    yield Progress(0, 0, "", f"Going back to the backup of {backup.time_text}")
    return restore(place, backup.name, program="window")


ACTIONS = (
    Action(
        "file.backups", "Backups…", "File", _backups, (), "backup-restore", when=with_project, group=2,
        tooltip="Go back to the project as it was at an earlier time",
    ),
)  # fmt: skip
