"""Where there is something to look at: resin and empty area are told from material on a coarse level. No torch in here.

The mask is made to be wrong on one side only: what is not surely flat, or lies beside something that is not, is looked
at. It is kept with the run as a picture, so that a person can see it and change it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.geometry import Region, TileGrid

if TYPE_CHECKING:
    from microscope_qc.ml.inference.session import Session
    from microscope_qc.slides.base import Mosaic

MASK_NAME, MASK_CARD_NAME = "mask.png", "mask.json"
CELL = 32
"""Side of a cell in pixels of the coarse level."""
COARSE = 4.0
"""A pixel of the coarse level stands for at most so many of the model's: a defect is at least a pixel of it."""
CHEAP = 2.5
"""The coarse level must be this much coarser than the one the tiles are read from."""
FLAT_STD, FLAT_RANGE = 4.5, 28.0
"""A cell is flat when its grey levels (of 256) spread and differ by less."""
CONTRAST = 4.0
"""Material must be this much rougher than what is called flat."""
MOST_FLAT = 0.97
"""When nearly everything seems flat, the picture has little contrast and nothing can be told."""
_BLOCK_CELLS = 32
_READERS = 2


@dataclass(frozen=True, slots=True)
class AreaMask:
    """Cells of a region: ``look`` (rows, columns) says where to look, ``cell_px`` (y, x) in full-resolution pixels."""

    region: Region
    cell_px: tuple[float, float]
    look: np.ndarray

    @property
    def fingerprint(self) -> str:
        """Same area, same text."""
        content = repr((self.region, tuple(self.cell_px), self.look.shape)).encode() + np.packbits(self.look).tobytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def tiles(self, grid: TileGrid) -> list[int]:
        """Tiles with anything to look at in them, in order."""
        table = np.zeros((self.look.shape[0] + 1, self.look.shape[1] + 1), np.int64)
        np.cumsum(np.cumsum(self.look, axis=0), axis=1, out=table[1:, 1:])
        (top, bottom), (left, right) = (
            self._cells(starts, grid.tile_px, axis) for axis, starts in enumerate(grid.starts)
        )
        found = (
            table[bottom[:, None], right] - table[top[:, None], right]
            - table[bottom[:, None], left] + table[top[:, None], left]
        )  # fmt: skip
        return np.flatnonzero(found.ravel()).tolist()

    def _cells(self, starts: np.ndarray, tile_px: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        corner = (self.region.y0, self.region.x0)[axis]
        first = np.floor((starts - corner) / self.cell_px[axis]).astype(int)
        stop = np.ceil((starts + tile_px - corner) / self.cell_px[axis]).astype(int)
        limit = self.look.shape[axis]
        return np.clip(first, 0, limit - 1), np.clip(stop, 1, limit)


def find_material(mosaic: Mosaic, region: Region, *, scale: tuple[float, float]) -> AreaMask | None:
    """Mask of a region, or None where no mask can be had cheaply or nothing surely flat was found.

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
    spread, reach = _roughness(mosaic, Region(top, left, bottom, right), level)
    flat = (spread < FLAT_STD) & (reach < FLAT_RANGE)
    if not flat.any() or flat.mean() > MOST_FLAT:
        return None
    if np.median(spread[~flat]) < CONTRAST * np.quantile(spread[flat], 0.9):
        return None
    look = _grown(~flat)
    if look.all():
        return None
    origin = Region(round(top * down[0]), round(left * down[1]), region.y1, region.x1)
    return AreaMask(origin, (CELL * down[0], CELL * down[1]), look)


def _roughness(mosaic: Mosaic, area: Region, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and range of the values in every cell of an area of a level; the largest of the colours."""
    rows, columns = -(-area.shape[0] // CELL), -(-area.shape[1] // CELL)
    spread, reach = np.full((rows, columns), np.inf, np.float32), np.full((rows, columns), np.inf, np.float32)

    def measure(place: tuple[int, int]) -> None:
        row, column = place
        y, x = area.y0 + row * CELL, area.x0 + column * CELL
        block = Region(y, x, min(y + _BLOCK_CELLS * CELL, area.y1), min(x + _BLOCK_CELLS * CELL, area.x1))
        try:
            pixels = mosaic.read_rgb8(block, level=level)
        except OSError:  # damaged here: the tiles will say so when they are read
            return
        edge = ((0, -pixels.shape[0] % CELL), (0, -pixels.shape[1] % CELL), (0, 0))
        cells = np.pad(pixels, edge, mode="edge")
        cells = cells.reshape(cells.shape[0] // CELL, CELL, cells.shape[1] // CELL, CELL, 3)
        here = (slice(row, row + cells.shape[0]), slice(column, column + cells.shape[2]))
        reach[here] = (cells.max(axis=(1, 3)).astype(np.int16) - cells.min(axis=(1, 3))).max(axis=2)
        spread[here] = cells.std(axis=(1, 3), dtype=np.float32).max(axis=2)

    places = [(y, x) for y in range(0, rows, _BLOCK_CELLS) for x in range(0, columns, _BLOCK_CELLS)]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="mask") as pool:
        for _ in pool.map(measure, places):
            pass
    return spread, reach


def _grown(look: np.ndarray) -> np.ndarray:
    """With the neighbours of every cell in it."""
    import cv2

    return cv2.dilate(look.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def write_mask(folder: Path, mask: AreaMask | None) -> None:
    """Keep a mask with a run; None says that everything is looked at."""
    import cv2

    card: dict[str, Any] = {"everything": mask is None}
    if mask is not None:
        region = mask.region
        card |= {"region": [region.y0, region.x0, region.y1, region.x1], "cell_px": list(mask.cell_px)}
        done, png = cv2.imencode(".png", mask.look.astype(np.uint8) * 255)
        if not done:
            raise ProjectError("The mask could not be written as a picture.")
        with atomic_path(folder / MASK_NAME) as temporary:
            temporary.write_bytes(png.tobytes())
    atomic_write(folder / MASK_CARD_NAME, json.dumps(card))


def read_mask(folder: Path) -> AreaMask | None:
    """The mask of a run; None when everything is looked at.

    Raises
    ------
    ProjectError
        When it is damaged.
    """
    if not has_mask(folder):
        return None
    import cv2

    try:
        card = json.loads((folder / MASK_CARD_NAME).read_text(encoding="utf-8"))
        if card["everything"]:
            return None
        raw = np.frombuffer((folder / MASK_NAME).read_bytes(), np.uint8)
        look = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE) if len(raw) else None
        if look is None:
            raise ValueError("no picture")
        region, cell = Region(*(int(v) for v in card["region"])), (float(card["cell_px"][0]), float(card["cell_px"][1]))
        if min(cell) <= 0 or region.empty:
            raise ValueError("no area")
    except (OSError, ValueError, KeyError, TypeError, IndexError, cv2.error) as error:
        raise ProjectError(f"The mask in {folder} is damaged ({error}).", hint="Start anew with --fresh.") from error
    return AreaMask(region, cell, look > 127)


def has_mask(folder: Path) -> bool:
    """Whether it is settled where a run looks."""
    return (folder / MASK_CARD_NAME).exists()


def wanted_tiles(folder: Path, session: Session) -> list[int]:
    """Tiles that a run looks at; where that is not settled yet, the mask is made and kept."""
    if not has_mask(folder):
        made = None
        if session.card.get("skip_empty"):
            made = find_material(session.mosaic, session.grid.region, scale=session.scale)
        write_mask(folder, made)
    mask = read_mask(folder)
    return list(range(len(session.grid))) if mask is None else mask.tiles(session.grid)


def mask_from(look: np.ndarray, *, region: Region, cell_px: Sequence[float]) -> AreaMask:
    """A person's own mask: where ``look`` (rows, columns) is true.

    Raises
    ------
    InputError
        When it leaves nothing to look at.
    """
    chosen = np.asarray(look, bool)
    if chosen.ndim != 2 or not chosen.any():
        raise InputError("The mask leaves nothing to look at.", hint="Mark at least one place.")
    return AreaMask(region, (float(cell_px[0]), float(cell_px[1])), chosen)
