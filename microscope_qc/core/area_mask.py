"""Which cells of an area a detection scans."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region, TileGrid

MOST_CELLS = 1 << 26
"""Masks with more cells are rejected: no slide needs them."""
FINEST_CELL_PX, CELLS_ALONG = 32, 1024
"""Smallest cell, and the largest number of cells along the longer side, of a mask for a whole slide."""


@dataclass(frozen=True, slots=True)
class AreaMask:
    """Cells of a region: ``scan`` (rows, columns) is true where to scan, ``cell_px`` (y, x) in slide pixels."""

    region: Region
    cell_px: tuple[float, float]
    scan: Flags

    @property
    def fingerprint(self) -> str:
        """A text that is the same for equal masks only."""
        cell = tuple(float(side) for side in self.cell_px)
        content = repr((self.region, cell, self.scan.shape)).encode() + np.packbits(self.scan).tobytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def tiles(self, grid: TileGrid) -> list[int]:
        """Indices of the tiles with anything to scan, in order."""
        return np.flatnonzero(self._touched(grid).ravel()).tolist()

    def tile_count(self, grid: TileGrid) -> int:
        """Number of tiles with anything to scan."""
        return int(np.count_nonzero(self._touched(grid)))

    def share(self, region: Region) -> float:
        """Share of a region's cells that is scanned, 0 to 1."""
        parts = []
        for axis, ends in enumerate(((region.y0, region.y1), (region.x0, region.x1))):
            first, stop = self._cells(np.array(ends[:1]), ends[1] - ends[0], axis)
            parts.append(slice(int(first[0]), int(stop[0])))
        here = self.scan[parts[0], parts[1]]
        return np.count_nonzero(here) / here.size if here.size else 0.0

    def at(self, y: np.ndarray, x: np.ndarray) -> Flags:
        """Whether places in slide pixels are scanned; outside the region the value at its border counts."""
        cells: list[Ints] = []
        for places, corner, side, count in zip(
            (y, x), (self.region.y0, self.region.x0), self.cell_px, self.scan.shape, strict=True
        ):
            cells.append(np.clip(np.floor((places - corner) / side).astype(int), 0, count - 1))
        return self.scan[cells[0], cells[1]]

    def touches(self, rows: np.ndarray | Mapping[str, np.ndarray]) -> Flags:
        """Which boxes (rows with y0, x0, y1, x1 in slide pixels) are at least partly in scanned cells."""
        table = self._sums()
        (top, bottom), (left, right) = (
            self._between(rows[low], rows[high], axis) for axis, (low, high) in enumerate((("y0", "y1"), ("x0", "x1")))
        )
        cells: Ints = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        return cells > 0

    def _touched(self, grid: TileGrid) -> Flags:
        table = self._sums()
        (top, bottom), (left, right) = (
            self._cells(starts, grid.tile_px, axis) for axis, starts in enumerate(grid.starts)
        )
        strips: Ints = table[bottom] - table[top]
        return strips[:, right] > strips[:, left]

    def _sums(self) -> np.ndarray:
        import cv2

        return cv2.integral(self.scan.view(np.uint8))  # ten times as fast as numpy's sums

    def _cells(self, starts: np.ndarray, tile_px: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        return self._between(starts, starts + tile_px, axis)

    def _between(self, starts: np.ndarray, stops: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        corner = (self.region.y0, self.region.x0)[axis]
        first = np.floor((starts - corner) / self.cell_px[axis]).astype(int)
        stop = np.ceil((stops - corner) / self.cell_px[axis]).astype(int)
        limit = self.scan.shape[axis]
        return np.clip(first, 0, limit - 1), np.clip(stop, 1, limit)


def mask_from(scan: np.ndarray, *, region: Region, cell_px: Sequence[float]) -> AreaMask:
    """The user's mask, true in ``scan`` (rows, columns) where to scan.

    Raises
    ------
    InputError
        When it leaves nothing to scan.
    """
    chosen = np.asarray(scan, bool)
    if chosen.ndim != 2 or not chosen.any():
        raise InputError("The mask leaves nothing to scan.", hint="Mark at least one place.")
    return AreaMask(region, (float(cell_px[0]), float(cell_px[1])), chosen)


def open_mask(shape_px: tuple[int, int], *, scan: bool) -> AreaMask:
    """A mask for a whole slide with every cell set to ``scan``."""
    side = max(float(FINEST_CELL_PX), max(shape_px) / CELLS_ALONG)
    cells = np.full((math.ceil(shape_px[0] / side), math.ceil(shape_px[1] / side)), scan)
    return AreaMask(Region(0, 0, *shape_px), (side, side), cells)


def mask_to_dict(mask: AreaMask) -> dict[str, Any]:
    """As values that JSON can store."""
    region = mask.region
    packed = zlib.compress(np.packbits(mask.scan).tobytes())
    return {
        "region": [region.y0, region.x0, region.y1, region.x1],
        "cell_px": list(mask.cell_px),
        "shape": list(mask.scan.shape),
        "cells": base64.b64encode(packed).decode("ascii"),
    }


def mask_from_dict(values: Any, shape_px: tuple[int, int]) -> AreaMask:
    """The mask of :func:`mask_to_dict`, for a slide of this size; it may leave nothing to scan.

    Raises
    ------
    InputError
        When it cannot be read, or belongs to a slide of another size.
    """
    damaged = InputError("The stored area of this slide cannot be read.", hint="Show the area again, or redraw it.")
    try:
        rows, columns = (int(v) for v in values["shape"])
        if min(rows, columns) < 1 or rows * columns > MOST_CELLS:
            raise damaged
        region, cell = read_frame(values, (rows, columns))
        size = (rows * columns + 7) // 8
        packed = zlib.decompressobj().decompress(base64.b64decode(values["cells"], validate=True), size + 1)
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error, binascii.Error) as error:
        raise damaged from error
    if len(packed) != size:
        raise damaged
    if region != Region(0, 0, *shape_px):
        raise InputError(
            "The stored area belongs to a slide of another size; it is not used.",
            hint="Show the area again, or redraw it.",
        )
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=rows * columns)
    return AreaMask(region, cell, bits.reshape(rows, columns).astype(bool))


def read_frame(card: Mapping[str, Any], shape: Sequence[int]) -> tuple[Region, tuple[float, float]]:
    """Stored region and size of a cell; ``shape`` is the number of cells, which must fill the region.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError
        When they are missing, or do not fit.
    """
    region = Region(*(int(v) for v in card["region"]))
    cell = (float(card["cell_px"][0]), float(card["cell_px"][1]))
    if region.empty or not all(math.isfinite(side) and side > 0 for side in cell):
        raise ValueError("no area")
    # the cells of a coarse level may begin and end within a pixel of the region
    if any(abs(length / side - count) > 1.05 for length, side, count in zip(region.shape, cell, shape, strict=True)):
        raise ValueError("not as many cells as fit")
    return region, cell
