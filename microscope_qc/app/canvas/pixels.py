"""A mosaic as array-likes that napari can slice, through a bounded cache of blocks.

Reads happen in napari's slicing thread, never in the window's. Mosaics without enough levels get coarse ones that are
made from the finer ones, block by block, when they are first looked at.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic

log = logging.getLogger(__name__)

BLOCK_PX = 512
CACHE_BYTES = 384 << 20
COARSEST_PX = 1024

Key = tuple[int, int, int, int]  # channel, level, block row, block column


class BlockCache:
    """Least recently used blocks up to a number of bytes; a block being read is read once, whoever asks."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._blocks: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._reading: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The block, read now if need be."""
        while True:
            with self._lock:
                block = self._blocks.get(key)
                if block is not None:
                    self._blocks.move_to_end(key)
                    return block
                waiting = self._reading.get(key)
                if waiting is None:
                    self._reading[key] = threading.Event()
                    break
            waiting.wait()
        try:
            block = read()
            with self._lock:
                self._blocks[key] = block
                self._size += block.nbytes
                while self._size > self._limit and len(self._blocks) > 1:
                    self._size -= self._blocks.popitem(last=False)[1].nbytes
            return block
        finally:
            with self._lock:
                self._reading.pop(key).set()


class Pyramid:
    """Blocks of one mosaic at its own levels and at as many halved ones as a screen needs.

    Parameters
    ----------
    on_error
        Told once per place that cannot be decoded, from a worker thread; the place is shown as background.
    """

    def __init__(self, mosaic: Mosaic, *, on_error: Callable[[MicroscopeQCError], None] | None = None) -> None:
        self.mosaic = mosaic
        self._cache = BlockCache()
        self._on_error = on_error
        self._broken: set[Key] = set()
        self._shapes = [level.shape for level in mosaic.levels]
        self.own_levels = len(self._shapes)
        while max(self._shapes[-1]) > COARSEST_PX:
            height, width = self._shapes[-1]
            self._shapes.append(((height + 1) // 2, (width + 1) // 2))

    def __len__(self) -> int:
        return len(self._shapes)

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of a level in its own pixels."""
        return self._shapes[level]

    def levels(self, channel: int) -> list[LevelArray]:
        """All levels of a channel, finest first."""
        return [LevelArray(self, level, channel) for level in range(len(self))]

    def read(self, region: Region, level: int, channel: int) -> np.ndarray:
        """Pixels of a region inside the level, (h, w) or (h, w, 3)."""
        height, width = region.shape
        out = np.empty((height, width, 3) if self.mosaic.rgb else (height, width), self.mosaic.dtype)
        for row in range(region.y0 // BLOCK_PX, -(-region.y1 // BLOCK_PX)):
            for column in range(region.x0 // BLOCK_PX, -(-region.x1 // BLOCK_PX)):
                block = self._block((channel, level, row, column))
                y, x = row * BLOCK_PX, column * BLOCK_PX
                y0, x0 = max(region.y0, y), max(region.x0, x)
                y1, x1 = min(region.y1, y + block.shape[0]), min(region.x1, x + block.shape[1])
                out[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = block[
                    y0 - y : y1 - y, x0 - x : x1 - x
                ]
        return out

    def _region(self, key: Key) -> Region:
        _, level, row, column = key
        y, x = row * BLOCK_PX, column * BLOCK_PX
        return Region(y, x, y + BLOCK_PX, x + BLOCK_PX).clip(self._shapes[level])

    def _block(self, key: Key) -> np.ndarray:
        return self._cache.get(key, lambda: self._make(key))

    def _make(self, key: Key) -> np.ndarray:
        channel, level, _, _ = key
        region = self._region(key)
        if level >= self.own_levels:
            finer = self._shapes[level - 1]
            source = Region(2 * region.y0, 2 * region.x0, 2 * region.y1, 2 * region.x1).clip(finer)
            return _halve(self.read(source, level - 1, channel), region.shape)
        try:
            return np.ascontiguousarray(self.mosaic.read(region, level=level, channel=channel))
        except MicroscopeQCError as error:
            log.warning("level %d, %s: %s", level, region, error)
            if self._on_error is not None and key not in self._broken:
                self._on_error(error)
            self._broken.add(key)
            shape = (*region.shape, 3) if self.mosaic.rgb else region.shape
            return np.zeros(shape, self.mosaic.dtype)


def _halve(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Average 2 x 2 pixels; an odd last row or column is averaged with itself."""
    import cv2

    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), *[(0, 0)] * (pixels.ndim - 2)), mode="edge")
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    wide = pixels.astype(np.float64)
    mean = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) / 4
    return mean.astype(pixels.dtype)


class LevelArray:
    """One level of one channel as the least that napari needs of an array.

    It has no ``chunks``: with them napari expands every read to chunk borders, and pans jerk.
    """

    def __init__(self, pyramid: Pyramid, level: int, channel: int) -> None:
        self._pyramid, self._level, self._channel = pyramid, level, channel
        self.shape: tuple[int, ...] = pyramid.shape(level) + ((3,) if pyramid.mosaic.rgb else ())
        self.dtype = pyramid.mosaic.dtype
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [part for part in parts if part is Ellipsis]:
            place = parts.index(Ellipsis)
            fill = (slice(None),) * (self.ndim - len(parts) + 1)
            parts = parts[:place] + fill + parts[place + 1 :]
        parts = parts + (slice(None),) * (self.ndim - len(parts))
        y0, y1, rest_y = _span(parts[0], self.shape[0])
        x0, x1, rest_x = _span(parts[1], self.shape[1])
        pixels = self._pyramid.read(Region(y0, x0, y1, x1), self._level, self._channel)
        return pixels[(rest_y, rest_x, *parts[2:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        pixels = self[:]
        return pixels if dtype is None else pixels.astype(dtype, copy=False)


def _span(part: Any, length: int) -> tuple[int, int, Any]:
    """Start, stop and what is left to index after that range was read."""
    if isinstance(part, slice):
        start, stop, step = part.indices(length)
        if step < 0:
            return 0, length, part
        return start, max(start, stop), slice(None, None, step)
    index = int(part)
    index += length if index < 0 else 0
    if not 0 <= index < length:
        raise IndexError(part)
    return index, index + 1, 0
