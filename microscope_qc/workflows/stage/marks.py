"""Marks: their stage positions from text and pictures, and their exact places on the slide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import metric_text, things
from microscope_qc.correlation.positions import positions_in
from microscope_qc.correlation.snapping import snapped
from microscope_qc.project import Project
from microscope_qc.project.records import Mark, SlideRecord
from microscope_qc.workflows.scenes import open_scene

RADIUS_UM, RADIUS_PX = 15.0, 30.0
"""How far a mark is looked for around where it was placed; in pixels where the pixel size is not known."""
FEWEST_PX, MOST_PX = 8.0, 200.0
AROUND = 2.5
"""The picture around a mark is so many times as large as the radius to each side."""


def keep_positions(project: Project, positions: Mapping[int, tuple[float, float]], *, title: str = "") -> None:
    """Give marks their stage positions (x, y) in mm, by the id of each mark, as one command."""
    changes = {number: {"stage_x_mm": x, "stage_y_mm": y} for number, (x, y) in positions.items()}
    project.marks.edit_many(changes, title=title or f"Stage positions of {things(len(changes), 'mark')}")


def pasted_positions(
    marks: Sequence[Mark], text: str, *, start: int = 0, unit: str = "mm"
) -> dict[int, tuple[float, float]]:
    """Return which mark each line of a text is about: the one that it names, else one after the other.

    Parameters
    ----------
    start
        Place of the mark that the first line without a name is about.

    Raises
    ------
    InputError
        When a line names no mark, or there are more lines than marks.
    """
    by_name = {mark.name.casefold(): mark.id for mark in marks}
    found: dict[int, tuple[float, float]] = {}
    following = [mark.id for mark in marks[start:]]
    for name, position in positions_in(text, unit=unit):
        if name and name.casefold() not in by_name:
            names = ", ".join(mark.name for mark in marks) or "none yet"
            raise InputError(f"There is no mark “{name[:40]}”.", hint=f"The marks are: {names}.")
        if not name and not following:
            raise InputError("There are more positions than marks.", hint="Place the other marks first.")
        number = by_name[name.casefold()] if name else following.pop(0)
        found[number] = position
    return found


def exact_place(slide: SlideRecord, mark: Mark, *, radius_um: float | None = None) -> tuple[float, float]:
    """Return where the corner, crossing or indent near a mark lies, (y, x) in slide pixels; reads the slide.

    Raises
    ------
    InputError
        When there is none.
    SlideError
        When the slide cannot be read.
    """
    radius_px = _radius_px(slide, radius_um)
    height, width = slide.shape_px
    half = round(AROUND * radius_px)
    y, x = round(mark.y_px), round(mark.x_px)
    region = Region(max(y - half, 0), max(x - half, 0), min(y + half, height), min(x + half, width))
    with open_scene(slide) as mosaic:
        pixels = mosaic.read_scaled(region, region.shape)
    grey = np.asarray(pixels, float).mean(axis=2)
    # the middle of a region's first pixel lies half a pixel from its corner
    found = snapped(grey, mark.y_px - region.y0 - 0.5, mark.x_px - region.x0 - 0.5, radius_px=radius_px)
    if found is None:
        size = slide.pixel_size_um
        around = f"{radius_px:.0f} px" if size is None else metric_text(radius_px * size[1])
        raise InputError(
            f"There is no corner, crossing or indent within {around} of {mark.name}.",
            hint="Place the mark nearer to it, or leave it where it is.",
        )
    return found.y + region.y0 + 0.5, found.x + region.x0 + 0.5


def _radius_px(slide: SlideRecord, radius_um: float | None) -> float:
    size = slide.pixel_size_um
    if size is None:
        if radius_um is not None:
            raise InputError(f"The pixel size of {slide.name} is not known.", hint="Enter it first, or leave it out.")
        return RADIUS_PX
    wanted = (RADIUS_UM if radius_um is None else radius_um) / max(size)
    return min(max(wanted, FEWEST_PX), MOST_PX)


def move_to(project: Project, mark: Mark, place: tuple[float, float]) -> float:
    """Move a mark to its exact place, as one command; return how far that is, in px."""
    y, x = place
    moved = float(np.hypot(y - mark.y_px, x - mark.x_px))
    project.marks.edit(mark.id, title=f"Snap mark {mark.name}", y_px=round(y, 2), x_px=round(x, 2))
    return moved
