"""Decodes tiles of 16-bit colour that libCZI decodes wrongly.

libCZI (seen in pylibCZIrw 6.1.0) reads Bgr48 tiles packed as Zstd1 with separated bytes into memory that it does not
fill: every read returns different pixels, without an error. Files with such tiles are decoded here instead.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.czi.directory import ABSENT, SubBlocks, tile_data
from microscope_qc.slides.piece_cache import PieceCache

BGR48 = 4
UNCOMPRESSED, ZSTD0, ZSTD1 = 0, 5, 6
MAX_AVERAGED_PX = 16_000_000
CACHE = PieceCache(128 << 20)


def misread(blocks: SubBlocks) -> bool:
    """Whether a file has tiles that libCZI decodes wrongly."""
    return bool(((blocks.pixel_type == BGR48) & (blocks.compression == ZSTD1)).any())


class Bgr48Tiles:
    """The tiles of one plane of a scene.

    Parameters
    ----------
    plane
        Start of every dimension that selects the plane; a tile that lacks a dimension belongs to all its planes.
    origin_px
        (y, x) of the mosaic's first pixel in the file's coordinates.
    """

    def __init__(
        self, path: Path, blocks: SubBlocks, *, scene: int | None, plane: dict[str, int], origin_px: tuple[int, int]
    ) -> None:
        self._path, self._blocks, self._origin = path, blocks, origin_px
        chosen = blocks.pixel_type == BGR48
        for dimension, start in plane.items():
            chosen &= np.isin(blocks.at(dimension), (ABSENT, start))
        if scene is not None:
            chosen &= blocks.at("S") == scene
        self._layer = np.where(blocks.full, 1, np.rint(blocks.width / blocks.stored[:, 1]).astype(int))
        members = np.flatnonzero(chosen)
        self._members = members[np.argsort(blocks.at("M")[members], kind="stable")]
        self._key = object()

    def read(self, region: Region, layer: int) -> np.ndarray:
        """(h, w, 3) uint16 as R, G, B of a region in pixels of a layer; later tiles cover earlier ones.

        Raises
        ------
        SlideError
            When a tile is damaged or its compression is not supported.
        """
        import cv2

        blocks = self._blocks
        pixels = np.zeros((*region.shape, 3), np.uint16)
        members = self._members[self._layer[self._members] == layer]
        top = np.rint((blocks.y[members].astype(np.int64) - self._origin[0]) / layer).astype(np.int64) - region.y0
        left = np.rint((blocks.x[members].astype(np.int64) - self._origin[1]) / layer).astype(np.int64) - region.x0
        height, width = blocks.stored[members].T
        hit = (top < pixels.shape[0]) & (top + height > 0) & (left < pixels.shape[1]) & (left + width > 0)
        for number, y, x in zip(members[hit], top[hit], left[hit], strict=True):
            tile = self._tile(int(number))
            y0, x0 = max(0, -y), max(0, -x)
            y1, x1 = min(tile.shape[0], pixels.shape[0] - y), min(tile.shape[1], pixels.shape[1] - x)
            pixels[y + y0 : y + y1, x + x0 : x + x1] = tile[y0:y1, x0:x1]
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def read_scaled(self, region: Region, layer: int, step: int) -> np.ndarray:
        """A region in which each pixel is the mean of ``step`` x ``step`` pixels of a layer; in bounded memory."""
        import cv2

        if step == 1:
            return self.read(region, layer)
        height, width = region.shape
        if height * width * step * step > MAX_AVERAGED_PX and max(height, width) > 1:
            if height > width:
                middle = region.y0 + height // 2
                halves = (
                    Region(region.y0, region.x0, middle, region.x1),
                    Region(middle, region.x0, region.y1, region.x1),
                )
            else:
                middle = region.x0 + width // 2
                halves = (
                    Region(region.y0, region.x0, region.y1, middle),
                    Region(region.y0, middle, region.y1, region.x1),
                )
            parts = [self.read_scaled(half, layer, step) for half in halves]
            return np.concatenate(parts, axis=0 if height > width else 1)
        within = Region(region.y0 * step, region.x0 * step, region.y1 * step, region.x1 * step)
        return cv2.resize(self.read(within, layer), (width, height), interpolation=cv2.INTER_AREA)

    def _tile(self, number: int) -> np.ndarray:
        return CACHE.get((self._key, number), lambda: self._unpack(number))

    def _unpack(self, number: int) -> np.ndarray:
        import imagecodecs

        height, width = (int(side) for side in self._blocks.stored[number])
        raw: bytes | bytearray
        packing, size = int(self._blocks.compression[number]), height * width * 6
        try:
            with self._path.open("rb") as file:
                data = tile_data(file, int(self._blocks.position[number]))
            if packing == UNCOMPRESSED:
                raw = data
            elif packing in (ZSTD0, ZSTD1):
                start = data[0] if packing == ZSTD1 else 0
                raw = imagecodecs.zstd_decode(data[start:], out=bytearray(size))
            else:
                raise ValueError(f"packing {packing}")
            if len(raw) < size:
                raise ValueError("too few pixels")
            flat = np.frombuffer(raw, np.uint8, size)
            if packing == ZSTD1 and _separated(data):
                flat = np.stack([flat[: size // 2], flat[size // 2 :]], axis=1)
            return flat.reshape(-1).view("<u2").reshape(height, width, 3)
        except (OSError, ValueError, IndexError, RuntimeError, MemoryError, struct.error) as error:
            raise SlideError(
                f"A part of {self._path.name} cannot be decoded; the file is damaged.",
                hint="Copy it again from the microscope.",
            ) from error


def _separated(data: bytes) -> bool:
    """Whether the low bytes of all values come before the high ones, as the only chunk of the header says."""
    return data[0] >= 3 and data[1] == 1 and bool(data[2] & 1)
