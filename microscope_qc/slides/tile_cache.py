"""Tiles of slides for everything that is displayed, in one cache of bounded size.

Canvas, gallery and thumbnails show the same places, so they share decoded tiles. Whatever reads whole slides
(detection, conversion) uses the mosaic itself, so that it does not evict what the user is viewing.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.display import DisplaySettings, render, visible_channels
from microscope_qc.slides.piece_cache import PieceCache
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.plane import FIRST, StackPlace

if TYPE_CHECKING:
    from microscope_qc.core.jobs import CancelToken
    from microscope_qc.slides.base import Mosaic

log = logging.getLogger(__name__)

TILE_PX = 512
COARSEST_PX = 1024
"""No coarser level is computed when the coarsest is this small."""
MOST_REDUCTION = 16
"""Levels are computed up to this factor beyond the coarsest stored one: a tile of the last covers 256 stored ones."""
LARGEST_STEP = 3.0
"""Levels are computed between stored ones further apart than this: no tile is shown below a third of its size."""
DARK, ORANGE = (48, 44, 42), (214, 96, 20)
DEFAULT_BYTES = 512_000_000
OWN_MAPPING_BYTES = 256 << 10

TileKey = tuple[int, int, int, int, int, StackPlace]  # mosaic number, channel, level, row, column, picture of the stack


class TileCache(PieceCache):
    """Most recently used tiles of any number of mosaics, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self._numbers: weakref.WeakKeyDictionary[Mosaic, int] = weakref.WeakKeyDictionary()
        self._counter = itertools.count()
        self._numbers_lock = threading.Lock()
        self._gone: deque[int] = deque()
        self._wanted, self._elsewhere = limit_bytes, 0

    def set_limit(self, limit_bytes: int) -> None:
        """Change the limit, which includes what is counted elsewhere."""
        self._wanted = limit_bytes
        super().set_limit(max(0, self._wanted - self._elsewhere))

    def count_elsewhere(self, held_bytes: int) -> None:
        """Count tiles that are held elsewhere (in a texture), so that together they stay within the limit."""
        self._elsewhere = held_bytes
        self.set_limit(self._wanted)

    def number_of(self, mosaic: Mosaic) -> int:
        """Number of a mosaic in the keys; its tiles are dropped once the mosaic no longer exists."""
        with self._numbers_lock:
            number = self._numbers.get(mosaic)
            if number is None:
                number = self._numbers[mosaic] = next(self._counter)
                # a finalizer runs in whichever thread dropped the last reference, which may hold this cache's lock
                weakref.finalize(mosaic, self._gone.append, number).atexit = False
            return number

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """As :meth:`PieceCache.get`; first drops the tiles of mosaics that no longer exist."""
        if self._gone:
            gone = set()
            with suppress(IndexError):  # two threads may empty it at the same time
                while True:
                    gone.add(self._gone.popleft())
            self.drop_where(lambda kept: isinstance(kept, tuple) and kept[0] in gone)
        return super().get(key, make)


@lru_cache(maxsize=1)
def shared_cache() -> TileCache:
    """The cache of this process."""
    _give_freed_tiles_back()
    return TileCache(default_limit())


def _give_freed_tiles_back() -> None:
    """Keep glibc from holding on to the memory of tiles that were dropped.

    After the first large block is freed, it allocates such blocks from its heaps, one per thread, where a few live
    tiles keep the rest in use: 700 MB where the cache held 450. With a fixed threshold every tile has its own mapping.
    """
    if sys.platform != "linux":
        return
    m_mmap_threshold = -3  # malloc.h
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(m_mmap_threshold, OWN_MAPPING_BYTES)


def default_limit() -> int:
    """The smaller of 512 MB and an eighth of the memory."""
    import psutil

    return min(DEFAULT_BYTES, int(psutil.virtual_memory().total) // 8)


class TileSource:
    """One mosaic as tiles of 512 px, at its own levels and at coarser ones computed from them.

    Any thread may read. Parameters, results and errors of ``read``, ``read_rgb8`` and ``read_scaled`` are as for
    :class:`Mosaic`, with the level indices of this class.

    Parameters
    ----------
    cache
        The shared one by default.
    on_error
        Called once per tile that cannot be decoded, in the thread that read it.
    """

    def __init__(
        self,
        mosaic: Mosaic,
        *,
        cache: TileCache | None = None,
        on_error: Callable[[MicroscopeQCError], None] | None = None,
    ) -> None:
        self.mosaic = mosaic
        self.cache = cache if cache is not None else shared_cache()
        self._on_error = on_error
        self._number = self.cache.number_of(mosaic)
        self._told: set[TileKey] = set()
        # levels that are not in the file are better computed here, from cached tiles
        levels, own = _with_made_levels(mosaic.levels[: mosaic.stored_levels])
        self.levels: tuple[Level, ...] = tuple(levels)
        self._own = own  # index of the mosaic's level, or None for a computed one

    # -- levels ------------------------------------------------------------------------------------------------------

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of a level in its own pixels."""
        return self.levels[level].shape

    def downsample(self, level: int) -> tuple[float, float]:
        """Full-resolution pixels per pixel of a level (y, x)."""
        return self.levels[level].downsample

    def grid(self, level: int) -> tuple[int, int]:
        """Rows and columns of tiles of a level."""
        height, width = self.levels[level].shape
        return -(-height // TILE_PX), -(-width // TILE_PX)

    def region(self, level: int, row: int, column: int) -> Region:
        """The region of a tile, in pixels of its level."""
        y, x = row * TILE_PX, column * TILE_PX
        return Region(y, x, y + TILE_PX, x + TILE_PX).clip(self.levels[level].shape)

    def cost(self, level: int) -> int:
        """How many of the mosaic's own tiles must be read for one tile of a level."""
        made = 0
        while self._own[level - made] is None:
            made += 1
        return int(4**made)

    def level_for(self, scale: float) -> int:
        """Index of the coarsest level whose downsample is at most ``scale`` (level 0 when there is none)."""
        fitting = [i for i, level in enumerate(self.levels) if max(level.downsample) <= scale * 1.001]
        return fitting[-1] if fitting else 0

    # -- tiles -------------------------------------------------------------------------------------------------------

    def place(self, display: DisplaySettings | None) -> StackPlace:
        """The picture of the stack that display settings show, or the nearest one that the slide has."""
        return FIRST if display is None else display.place.within(self.mosaic.stack)

    def tile(
        self,
        level: int,
        row: int,
        column: int,
        channel: int = 0,
        *,
        place: StackPlace = FIRST,
        cancel: CancelToken | None = None,
    ) -> np.ndarray:
        """Pixels of a tile, read if necessary; must not be modified.

        Parameters
        ----------
        cancel
            Checked between the reads that a computed tile needs.

        Returns
        -------
        ndarray
            (h, w), or (h, w, 3) for an RGB mosaic; smaller than 512 px at the slide's far edges. In a computed tile,
            places that cannot be decoded are hatched.

        Raises
        ------
        SlideError
            When the mosaic's own tile cannot be decoded.
        Cancelled
            When ``cancel`` was set.
        """
        key = (self._number, channel, level, row, column, place)
        whole = True

        def make() -> np.ndarray:
            nonlocal whole
            if self._own[level] is None:
                pixels, whole = self._made(key, cancel)
            else:
                pixels = self._read_own(key, cancel)
            pixels.setflags(write=False)
            return pixels

        pixels = self.cache.get(key, make)
        if not whole:  # the drive may be connected again the next time
            self.cache.drop(key)
        return pixels

    def peek(
        self, level: int, row: int, column: int, channel: int = 0, *, place: StackPlace = FIRST
    ) -> np.ndarray | None:
        """Pixels of a tile if they are in the cache; never waits."""
        return self.cache.peek((self._number, channel, level, row, column, place))

    def picture(
        self,
        level: int,
        row: int,
        column: int,
        *,
        display: DisplaySettings | None = None,
        cancel: CancelToken | None = None,
    ) -> np.ndarray:
        """A tile as it is shown, (h, w, 3) uint8; raises the errors of :meth:`tile`."""
        planes: list[np.ndarray | None] = [None] * len(self.mosaic.channels)
        place = self.place(display)
        for channel in visible_channels(self.mosaic, display):
            planes[channel] = self.tile(level, row, column, channel, place=place, cancel=cancel)
        return render(self.mosaic, planes, display, shape=self.region(level, row, column).shape)

    # -- regions -----------------------------------------------------------------------------------------------------

    def read(
        self,
        region: Region,
        *,
        level: int = 0,
        channel: int = 0,
        place: StackPlace = FIRST,
        hatch: bool = False,
    ) -> np.ndarray:
        """As :meth:`Mosaic.read`, from tiles; with ``hatch``, tiles that cannot be decoded are hatched."""
        if not 0 <= level < len(self.levels):
            raise InputError(f"{self.mosaic.path.name} has no level {level}.")
        return self._gathered(region, level, channel, place, hatch=hatch)[0]

    def read_rgb8(self, region: Region, *, level: int = 0, display: DisplaySettings | None = None) -> np.ndarray:
        """As :meth:`Mosaic.read_rgb8`, from tiles and with the user's display settings."""
        planes: list[np.ndarray | None] = [None] * len(self.mosaic.channels)
        place = self.place(display)
        for channel in visible_channels(self.mosaic, display):
            planes[channel] = self.read(region, level=level, channel=channel, place=place)
        return render(self.mosaic, planes, display, shape=region.shape)

    def read_scaled(
        self, region_level0: Region, shape: tuple[int, int], *, display: DisplaySettings | None = None
    ) -> np.ndarray:
        """As :meth:`Mosaic.read_scaled`, from tiles and with the user's display settings."""
        from microscope_qc.slides.scaled import read_scaled

        return read_scaled(_Shown(self, display), region_level0, shape)  # type: ignore[arg-type]

    # -- computing ---------------------------------------------------------------------------------------------------

    def _read_own(self, key: TileKey, cancel: CancelToken | None) -> np.ndarray:
        _, channel, level, row, column, place = key
        if cancel is not None:
            cancel.raise_if_cancelled()
        own = self._own[level]
        assert own is not None
        try:
            pixels = self.mosaic.read(self.region(level, row, column), level=own, channel=channel, place=place)
        except MicroscopeQCError as error:
            log.warning("level %d, row %d, column %d: %s", own, row, column, error)
            if key not in self._told:
                self._told.add(key)
                if self._on_error is not None:
                    self._on_error(error)
            raise
        return np.ascontiguousarray(pixels)

    def _made(self, key: TileKey, cancel: CancelToken | None) -> tuple[np.ndarray, bool]:
        """A tile averaged from the next finer level, and whether all of it could be decoded."""
        _, channel, level, row, column, place = key
        region = self.region(level, row, column)
        source = Region(2 * region.y0, 2 * region.x0, 2 * region.y1, 2 * region.x1).clip(self.shape(level - 1))
        finer, whole = self._gathered(source, level - 1, channel, place, hatch=True, cancel=cancel)
        return halved(finer, region.shape), whole

    def _gathered(
        self,
        region: Region,
        level: int,
        channel: int,
        place: StackPlace,
        *,
        hatch: bool,
        cancel: CancelToken | None = None,
    ) -> tuple[np.ndarray, bool]:
        """Pixels of a region assembled from tiles, and whether all of it could be decoded."""
        height, width = region.shape
        shape = (height, width, 3) if self.mosaic.rgb else (height, width)
        inside = region.clip(self.levels[level].shape)
        background = self.mosaic.background if inside != region else 0
        out = np.full(shape, background, self.mosaic.dtype) if background else np.zeros(shape, self.mosaic.dtype)
        whole = True
        for row in range(inside.y0 // TILE_PX, -(-inside.y1 // TILE_PX)):
            for column in range(inside.x0 // TILE_PX, -(-inside.x1 // TILE_PX)):
                try:
                    tile = self.tile(level, row, column, channel, place=place, cancel=cancel)
                except MicroscopeQCError:  # already reported, with its place
                    if not hatch:
                        raise
                    tile = hatched(self.region(level, row, column).shape, self.mosaic.dtype, rgb=self.mosaic.rgb)
                    whole = False
                _paste(out, region, tile, row, column)
        return out, whole


class _Shown:
    """A tile source with display settings, in the form that :func:`read_scaled` needs."""

    def __init__(self, source: TileSource, display: DisplaySettings | None) -> None:
        self._source, self._display = source, display
        self.levels, self.level_for = source.levels, source.level_for

    def read_rgb8(self, region: Region, *, level: int = 0) -> np.ndarray:
        return self._source.read_rgb8(region, level=level, display=self._display)


def _with_made_levels(own: tuple[Level, ...]) -> tuple[list[Level], list[int | None]]:
    levels: list[Level] = []
    origin: list[int | None] = []

    def halve() -> None:
        (height, width), (down_y, down_x) = levels[-1].shape, levels[-1].downsample
        levels.append(Level(((height + 1) // 2, (width + 1) // 2), (2 * down_y, 2 * down_x)))
        origin.append(None)

    for index, level in enumerate(own):
        while levels and max(level.downsample) / max(levels[-1].downsample) > LARGEST_STEP:
            halve()
        levels.append(level)
        origin.append(index)
    reduction = 1
    while max(levels[-1].shape) > COARSEST_PX and reduction < MOST_REDUCTION:
        halve()
        reduction *= 2
    return levels, origin


def _paste(out: np.ndarray, region: Region, tile: np.ndarray, row: int, column: int) -> None:
    """Put the part of a tile that lies in ``region`` into ``out``."""
    y, x = row * TILE_PX, column * TILE_PX
    y0, x0 = max(region.y0, y), max(region.x0, x)
    y1, x1 = min(region.y1, y + tile.shape[0]), min(region.x1, x + tile.shape[1])
    if y1 > y0 and x1 > x0:
        out[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = tile[y0 - y : y1 - y, x0 - x : x1 - x]


def halved(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Average 2 x 2 pixels; an odd last row or column is averaged with itself."""
    import cv2

    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), *[(0, 0)] * (pixels.ndim - 2)), mode="edge")
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    wide = pixels.astype(np.float64)
    mean = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) / 4
    return (mean if pixels.dtype.kind == "f" else np.rint(mean)).astype(pixels.dtype)


def hatched(shape: tuple[int, int], dtype: np.dtype, *, rgb: bool) -> np.ndarray:
    """Stripes of the type's darkest and brightest value, for places that cannot be decoded."""
    bright = 1 if dtype.kind in "fb" else np.iinfo(dtype).max
    stripes = np.where(_stripes(shape), bright, 0).astype(dtype)
    return np.repeat(stripes[..., None], 3, axis=2) if rgb else stripes


def damaged_picture(shape: tuple[int, int]) -> np.ndarray:
    """Orange and dark stripes, (h, w, 3) uint8: a tile that cannot be decoded, as it is shown."""
    colours = np.array([DARK, ORANGE], np.uint8)
    return colours[_stripes(shape).astype(np.intp)]


def _stripes(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y + x) % 64 < 24
