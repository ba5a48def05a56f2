"""Recognises a slide that was moved or renamed, without reading all of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.slides.pixels import Pixels

GRID = 8
WORKERS = 4
BLOCK_PX = 64
SMALL_PX = 4_000_000


def fingerprint(mosaic: Pixels, *, read: Callable[[Region], np.ndarray] | None = None) -> str:
    """See :meth:`Mosaic.fingerprint`; the blocks form a grid of 8 x 8 over the first channel at full resolution.

    Name and pixel size are not part of it: the user may correct both, and it stays the same slide. ``read`` supplies
    the blocks instead of the mosaic.
    """
    digest = hashlib.blake2b(digest_size=16)
    facts = {
        "shape": list(mosaic.shape),
        "dtype": mosaic.dtype.name,
        "rgb": mosaic.rgb,
        "channels": len(mosaic.channels),
        "origin": list(mosaic.origin_px),
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for block in _blocks(mosaic, read or mosaic.read):
        digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _blocks(mosaic: Pixels, read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    height, width = mosaic.shape
    piece = mosaic.piece_px
    if height * width <= SMALL_PX and piece[0] >= height and piece[1] >= width:
        # decoded as a whole in any case: thousands of such pictures are read at once
        whole = read(Region(0, 0, height, width))
        yield from (whole[place.y0 : place.y1, place.x0 : place.x1] for place in sampled_blocks(mosaic.shape))
        return
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="fingerprint") as pool:  # a network drive answers slowly
        yield from pool.map(read, sampled_blocks(mosaic.shape))


def sampled_blocks(shape: tuple[int, int]) -> Iterator[Region]:
    """The regions whose pixels go into the fingerprint."""
    height, width = shape
    rows = np.linspace(0, max(0, height - BLOCK_PX), GRID).astype(int).tolist()
    columns = np.linspace(0, max(0, width - BLOCK_PX), GRID).astype(int).tolist()
    for y in rows:
        for x in columns:
            yield Region(y, x, y + BLOCK_PX, x + BLOCK_PX).clip(shape)


class SampledPixels:
    """Keeps the sampled blocks of a slide that is being read tile by tile, so that they need not be read again."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._blocks = {block: _Block(None, block.shape[0] * block.shape[1]) for block in sampled_blocks(shape)}
        self._lock = threading.Lock()

    def add(self, tile: Region, pixels: np.ndarray) -> None:
        """Take what is needed from a tile, (h, w) or (h, w, 3); tiles do not overlap. Called from any thread."""
        for place, block in self._blocks.items():
            part = Region(
                max(place.y0, tile.y0), max(place.x0, tile.x0), min(place.y1, tile.y1), min(place.x1, tile.x1)
            )
            if part.empty:
                continue
            with self._lock:
                if block.pixels is None:
                    block.pixels = np.empty((*place.shape, *pixels.shape[2:]), pixels.dtype)
                block.pixels[_within(part, place)] = pixels[_within(part, tile)]
                block.missing_px -= part.shape[0] * part.shape[1]

    def get(self, place: Region) -> np.ndarray | None:
        """The pixels of a sampled block; None while some of them are missing."""
        block = self._blocks.get(place)
        return block.pixels if block is not None and block.missing_px == 0 else None


@dataclass(slots=True)
class _Block:
    pixels: np.ndarray | None
    missing_px: int


def _within(part: Region, whole: Region) -> tuple[slice, slice]:
    return slice(part.y0 - whole.y0, part.y1 - whole.y0), slice(part.x0 - whole.x0, part.x1 - whole.x0)
