"""Where the numbers stand beside their circles, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DIRECTIONS = (45, 135, 315, 225, 0, 180, 90, 270)
"""Degrees counter-clockwise from the right; corners first, where a number hides least."""


class LabelPlacer:
    """Finds free places; occupied ones are kept in a coarse grid, so that thousands of labels stay quick."""

    def __init__(self, width: int, height: int, *, cell_px: int = 128) -> None:
        self._width, self._height, self._cell = width, height, cell_px
        self._grid: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}

    def occupy(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Keep labels off a rectangle."""
        for cell in self._cells(x0, y0, x1, y1):
            self._grid.setdefault(cell, []).append((x0, y0, x1, y1))

    def place(self, x: float, y: float, radius: float, size: tuple[float, float], gap: float) -> tuple[float, float]:
        """Upper left corner for a label of ``size`` (width, height) at a circle; the least covered place if need be."""
        width, height = size
        best, least = (x + radius, y - radius - height), math.inf
        for ring in (0.0, 0.9 * height, 2.0 * height, 3.5 * height):
            for degrees in _DIRECTIONS:
                turn = math.radians(degrees)
                reach = radius + gap + ring
                cx = x + math.cos(turn) * (reach + width / 2)
                cy = y - math.sin(turn) * (reach + height / 2)
                rectangle = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                if rectangle[0] < 0 or rectangle[1] < 0 or rectangle[2] > self._width or rectangle[3] > self._height:
                    continue
                covered = self._covered(rectangle) + ring * 0.01
                if covered < least:
                    best, least = (rectangle[0], rectangle[1]), covered
                if self._covered(rectangle) == 0:
                    self.occupy(*rectangle)
                    return rectangle[0], rectangle[1]
        best = (min(max(best[0], 0), self._width - width), min(max(best[1], 0), self._height - height))
        self.occupy(best[0], best[1], best[0] + width, best[1] + height)
        return best

    def _cells(self, x0: float, y0: float, x1: float, y1: float) -> Sequence[tuple[int, int]]:
        size = self._cell
        rows = range(int(y0 // size), int(y1 // size) + 1)
        return [(row, column) for row in rows for column in range(int(x0 // size), int(x1 // size) + 1)]

    def _covered(self, rectangle: tuple[float, float, float, float]) -> float:
        x0, y0, x1, y1 = rectangle
        others = {other for cell in self._cells(x0, y0, x1, y1) for other in self._grid.get(cell, ())}
        return sum(
            max(0.0, min(x1, ox1) - max(x0, ox0)) * max(0.0, min(y1, oy1) - max(y0, oy0))
            for ox0, oy0, ox1, oy1 in others
        )
