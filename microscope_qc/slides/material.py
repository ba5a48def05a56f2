"""Separates resin and empty area from material on a coarse level. No torch in here.

The mask errs on one side only: whatever is not clearly flat, or is next to something that is not, is scanned.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, run_job

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

CELL = 32
"""Side of a cell in pixels of the coarse level."""
COARSE = 4.0
"""A pixel of the coarse level covers at most so many pixels of the model, so that a defect covers at least one."""
CHEAP = 2.5
"""How much coarser than the level of the tiles the coarse level must be."""
FLAT_STD, FLAT_RANGE = 4.5, 28.0
"""A cell is flat when standard deviation and range of its grey levels (of 256) are below these."""
CONTRAST = 4.0
"""How much rougher material must be than what counts as flat."""
MOST_FLAT = 0.97
"""When nearly everything seems flat, the image has too little contrast for a mask."""
_BLOCK_CELLS = 32
_READERS = 2


def find_material(mosaic: Mosaic, region: Region, *, scale: tuple[float, float]) -> AreaMask | None:
    """Mask of a region; see :func:`material_job`."""
    return run_job(material_job(mosaic, region, scale=scale))


def material_job(mosaic: Mosaic, region: Region, *, scale: tuple[float, float]) -> Job[AreaMask | None]:
    """Mask of a region, or None where it would be expensive or nothing is clearly flat.

    Parameters
    ----------
    scale
        Full-resolution pixels per pixel of the model (y, x).
    """
    level = min(mosaic.level_for(COARSE * min(scale)), mosaic.stored_levels - 1)
    down = mosaic.levels[level].downsample
    if min(down) < CHEAP * max(mosaic.levels[mosaic.level_for(min(scale))].downsample):
        return None
    top, left = int(region.y0 / down[0]), int(region.x0 / down[1])
    bottom, right = int(np.ceil(region.y1 / down[0])), int(np.ceil(region.x1 / down[1]))
    spread, reach = yield from _roughness(mosaic, Region(top, left, bottom, right), level)
    flat = (spread < FLAT_STD) & (reach < FLAT_RANGE)
    if not flat.any() or flat.mean() > MOST_FLAT:
        return None
    if np.median(spread[~flat]) < CONTRAST * np.quantile(spread[flat], 0.9):
        return None
    scanned = _grown(~flat)
    if scanned.all():
        return None
    origin = Region(round(top * down[0]), round(left * down[1]), region.y1, region.x1)
    return AreaMask(origin, (CELL * down[0], CELL * down[1]), scanned)


def _roughness(mosaic: Mosaic, area: Region, level: int) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray]]:
    """Standard deviation and range of the values in every cell of an area; the largest over the colours."""
    rows, columns = -(-area.shape[0] // CELL), -(-area.shape[1] // CELL)
    spread, reach = np.full((rows, columns), np.inf, np.float32), np.full((rows, columns), np.inf, np.float32)

    def measure(row: int, column: int) -> None:
        y, x = area.y0 + row * CELL, area.x0 + column * CELL
        block = Region(y, x, min(y + _BLOCK_CELLS * CELL, area.y1), min(x + _BLOCK_CELLS * CELL, area.x1))
        try:
            pixels = mosaic.read_rgb8(block, level=level)
        except OSError:  # damaged here: reported when the tiles are read
            return
        edge = ((0, -pixels.shape[0] % CELL), (0, -pixels.shape[1] % CELL), (0, 0))
        cells = np.pad(pixels, edge, mode="edge")
        cells = cells.reshape(cells.shape[0] // CELL, CELL, cells.shape[1] // CELL, CELL, 3)
        here = (slice(row, row + cells.shape[0]), slice(column, column + cells.shape[2]))
        reach[here] = (cells.max(axis=(1, 3)).astype(np.int16) - cells.min(axis=(1, 3))).max(axis=2)
        spread[here] = cells.std(axis=(1, 3), dtype=np.float32).max(axis=2)

    places = [(y, x) for y in range(0, rows, _BLOCK_CELLS) for x in range(0, columns, _BLOCK_CELLS)]
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="mask")
    try:
        for number, measured in enumerate([pool.submit(measure, *place) for place in places], start=1):
            measured.result()
            yield Progress(number, len(places), "parts", "looking for resin and empty area")
    finally:
        pool.shutdown(cancel_futures=True)
    return spread, reach


def _grown(cells: np.ndarray) -> np.ndarray:
    """The cells with all their neighbours."""
    import cv2

    return cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
