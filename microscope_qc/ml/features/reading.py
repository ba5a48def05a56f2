"""Tiles as the network sees them, in bounded memory, also where a slide is damaged. No torch in here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.engine.pixels import resized
from microscope_qc.ml.features.grid import FINE, FeatureGrid

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

STRIP_CELLS = 16
"""Rows of cells that are read at once."""
NEUTRAL = 127
"""Value of pixels that cannot be read: the mean of what the network expects."""


def read_cells(mosaic: Mosaic, grid: FeatureGrid, cells: Region) -> tuple[np.ndarray, int]:
    """Pixels of cells of stride 16, uint8 (rows * 16, columns * 16, 3), and how many parts could not be read.

    The last cells of a slide may reach beyond it: there its border is repeated.
    """
    rows, columns = cells.shape
    pixels = np.empty((rows * FINE, columns * FINE, 3), np.uint8)
    unread = 0
    for top in range(cells.y0, cells.y1, STRIP_CELLS):
        strip = Region(top, cells.x0, min(top + STRIP_CELLS, cells.y1), cells.x1)
        here = pixels[(top - cells.y0) * FINE : (strip.y1 - cells.y0) * FINE]
        try:
            here[:] = _read(mosaic, grid, strip)
        except (MicroscopeQCError, OSError, ValueError):
            unread += _read_apart(mosaic, grid, strip, here)
    return pixels, unread


def _read_apart(mosaic: Mosaic, grid: FeatureGrid, strip: Region, pixels: np.ndarray) -> int:
    """Read what can be read of a strip; return the number of parts that cannot."""
    unread = 0
    for left in range(strip.x0, strip.x1, STRIP_CELLS):
        part = Region(strip.y0, left, strip.y1, min(left + STRIP_CELLS, strip.x1))
        here = pixels[:, (left - strip.x0) * FINE : (part.x1 - strip.x0) * FINE]
        try:
            here[:] = _read(mosaic, grid, part)
        except (MicroscopeQCError, OSError, ValueError):
            here[:] = NEUTRAL
            unread += 1
    return unread


def _read(mosaic: Mosaic, grid: FeatureGrid, cells: Region) -> np.ndarray:
    height, width = grid.cell_px
    wanted = Region(cells.y0 * height, cells.x0 * width, cells.y1 * height, cells.x1 * width)
    inside = wanted.clip(mosaic.levels[grid.level].shape)
    pixels = mosaic.read_rgb8(inside, level=grid.level)
    if inside != wanted:
        pixels = np.pad(pixels, ((0, wanted.y1 - inside.y1), (0, wanted.x1 - inside.x1), (0, 0)), mode="edge")
    return resized(pixels, (cells.shape[0] * FINE, cells.shape[1] * FINE))
