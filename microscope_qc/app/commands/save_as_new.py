"""Saving a project under another name, after its folder was deleted, renamed or replaced while it was open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMessageBox

from microscope_qc.app.base.slide_files import PROJECT_SUFFIX
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.project.project import project_path

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.core.jobs import Job
    from microscope_qc.project import Project
    from microscope_qc.project.copying import ProjectCopy


def save_as_new(context: Context) -> None:
    """Ask for a name, save everything under it in the background, and go on with that."""
    project = context.session.project
    if project is None:
        return
    chosen, _ = QFileDialog.getSaveFileName(
        context.navigator.window, "Save as a new project", str(_free_name(project)), f"Projects (*{PROJECT_SUFFIX})"
    )
    if not chosen:
        return

    def on_done(done: tuple[Project, ProjectCopy]) -> None:
        saved, copy = done
        count = sum(len(saved.boxes.table(slide.id)) for slide in saved.slides)
        words = f"{things(count, 'finding')}, {things(len(saved.slides), 'slide')}"
        slide = context.session.slide
        context.session.set_project(saved)
        if slide is not None:
            context.session.show_slide(slide.id)
        context.settings.add_recent(saved.path)
        context.navigator.save_settings()
        context.session.notice.emit(f"Saved as {saved.name}: {words}.")
        if copy.missing:
            context.errors.take(MicroscopeQCError("\n".join(copy.missing)))

    context.jobs.run(_saved(project, project_path(chosen)), f"Save as {Path(chosen).stem}", on_done=on_done)


def may_leave(context: Context) -> bool:
    """Whether the open project may be closed; where it would be lost with that, the user is asked."""
    project = context.session.project
    error = None if project is None else project.displaced
    if project is None or error is None:
        return True
    box = QMessageBox(context.navigator.window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle(project.name)
    box.setText(error.message)
    box.setInformativeText("What is not saved as a new project now may be lost when it is closed.")
    save = box.addButton("Save as a new project…", QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton("Close without saving", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(save)
    box.exec()
    if box.clickedButton() is save:
        save_as_new(context)
    return box.clickedButton() is leave


def _free_name(project: Project) -> Path:
    """A name that nothing has, beside the place where the project was, or at home where that folder is gone, too."""
    folder = project.path.parent if project.path.parent.is_dir() else Path.home()
    number, stem = 2, project.path.stem
    while (folder / f"{stem} ({number}){PROJECT_SUFFIX}").exists():
        number += 1
    return folder / f"{stem} ({number}){PROJECT_SUFFIX}"


def _saved(project: Project, path: Path) -> Job[tuple[Project, ProjectCopy]]:
    from microscope_qc.project import Project as Opened
    from microscope_qc.project.copying import copy_project

    copy = yield from copy_project(project, path)
    saved = Opened.open(copy.path, program="window")
    for slide in saved.slides:  # in this thread: reading them later would freeze the window
        saved.boxes.table(slide.id)
    return saved, copy
