"""Boxes and tiles in full-resolution slide pixels: (y, x), half-open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


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
    """

    region: Region
    tile_px: int
    overlap_px: int

    def __post_init__(self) -> None:
        if self.tile_px <= 0 or not 0 <= self.overlap_px < self.tile_px:
            raise ValueError(f"a tile of {self.tile_px} px cannot overlap by {self.overlap_px} px")

    def _starts(self, start: int, stop: int) -> list[int]:
        length = stop - start
        if length <= 0:
            return []
        if length <= self.tile_px:
            return [start]
        step = self.tile_px - self.overlap_px
        count = -(-(length - self.tile_px) // step) + 1
        return [min(start + i * step, stop - self.tile_px) for i in range(count)]

    @property
    def rows(self) -> int:
        """Number of tile rows."""
        return len(self._starts(self.region.y0, self.region.y1))

    @property
    def columns(self) -> int:
        """Number of tile columns."""
        return len(self._starts(self.region.x0, self.region.x1))

    def __len__(self) -> int:
        return self.rows * self.columns

    def __iter__(self) -> Iterator[Region]:
        for y0 in self._starts(self.region.y0, self.region.y1):
            for x0 in self._starts(self.region.x0, self.region.x1):
                yield Region(y0, x0, min(y0 + self.tile_px, self.region.y1), min(x0 + self.tile_px, self.region.x1))

    def __getitem__(self, index: int) -> Region:
        ys = self._starts(self.region.y0, self.region.y1)
        xs = self._starts(self.region.x0, self.region.x1)
        if not 0 <= index < len(ys) * len(xs):
            raise IndexError(index)
        y0, x0 = ys[index // len(xs)], xs[index % len(xs)]
        return Region(y0, x0, min(y0 + self.tile_px, self.region.y1), min(x0 + self.tile_px, self.region.x1))


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` (N, 4) with every box of ``b`` (M, 4), boxes as y0, x0, y1, x1."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection, dtype=float), where=union > 0)


def touching_pairs(boxes: np.ndarray, *, margin_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``i < j`` of all boxes that overlap when each is grown by ``margin_px``; boxes (N, 4) as y0, x0, y1, x1.

    Boxes are hashed into square cells (each into every cell it covers), so that far boxes are never compared.
    """
    count = len(boxes)
    nothing = np.empty(0, np.int64)
    if count < 2:
        return nothing, nothing
    grown = boxes + np.array([-margin_px, -margin_px, margin_px, margin_px])
    grown = grown - np.tile(grown[:, :2].min(axis=0), 2)
    # a cell of twice the 90th percentile keeps most boxes in one to four cells and lets a few large ones cover many
    sides = np.maximum(grown[:, 2] - grown[:, 0], grown[:, 3] - grown[:, 1])
    size = max(2.0 * float(np.percentile(sides, 90)), 1.0)
    low = np.floor(grown[:, :2] / size).astype(np.int64)
    high = np.floor(grown[:, 2:] / size).astype(np.int64)
    spans = high - low + 1
    covered = spans[:, 0] * spans[:, 1]
    member = np.repeat(np.arange(count), covered)
    within = np.arange(len(member)) - np.repeat(np.cumsum(covered) - covered, covered)
    cell_y = low[member, 0] + within // spans[member, 1]
    cell_x = low[member, 1] + within % spans[member, 1]
    columns = int(high[:, 1].max()) + 1
    cell = cell_y * columns + cell_x
    order = np.argsort(cell, kind="stable")
    cell, member = cell[order], member[order]
    found: list[np.ndarray] = []
    for step in range(1, len(cell)):
        same = np.flatnonzero(cell[step:] == cell[:-step])
        if len(same) == 0:
            break
        first, second = member[same], member[same + step]
        corner = np.maximum(grown[first, :2], grown[second, :2])
        overlap = (corner < np.minimum(grown[first, 2:], grown[second, 2:])).all(axis=1)
        # two boxes may share several cells: only the cell of their intersection's first corner reports them
        home = np.floor(corner / size).astype(np.int64)
        overlap &= home[:, 0] * columns + home[:, 1] == cell[same]
        first, second = first[overlap], second[overlap]
        found.append(np.minimum(first, second) * count + np.maximum(first, second))
    if not found:
        return nothing, nothing
    keys = np.sort(np.concatenate(found))
    return keys // count, keys % count
