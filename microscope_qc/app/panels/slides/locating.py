"""Saying where the file of a slide is now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMessageBox

from microscope_qc.app.base.slide_files import containing_slide, slide_filter
from microscope_qc.core.errors import InputError
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.intake.identity import located_facts

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project import Project


def locate(context: Context, slide_id: int) -> None:
    """Ask where a slide is now."""
    project = context.session.project
    if project is None or slide_id == 0:
        return
    slide = next(record for record in project.slides if record.id == slide_id)
    folder = slide.path.parent
    start = str(folder if folder.exists() else project.path.parent)
    window = context.navigator.window
    chosen, _ = QFileDialog.getOpenFileName(window, f"Where is {slide.path.name}?", start, slide_filter())
    if not chosen:
        return
    place = containing_slide(Path(chosen))
    context.session.notice.emit(f"Checking whether {place.name} is {slide.name} …")
    context.jobs.run(
        located_facts(slide, place),
        f"Find {slide.name} again",
        on_done=lambda facts: _relocate(context, project, slide_id, facts),
        on_failed=_raise,
    )


def _raise(error: BaseException) -> None:
    raise error  # what cannot be opened here is shown as of any click


def _relocate(context: Context, project: Project, slide_id: int, facts: SceneFacts) -> None:
    if project is not context.session.project or not any(record.id == slide_id for record in project.slides):
        return  # closed, or the slide was removed, in the meantime
    try:
        project.slides.relocate(slide_id, facts.path, facts=facts)
    except InputError as error:
        answer = QMessageBox.question(
            context.navigator.window, "Another slide", f"{error}\n\nUse it anyway? The boxes keep their positions."
        )
        if answer == QMessageBox.StandardButton.Yes:
            project.slides.relocate(slide_id, facts.path, facts=facts, force=True)
