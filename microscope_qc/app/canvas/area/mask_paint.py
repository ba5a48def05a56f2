"""Painting the scan area of a detection: a brush and rectangles on coarse cells, with undo. No Qt.

Positions are in full-resolution slide pixels. The cost of a stroke depends on the cells under it, not on the slide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.area_mask import AreaMask

Cells = tuple[slice, slice]
"""Rows and columns of cells that changed."""
MOST_STEPS = 500
HALF_DIAGONAL = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class _Step:
    """Which cells of a part a step flipped, eight to a byte."""

    cells: Cells
    turned: np.ndarray


class MaskPaint:
    """A mask that is being edited."""

    def __init__(self, mask: AreaMask) -> None:
        self._region, self._cell = mask.region, mask.cell_px
        self.scan = mask.scan.copy()
        self._before: np.ndarray | None = None
        self._touched: Cells | None = None
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    @property
    def mask(self) -> AreaMask:
        """The current mask; later changes do not affect it."""
        return AreaMask(self._region, self._cell, self.scan.copy())

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    @property
    def stroke_under_way(self) -> bool:
        """Whether :meth:`begin` was called and :meth:`end` was not."""
        return self._before is not None

    # -- a stroke ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a step: it contains all changes until :meth:`end`."""
        self._before, self._touched = self.scan.copy(), None

    def brush(
        self, start: tuple[float, float], end: tuple[float, float], *, radius_px: tuple[float, float], add: bool
    ) -> Cells | None:
        """Draw a round brush from ``start`` to ``end`` (y, x); ``radius_px`` is that of the brush, (y, x).

        A cell is painted if its middle is under the brush; the cells on the path of the brush's middle are always
        painted.
        """
        radius = tuple(max(r, HALF_DIAGONAL * cell) for r, cell in zip(radius_px, self._cell, strict=True))
        low = [min(a, b) - r for a, b, r in zip(start, end, radius, strict=True)]
        high = [max(a, b) + r for a, b, r in zip(start, end, radius, strict=True)]
        cells = self._cells(low, high)
        if cells is None:
            return None
        # in units of the brush's radius the brush is a circle, also where pixels are not square
        y, x = (
            ((np.arange(part.start, part.stop) + 0.5) * side + corner - a) / r
            for part, side, corner, a, r in zip(cells, self._cell, self._corner, start, radius, strict=True)
        )
        dy, dx = ((b - a) / r for a, b, r in zip(start, end, radius, strict=True))
        left, right = _under_brush(y, dy, dx)
        under = (x >= left[:, None]) & (x <= right[:, None])
        return self._put(cells, under, add=add)

    def rectangle(self, y0: float, x0: float, y1: float, x1: float, *, add: bool) -> Cells | None:
        """Fill a rectangle: cells are added if it touches them, and left out if at least half of them is inside."""
        half = 0.0 if add else 0.5
        low = [min(a, b) + half * side for a, b, side in zip((y0, x0), (y1, x1), self._cell, strict=True)]
        high = [max(a, b) - half * side for a, b, side in zip((y0, x0), (y1, x1), self._cell, strict=True)]
        middle = ((y0 + y1) / 2, (x0 + x1) / 2)
        for axis in (0, 1):
            if low[axis] > high[axis]:  # smaller than a cell: the one it is in
                low[axis] = high[axis] = middle[axis]
        cells = self._cells(low, high)
        if cells is None:
            return None
        return self._put(cells, np.ones(self.scan[cells].shape, bool), add=add)

    def end(self) -> bool:
        """Finish the stroke; returns whether it changed anything."""
        before, touched = self._before, self._touched
        self._before = self._touched = None
        if before is None or touched is None:
            return False
        turned = before[touched] ^ self.scan[touched]
        if not turned.any():
            return False
        self._done.append(_Step(touched, np.packbits(turned)))
        del self._done[:-MOST_STEPS]
        self._undone.clear()
        return True

    def drop(self) -> Cells | None:
        """Cancel the current stroke."""
        before, touched = self._before, self._touched
        self._before = self._touched = None
        if before is None or touched is None:
            return None
        self.scan[touched] = before[touched]
        return touched

    # -- steps -------------------------------------------------------------------------------------------------------

    def replace(self, scan: np.ndarray) -> Cells | None:
        """Replace all cells, as one step; None if they are the same."""
        self.begin()
        everything = (slice(0, self.scan.shape[0]), slice(0, self.scan.shape[1]))
        self.scan[:] = scan
        self._touched = everything
        return everything if self.end() else None

    def undo(self) -> Cells | None:
        """Undo the last step."""
        return self._turn(self._done, self._undone)

    def redo(self) -> Cells | None:
        """Redo the last step that was undone."""
        return self._turn(self._undone, self._done)

    def _turn(self, source: list[_Step], target: list[_Step]) -> Cells | None:
        if not source or self.stroke_under_way:
            return None
        step = source.pop()
        target.append(step)
        part = self.scan[step.cells]
        part ^= np.unpackbits(step.turned, count=part.size).reshape(part.shape).astype(bool)
        return step.cells

    # -- cells -------------------------------------------------------------------------------------------------------

    @property
    def _corner(self) -> tuple[int, int]:
        return self._region.y0, self._region.x0

    def _cells(self, low: list[float], high: list[float]) -> Cells | None:
        """Cells from one position to another, both included; None if they are outside the mask."""
        parts = []
        for axis in (0, 1):
            side, corner, count = self._cell[axis], self._corner[axis], self.scan.shape[axis]
            first = max(0, math.floor((low[axis] - corner) / side))
            stop = min(count, math.floor((high[axis] - corner) / side) + 1)
            if first >= stop:
                return None
            parts.append(slice(first, stop))
        return parts[0], parts[1]

    def _put(self, cells: Cells, under: np.ndarray, *, add: bool) -> Cells:
        part = self.scan[cells]
        part[under] = add
        if self._before is not None:
            old = self._touched or cells
            self._touched = (
                slice(min(old[0].start, cells[0].start), max(old[0].stop, cells[0].stop)),
                slice(min(old[1].start, cells[1].start), max(old[1].stop, cells[1].stop)),
            )
        return cells


def _under_brush(y: np.ndarray, dy: float, dx: float) -> tuple[np.ndarray, np.ndarray]:
    """First and last x of every row under a circle of radius 1 moved from (0, 0) to (dy, dx); inf if none is.

    The swept area is convex, so that it covers one interval of each row: the union of the circles at both ends and
    the band between them. Testing every cell takes ten times as long.
    """
    lefts, rights = [], []
    for end_y, end_x in ((0.0, 0.0), (dy, dx)):
        reach = 1.0 - (y - end_y) ** 2
        half = np.sqrt(np.maximum(reach, 0.0))
        lefts.append(np.where(reach >= 0, end_x - half, np.inf))
        rights.append(np.where(reach >= 0, end_x + half, -np.inf))
    length = math.hypot(dy, dx)
    if length > 0:
        low, high = np.full(len(y), -np.inf), np.full(len(y), np.inf)
        # at most 1 from the line, and next to it rather than before its start or beyond its end
        for slope, near, far in (
            (dy, y * dx - length, y * dx + length), (dx, -y * dy, length**2 - y * dy),
        ):  # fmt: skip
            if slope != 0:
                low = np.maximum(low, np.minimum(near / slope, far / slope))
                high = np.minimum(high, np.maximum(near / slope, far / slope))
            else:
                outside = (near > 0) | (far < 0)
                low[outside], high[outside] = np.inf, -np.inf
        band = low <= high
        lefts.append(np.where(band, low, np.inf))
        rights.append(np.where(band, high, -np.inf))
    return np.minimum.reduce(lefts), np.maximum.reduce(rights)
