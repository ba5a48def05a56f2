"""Pictures that an electron microscope took of marks: the stage positions in them are those of the marks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ExchangeError, InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.records import Mark
from microscope_qc.slides import open_slide
from microscope_qc.workflows.stage.marks import keep_positions

CENTRED = "The position is that of a picture's middle: the mark has to lie there."


@dataclass(frozen=True, slots=True)
class SemPicture:
    """What a picture says about where it was taken; ``stage_mm`` is (x, y), ``field_um`` its (width, height).

    ``mark`` is the id of the mark that its name says, None for none or several; ``notes`` are sentences about what
    makes the position doubtful.
    """

    path: Path
    stage_mm: tuple[float, float]
    source: str
    field_um: tuple[float, float] | None
    mark: int | None = None
    notes: tuple[str, ...] = ()


def read_sem_picture(path: Path | str, marks: Sequence[Mark] = ()) -> SemPicture:
    """Read the stage position of a picture; its pixels are not read.

    Raises
    ------
    SlideError
        When it cannot be opened.
    ExchangeError
        When it does not say where it was taken.
    """
    path = Path(path)
    with open_slide(path) as slide:
        scene = slide.scenes[0]
        stage, size, shape = scene.stage or {}, scene.pixel_size_um, scene.shape
    if "x_mm" not in stage or "y_mm" not in stage:
        raise ExchangeError(
            f"{path.name} does not say where on the stage it was taken.",
            hint="Type the position, or save the picture in the microscope's own format.",
        )
    field = None if size is None else (shape[1] * size[1], shape[0] * size[0])
    return SemPicture(
        path,
        (float(stage["x_mm"]), float(stage["y_mm"])),
        str(stage.get("source", "")),
        field,
        _mark_in(path.stem, marks),
        tuple(_doubts(stage)),
    )


def _mark_in(name: str, marks: Sequence[Mark]) -> int | None:
    """The mark whose name is a word of a file's name: "M1" of "cell_M1_500x"."""
    words = {
        mark.id
        for mark in marks
        if re.search(rf"(?<![^\W_]){re.escape(mark.name)}(?![^\W_])", name.replace("_", " "), re.IGNORECASE)
    }
    return words.pop() if len(words) == 1 else None


def _doubts(stage: Mapping[str, Any]) -> list[str]:
    doubts = []
    if stage.get("beam_shifted"):
        doubts.append("The beam was shifted: its middle is not where the stage was.")
    tilt = float(stage.get("tilt_deg", 0.0))
    if abs(tilt) > 1:
        doubts.append(f"The stage was tilted by {tilt:.1f}°.")
    return doubts


@dataclass(frozen=True, slots=True)
class SemPictures:
    """Pictures that say where they were taken, and sentences about those that do not."""

    pictures: tuple[SemPicture, ...]
    problems: tuple[str, ...] = ()


def read_sem_pictures(paths: Sequence[Path], marks: Sequence[Mark]) -> Job[SemPictures]:
    """Read the stage positions of pictures; what cannot be read is a problem of its own."""
    pictures: list[SemPicture] = []
    problems: list[str] = []
    for number, path in enumerate(paths):
        yield Progress(number, len(paths), "pictures", path.name)
        try:
            pictures.append(read_sem_picture(path, marks))
        except MicroscopeQCError as error:
            problems.append(str(error))
    yield Progress(len(paths), len(paths), "pictures")
    return SemPictures(tuple(pictures), tuple(problems))


def keep_pictures(project: Project, found: SemPictures) -> dict[str, SemPicture]:
    """Give the marks that pictures are named after their positions; return the picture of each mark.

    Raises
    ------
    InputError
        When a picture cannot be read, is named after no mark, or several are named after one.
    """
    if found.problems:
        raise InputError(found.problems[0], hint="Leave it out.")
    nameless = [picture.path.name for picture in found.pictures if picture.mark is None]
    if nameless:
        raise InputError(
            f"{listed(nameless[:3])} {'is' if len(nameless) == 1 else 'are'} named after no mark of the slide.",
            hint="Name the files after the marks, such as M1.tif.",
        )
    by_mark = {picture.mark: picture for picture in found.pictures if picture.mark is not None}
    if len(by_mark) < len(found.pictures):
        raise InputError("Two of the pictures are named after one mark.", hint="Leave one of them out.")
    keep_positions(project, {mark: picture.stage_mm for mark, picture in by_mark.items()})
    return {project.marks.by_id(mark).name: picture for mark, picture in by_mark.items()}
