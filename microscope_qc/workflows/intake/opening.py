"""Opens what a user chose or dropped as one project: folders of pictures, or several files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from microscope_qc.core.errors import ProjectError, ReadOnlyProjectError
from microscope_qc.core.files import WriteError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.intake.adding import IntakePlan, make_project
from microscope_qc.workflows.intake.finding import find_files, is_slide_folder
from microscope_qc.workflows.intake.masks import looks_like_mask
from microscope_qc.workflows.open import documents_folder, folder_project, places_for_folder, project_for


def open_together(named: Sequence[Path], *, program: str = "command") -> Job[tuple[Project, IntakePlan | None]]:
    """Open the project of a folder, or of the folder that the first of several files lies in; make it if there is none.

    Returns
    -------
    Job[tuple]
        The project, and what was read to make it; None where it was there: nothing was added to it.

    Raises
    ------
    ProjectError
        When it cannot be opened, or made anywhere.
    InputError, SlideError
        As in :func:`~microscope_qc.workflows.intake.adding.plan_intake`.
    """
    folder = folder_of(named)
    yield Progress(0, 0, "", f"Opening {folder.name or folder}")
    there = folder_project(folder)
    if there is not None:
        return project_for(there, program=program), None
    for place in places_for_folder(folder):
        try:
            return (yield from make_project(place, named, program=program))
        except (WriteError, ReadOnlyProjectError):
            continue
    raise ProjectError(
        f"No project can be made for {folder}: neither the folder it lies in nor {documents_folder()} can be written.",
        hint="Copy it to a folder that you can write to.",
    )


def folder_of(named: Sequence[Path]) -> Path:
    """Return the folder that several chosen things are opened as: the first folder, else that of the first file."""
    for path in named:
        if path.is_dir() and not is_slide_folder(path):
            return path
    return named[0].parent


def other_slides(folder: Path, slides: Sequence[SlideRecord]) -> Job[list[Path]]:
    """Return the slides directly in a folder that are not in a project yet, without masks; their pixels stay unread."""
    known = {record.path for record in slides}
    found = yield from find_files([folder], subfolders=False)
    others: list[Path] = []
    for path in found.slides:
        if path not in known and not (path in found.doubtful and looks_like_mask(path)):
            others.append(path)
        yield Progress(len(others), len(found.slides), "files")
    return others
