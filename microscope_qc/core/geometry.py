"""Boxes and tiles in full-resolution slide pixels: (y, x), half-open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open rectangle ``[y0, y1) x [x0, x1)`` in whole pixels."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels (never negative)."""
        return max(0, self.y1 - self.y0), max(0, self.x1 - self.x0)

    @property
    def empty(self) -> bool:
        """Whether no pixel lies inside."""
        return self.y1 <= self.y0 or self.x1 <= self.x0

    def clip(self, shape: tuple[int, int]) -> Region:
        """Cut to ``[0, shape)``."""
        height, width = shape
        return Region(
            min(max(self.y0, 0), height),
            min(max(self.x0, 0), width),
            min(max(self.y1, 0), height),
            min(max(self.x1, 0), width),
        )

    def grow(self, margin: int) -> Region:
        """Move every side outwards by ``margin`` pixels."""
        return Region(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of equal size that overlap and cover ``region`` completely.

    The last tile of a row or column is moved back so that it ends with the region; a region smaller than a tile
    gives one tile of the region's size.

    ``lattice_px`` (y, x): all tiles but the last of a row or column begin at multiples of it, counted from the slide's
    own first pixel, so that the same place lies alike in its tile wherever the region begins. The first tile then
    begins up to one multiple before the region. 0 means any pixel.
    """

    region: Region
    tile_px: int
    overlap_px: int
    lattice_px: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.tile_px <= 0 or not 0 <= self.overlap_px < self.tile_px:
            raise ValueError(f"a tile of {self.tile_px} px cannot overlap by {self.overlap_px} px")
        if min(self.lattice_px) < 0 or max(self.lattice_px) > self.overlap_px:
            raise ValueError(f"a lattice of {self.lattice_px} px leaves gaps between tiles")

    def _starts(self, axis: int) -> tuple[int, ...]:
        outer = self.region
        start, stop = ((outer.y0, outer.y1), (outer.x0, outer.x1))[axis]
        return _starts(start, stop, self.tile_px, self.overlap_px, self.lattice_px[axis])

    @property
    def starts(self) -> tuple[np.ndarray, np.ndarray]:
        """First row of every row of tiles, and first column of every column of tiles."""
        return np.array(self._starts(0), np.int64), np.array(self._starts(1), np.int64)

    @property
    def rows(self) -> int:
        """Number of tile rows."""
        return len(self._starts(0))

    @property
    def columns(self) -> int:
        """Number of tile columns."""
        return len(self._starts(1))

    def __len__(self) -> int:
        return self.rows * self.columns

    def __iter__(self) -> Iterator[Region]:
        for y0 in self._starts(0):
            for x0 in self._starts(1):
                yield Region(y0, x0, min(y0 + self.tile_px, self.region.y1), min(x0 + self.tile_px, self.region.x1))

    def __getitem__(self, index: int) -> Region:
        ys, xs = self._starts(0), self._starts(1)
        if not 0 <= index < len(ys) * len(xs):
            raise IndexError(index)
        y0, x0 = ys[index // len(xs)], xs[index % len(xs)]
        return Region(y0, x0, min(y0 + self.tile_px, self.region.y1), min(x0 + self.tile_px, self.region.x1))

    def near(self, marked: np.ndarray, boxes: np.ndarray, *, margin_px: float) -> Flags:
        """Whether a marked tile comes nearer than ``margin_px`` to each box: counted in a summed-area table.

        Parameters
        ----------
        marked : (rows, columns) ndarray of bool
        boxes : (N, 4) ndarray
            y0, x0, y1, x1.
        """
        summed = np.zeros((self.rows + 1, self.columns + 1), np.int64)
        np.cumsum(np.cumsum(marked, axis=0), axis=1, out=summed[1:, 1:])
        ranges = []
        for axis, starts in enumerate(self.starts):
            first = np.searchsorted(starts + self.tile_px, boxes[:, axis] - margin_px, side="right")
            stop = np.searchsorted(starts, boxes[:, axis + 2] + margin_px, side="left")
            ranges.append((first, np.maximum(first, stop)))
        (y0, y1), (x0, x1) = ranges
        found: Flags = summed[y1, x1] - summed[y0, x1] - summed[y1, x0] + summed[y0, x0] > 0
        return found


@lru_cache(maxsize=64)
def _starts(start: int, stop: int, tile: int, overlap: int, lattice: float) -> tuple[int, ...]:
    """Where the tiles of a row or column begin."""
    length = stop - start
    if length <= 0:
        return ()
    if length <= tile:
        return (start,)
    first = math.floor(start / lattice) * lattice if lattice else start
    step = tile - overlap
    count = math.ceil((stop - tile - first) / step) + 1
    starts: list[int] = []
    for number in range(count):
        place = first + number * step
        if lattice:
            place = round(place / lattice) * lattice
        place = min(round(place), stop - tile)
        if number == count - 1:
            place = stop - tile
        if not starts or place > starts[-1]:
            starts.append(place)
    return tuple(starts)


def touching_pairs(boxes: np.ndarray, *, margin_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``i < j`` of all boxes that overlap when each is grown by ``margin_px``; boxes (N, 4) as y0, x0, y1, x1.

    The pairs come in no particular order. Every box lies in the one square cell that holds its centre. Boxes are sorted
    into sizes, cells of a size being at least as large as its boxes, so that whatever touches a box lies in the 3 x 3
    cells around its centre.
    """
    count = len(boxes)
    if count < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    y0, x0 = boxes[:, 0] - margin_px, boxes[:, 1] - margin_px
    y1, x1 = boxes[:, 2] + margin_px, boxes[:, 3] + margin_px
    sides = np.maximum(y1 - y0, x1 - x0)
    extent = max(float(y1.max() - y0.min()), float(x1.max() - x0.min()), 1e-9)
    smallest = max(float(np.quantile(sides, 0.75)), 1e-6 * extent)
    size_class = np.ceil(np.log2(np.maximum(sides / smallest, 1.0))).astype(np.int64)
    centres_y, centres_x = (y0 + y1) / 2 - y0.min(), (x0 + x1) / 2 - x0.min()
    corners = tuple(np.ascontiguousarray(side) for side in (y0, x0, y1, x1))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    finer = np.empty(0, np.int64)
    for step in np.unique(size_class):
        own = np.flatnonzero(size_class == step)
        cells = _Cells(centres_y, centres_x, own, smallest * 2.0 ** float(step))
        for one, other in (cells.among_themselves(), *cells.with_others(finer)):
            hit = (corners[0][one] < corners[2][other]) & (corners[0][other] < corners[2][one])
            first, second = one[hit], other[hit]
            hit = (corners[1][first] < corners[3][second]) & (corners[1][second] < corners[3][first])
            found.append((first[hit], second[hit]))
        finer = np.concatenate([finer, own])
    first, second = (np.concatenate(part) for part in zip(*found, strict=True))
    return np.minimum(first, second), np.maximum(first, second)


class _Cells:
    """Boxes of one size by the square cell of their centres."""

    def __init__(self, y: Floats, x: Floats, members: Ints, side: float) -> None:
        self._y, self._x, self._side = y, x, side
        # an empty cell on either side of a row: the three neighbours of any cell lie next to each other
        self._columns = int(x.max() / side) + 3
        self._rows = int(y.max() / side) + 3
        cell = self._cell(members)
        order = np.argsort(cell, kind="stable")
        self._members, self._cells = members[order], cell[order]
        # a table of all cells is quicker than searching, as long as most cells are not empty
        self._starts: Ints | None = None
        if self._rows * self._columns <= 4 * len(y) + 1000:
            self._starts = np.zeros(self._rows * self._columns + 1, np.int64)
            np.cumsum(np.bincount(cell, minlength=self._rows * self._columns), out=self._starts[1:])

    def _cell(self, members: Ints) -> Ints:
        row = (self._y[members] / self._side).astype(np.int64) + 1
        return row * self._columns + (self._x[members] / self._side).astype(np.int64) + 1

    def _first(self, cell: Ints) -> Ints:
        """Place of the first member that lies in each cell or after it."""
        return np.searchsorted(self._cells, cell) if self._starts is None else self._starts[cell]

    def among_themselves(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of neighbours, each once: with what follows in the row, and with the row below."""
        number = np.arange(len(self._members))
        below = self._cells + self._columns
        ends = [(number + 1, self._first(self._cells + 2)), (self._first(below - 1), self._first(below + 2))]
        pairs = [_expand(number, start, stop) for start, stop in ends]
        one, other = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return self._members[one], self._members[other]

    def with_others(self, others: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs of smaller boxes with their neighbours here."""
        if len(others) == 0:
            return []
        cell = self._cell(others)
        pairs = []
        for row in (cell - self._columns, cell, cell + self._columns):
            one, other = _expand(others, self._first(row - 1), self._first(row + 2))
            pairs.append((one, self._members[other]))
        return pairs


def _expand(values: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every value with each of the numbers from its start to its stop."""
    length = np.maximum(stop - start, 0)
    before = np.cumsum(length) - length
    numbers = np.arange(int(length.sum())) + np.repeat(start - before, length)
    return np.repeat(values, length), numbers
