"""Tiles at the model's pixel size, on slides of any pixel size. No torch in here."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE, MergeSettings

VALID_SHARE = 0.45
"""Share of the overlap, from a tile's inner border on, in which the neighbouring tile is more reliable (measured).

With one half, every place would belong to exactly one tile; less leaves room for boxes that two tiles see a little
differently.
"""


def slide_scale(model_um: float | None, slide_um: tuple[float, float] | None) -> tuple[float, float]:
    """Full-resolution slide pixels per model pixel, (y, x); 1 where either pixel size is unknown."""
    if model_um is None or slide_um is None:
        return 1.0, 1.0
    return model_um / slide_um[0], model_um / slide_um[1]


def tile_size(tile_px: int, overlap_px: int, *, scale: tuple[float, float]) -> tuple[int, int]:
    """Side and overlap of tiles in full-resolution pixels, from those in model pixels."""
    mean = float(np.sqrt(scale[0] * scale[1]))
    side = max(1, round(tile_px * mean))
    return side, min(max(0, round(overlap_px * mean)), side - 1)


def lattice(stride_px: int, overlap_px: int, *, scale: tuple[float, float]) -> tuple[float, float]:
    """Where tiles may start: multiples of this (y, x) in full-resolution pixels, 0 for anywhere.

    Parameters
    ----------
    stride_px
        Stride of the network, in model pixels; 0 where it does not matter.
    overlap_px
        Overlap of the tiles, in full-resolution pixels; at least half of it must remain when tiles are moved.
    """
    steps = (stride_px * scale[0], stride_px * scale[1])
    return steps if 2 * max(steps) <= overlap_px + 1 else (0.0, 0.0)


def model_tile_shape(tile: Region, scale: tuple[float, float]) -> tuple[int, int]:
    """Height and width of a tile in model pixels."""
    height, width = tile.shape
    return max(1, round(height / scale[0])), max(1, round(width / scale[1]))


def to_slide(found: np.ndarray, tile: Region, *, shape: tuple[int, int], index: int) -> np.ndarray:
    """Convert candidates from the tile's model pixels to full-resolution slide pixels.

    Parameters
    ----------
    found : ndarray of CANDIDATE_DTYPE
        In the tile's pixels.
    shape : (height, width)
        The tile's size in model pixels.
    index : int
        Index of the tile.
    """
    height, width = tile.shape
    placed = found.astype(CANDIDATE_DTYPE, copy=True)
    for name, factor, start in (
        ("y0", height / shape[0], tile.y0), ("y1", height / shape[0], tile.y0),
        ("x0", width / shape[1], tile.x0), ("x1", width / shape[1], tile.x0),
    ):  # fmt: skip
        # the journal stores hundredths of a pixel
        placed[name] = np.round(found[name] * factor + start, 2)
    placed["confidence"] = np.round(found["confidence"], 4)
    placed["tile"] = index
    return placed


def own_part(tile: Region, grid: TileGrid, *, share: float) -> tuple[float, float, float, float]:
    """Part of a tile (y0, x0, y1, x1) without ``share`` of its overlap with each neighbour; with 0.5 they just meet.

    Where a tile has no neighbour, its part ends with the grid's region.
    """
    outer = grid.region
    lows, highs = [], []
    for starts, start, first, last in (
        (grid.starts[0], tile.y0, outer.y0, outer.y1),
        (grid.starts[1], tile.x0, outer.x0, outer.x1),
    ):
        place = int(np.searchsorted(starts, start))
        low, high = float(first), float(last)
        if place > 0:
            low = start + share * (starts[place - 1] + grid.tile_px - start)
        if place + 1 < len(starts):
            high = start + grid.tile_px - share * (start + grid.tile_px - starts[place + 1])
        lows.append(low)
        highs.append(high)
    return lows[0], lows[1], highs[0], highs[1]


def in_valid_area(rows: np.ndarray, tile: Region, *, grid: TileGrid) -> np.ndarray:
    """Which candidates of a tile, in slide pixels, the tile reports: those with their centre in its own part.

    What is close to an inner border is further inside the neighbouring tile, and is seen there with more context. Of
    something longer than the overlap, which no tile sees completely, both parts reach beyond the middle of the overlap
    and are kept, to be joined. As each finding is left to one tile, findings are not more likely at seams than
    elsewhere, and their number depends less on where the grid starts.
    """
    y0, x0, y1, x1 = own_part(tile, grid, share=VALID_SHARE)
    y, x = (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2
    inside: np.ndarray = (y >= y0) & (y <= y1) & (x >= x0) & (x <= x1)
    return inside


def merge_settings(scale: tuple[float, float], *, told_apart: bool = True) -> MergeSettings:
    """How candidates of a model at this scale are merged: the border zone is six model pixels wide."""
    return MergeSettings(border_px=6.0 * float(np.sqrt(scale[0] * scale[1])), told_apart=told_apart)
