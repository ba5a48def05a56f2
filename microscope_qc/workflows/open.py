"""Opens the project of a slide or of a folder, and makes one if there is none, without asking the user."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from microscope_qc.core.defect_class import LI_ION_CLASSES, DefectClass
from microscope_qc.core.errors import InputError, OlderProjectError, ProjectError, ReadOnlyProjectError
from microscope_qc.core.files import WriteError
from microscope_qc.core.orientation import AS_STORED
from microscope_qc.project import SUFFIX, Project
from microscope_qc.project.identity import are_same
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import read_facts, slide_stem

DOCUMENTS_FOLDER = "Microscope QC"


def project_for(
    path: Path | str, *, classes: Sequence[DefectClass] = LI_ION_CLASSES, program: str = "command"
) -> Project:
    """Open the project of a slide, or a project itself.

    Parameters
    ----------
    path
        ``NAME.mqc``, or a slide. The project of a slide is ``SLIDE.mqc`` beside it, or in the documents folder when
        the slide's folder is read-only; or the project of the slide's folder, ``FOLDER.mqc`` beside it, when the slide
        is in that. A project of that name that belongs to another slide is left untouched: the next free name is taken.
    classes
        Classes of a new project.
    program
        "window" or "command": what other programs are told about the owner.

    Returns
    -------
    Project
        Open for writing, or for reading when another program owns it (see its ``owner``) or it cannot be written.

    Raises
    ------
    SlideError, ProjectError
        When the slide or the project cannot be opened.
    """
    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
    if place.suffix.lower() == SUFFIX:
        return _open(place, program=program)
    if not place.exists():
        raise InputError(
            f"There is no file {place}.", hint="Check the name; open a slide that was moved from its new folder."
        )
    for folder in (place.parent, documents_folder()):
        for candidate in _names(folder, slide_stem(place)):
            if not candidate.exists():
                break
            if _is_about(candidate, place):
                return _open(candidate, program=program)
    of_folder = folder_project(place.parent)
    if of_folder is not None and _holds(of_folder, place):
        return _open(of_folder, program=program)
    for folder in (place.parent, documents_folder()):
        free = next(name for name in _names(folder, slide_stem(place)) if not name.exists())
        try:
            return Project.create(free, slides=[place], classes=classes, program=program)
        except WriteError:
            continue
    raise ProjectError(
        f"No project can be made for {place.name}: neither its folder nor {documents_folder()} can be written.",
        hint="Copy the slide to a folder that you can write to.",
    )


def folder_project(folder: Path) -> Path | None:
    """Return the project of a folder of pictures, ``FOLDER.mqc`` beside it or in the documents folder, if there is one.

    Raises
    ------
    ProjectError
        When a project of that name cannot be read.
    """
    for where in _beside(folder):
        for candidate in _names(where, folder.name):
            if not candidate.exists():
                break
            if _is_of_folder(candidate, folder):
                return candidate
    return None


def places_for_folder(folder: Path) -> list[Path]:
    """Return where a project of a folder may be made, best first: under a name that nothing has."""
    return [next(name for name in _names(where, folder.name) if not name.exists()) for where in _beside(folder)]


def become_folder_project(project: Path, folder: Path) -> Path:
    """Rename the closed project of a slide into that of its folder; return where it lies now.

    It stays where it is when the folder has a project already, or when nothing can be written beside the folder.
    """
    wanted = folder.parent / f"{folder.name}{SUFFIX}"
    if folder == folder.parent or project.parent != folder or os.path.lexists(wanted):
        return project
    try:
        project.rename(wanted)
    except OSError:
        return project
    return wanted


def documents_folder() -> Path:
    """Return the folder for projects of slides in read-only folders."""
    import platformdirs

    return platformdirs.user_documents_path() / DOCUMENTS_FOLDER


def _beside(folder: Path) -> tuple[Path, ...]:
    return (folder.parent, documents_folder()) if folder.name else ()  # nothing lies beside a whole drive


def _names(folder: Path, stem: str) -> Iterator[Path]:
    yield folder / f"{stem}{SUFFIX}"
    for number in count(2):
        yield folder / f"{stem} ({number}){SUFFIX}"


def _open(folder: Path, *, program: str) -> Project:
    try:
        return Project.open(folder, program=program)
    except ReadOnlyProjectError:
        return Project.open(folder, write=False)


def _is_about(folder: Path, slide: Path) -> bool:
    records = _slides_of(folder)
    if not records or any(record.path == slide for record in records):
        return True
    # the slide is read last: on a network that is slow
    scenes = read_facts(slide)
    if any(scene.orientation != AS_STORED for scene in scenes):  # older projects show their slides as they are stored
        scenes += read_facts(slide, orientation=AS_STORED)
    return any(are_same(record, scene) for scene in scenes for record in records)


def _is_of_folder(project: Path, folder: Path) -> bool:
    records = _slides_of(project)
    return not records or any(record.path.is_relative_to(folder) for record in records)


def _holds(project: Path, slide: Path) -> bool:
    return any(record.path == slide for record in _slides_of(project))


def _slides_of(project: Path) -> list[SlideRecord]:
    # a project that cannot be read raises an error: making a second one beside it would hide that from the user
    try:
        with Project.open(project, write=False) as opened:
            return list(opened.slides)
    except OlderProjectError:
        with Project.open(project) as opened:  # brings its tables up to date
            return list(opened.slides)


def opened_in_turn(paths: Iterable[Path | str]) -> Iterator[Project]:
    """Open projects for reading, each while its turn lasts."""
    for path in paths:
        with Project.open(path, write=False) as project:
            yield project
