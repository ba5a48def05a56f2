"""What is known of each cell of a slide: part of which label, nothing, rejected, or unknown. No torch in here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.geometry import Region
from microscope_qc.ml.features.grid import FINE, FeatureGrid
from microscope_qc.ml.features.store import FeatureStore

BACKGROUND, IGNORED, REJECTED = -1, -2, -3
"""What a cell is that is part of no label; cells of labels have the number of the label."""
CORE, NEAR_CELLS = 0.5, 0.75
"""A cell is of a label within this share of its box around the middle, and so many cells of the middle in any case."""
_MARGIN_PX = 8.0
"""So near a box a cell is neither of it nor background."""
_AROUND_PX = 48.0
"""What is so near a label was looked at."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a slide; boxes (n, 4) are y0, x0, y1, x1 in full-resolution pixels.

    Attributes
    ----------
    boxes
        Defects that a user drew or confirmed.
    rejected
        What a user said is none.
    unknown
        What was found, but not judged: neither.
    complete
        Cells of stride 16 (rows, columns) where everything is labelled; None where that is nowhere.
    """

    store: FeatureStore
    boxes: Floats
    rejected: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    unknown: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    complete: Flags | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the cells of a part of the map.

    Attributes
    ----------
    of : (rows, columns)
        Row of the label, or one of the constants above.
    near : (rows, columns)
        Whether a label is near.
    complete : (rows, columns)
        Whether everything is labelled there.
    """

    of: Ints
    near: Flags
    complete: Flags


def standing(lesson: Lesson, cells: Region) -> Standing:
    """What is known of the cells of a part of the map; a cell looks at the pixel at its corner."""
    rows, columns = cells.shape
    of = np.full((rows, columns), BACKGROUND, np.int64)
    near, complete = np.zeros((rows, columns), bool), np.zeros((rows, columns), bool)
    if lesson.complete is not None:
        complete |= lesson.complete[cells.y0 : cells.y1, cells.x0 : cells.x1]
    part = _Part(cells)
    grid = lesson.store.grid
    boxes = grid.from_slide(lesson.boxes)
    for _, box in part.touching(boxes, _AROUND_PX):
        near |= part.within(box, _AROUND_PX)
    for _, box in part.touching(grid.from_slide(lesson.unknown), _MARGIN_PX):
        of[part.within(box, _MARGIN_PX)] = IGNORED
    for _, box in part.touching(boxes, _MARGIN_PX):
        of[part.within(box, _MARGIN_PX)] = IGNORED
    for _, box in part.touching(_reached(grid.from_slide(lesson.rejected), grid), FINE):
        of[away_from_middle(box, cells) <= 1] = REJECTED
    nearest = np.full((rows, columns), np.inf)
    for number, box in part.touching(_reached(boxes, grid), FINE):
        away = away_from_middle(box, cells)
        mine = (away <= 1) & (away < nearest)
        of[mine], nearest[mine] = number, away[mine]
    return Standing(of, near, complete)


def _reached(boxes: Floats, grid: FeatureGrid) -> Floats:
    """Boxes of which the middle is behind the last cell's corner are moved there."""
    last = (np.array(grid.shape, float) - 1) * FINE
    behind = np.maximum((boxes[:, :2] + boxes[:, 2:]) / 2 - last, 0.0)
    moved: Floats = boxes - np.tile(behind, 2)
    return moved


class _Part:
    """Where the cells of a part of the map look, in pixels as the network sees them."""

    def __init__(self, cells: Region) -> None:
        self._y = (np.arange(cells.y0, cells.y1) * float(FINE))[:, None]
        self._x = (np.arange(cells.x0, cells.x1) * float(FINE))[None]

    def touching(self, boxes: Floats, margin: float) -> Iterator[tuple[int, Floats]]:
        """Those of some boxes that may reach a cell, with their numbers."""
        y0, x0, y1, x1 = boxes.T
        near = (y0 - margin < self._y[-1, 0]) & (y1 + margin > self._y[0, 0])
        near &= (x0 - margin < self._x[0, -1]) & (x1 + margin > self._x[0, 0])
        for number in np.flatnonzero(near):
            yield int(number), boxes[number]

    def within(self, box: Floats, margin: float) -> Flags:
        """The cells that are within a box or so near it."""
        y0, x0, y1, x1 = box + np.array([-margin, -margin, margin, margin])
        inside: Flags = (self._y > y0) & (self._y < y1) & (self._x > x0) & (self._x < x1)
        return inside


def away_from_middle(box: Floats, cells: Region, *, core: float = CORE, near_cells: float = NEAR_CELLS) -> Floats:
    """How far cells are from the middle of a box (y0, x0, y1, x1 as the network sees it); 1 where its core ends."""
    y0, x0, y1, x1 = box
    y, x = np.arange(cells.y0, cells.y1) * float(FINE), np.arange(cells.x0, cells.x1) * float(FINE)
    half_y, half_x = (max(side / 2 * core, FINE * near_cells) for side in (y1 - y0, x1 - x0))
    away_y, away_x = abs(y - (y0 + y1) / 2) / half_y, abs(x - (x0 + x1) / 2) / half_x
    away: Floats = np.maximum(away_y[:, None], away_x[None])
    return away
