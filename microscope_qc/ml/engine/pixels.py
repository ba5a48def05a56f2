"""Tiles at the model's pixel size: the nearest level is decoded once and resampled once. No torch in here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.piece_cache import PieceCache

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

CACHE_BYTES = 192 << 20
PIECE_PX = 512


class TileReader:
    """Reads tiles of a mosaic at another size, from any thread.

    Parameters
    ----------
    scale
        Full-resolution pixels per model pixel (y, x).
    tile_shape
        Height and width of a tile in full-resolution pixels.
    shape
        The same in model pixels.
    cache_bytes
        Decoded pieces are cached up to this size, so that neighbouring tiles do not decode their overlap again.
    """

    def __init__(
        self,
        mosaic: Mosaic,
        *,
        scale: tuple[float, float],
        tile_shape: tuple[int, int],
        shape: tuple[int, int],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._mosaic = mosaic
        self.shape = shape
        self._level = mosaic.level_for(min(scale))
        self._down = mosaic.levels[self._level].downsample
        self._source = (max(1, round(tile_shape[0] / self._down[0])), max(1, round(tile_shape[1] / self._down[1])))
        self._pieces = PieceCache(cache_bytes)

    def _origin(self, tile: Region) -> tuple[int, int]:
        # whole pixels of the level, so that nothing is averaged at fractional positions; see frame()
        limit = self._mosaic.levels[self._level].shape
        return (
            max(0, min(round(tile.y0 / self._down[0]), limit[0] - self._source[0])),
            max(0, min(round(tile.x0 / self._down[1]), limit[1] - self._source[1])),
        )

    def frame(self, tile: Region) -> Region:
        """The region really read for a tile, in full-resolution pixels; less than a pixel of the level off."""
        y, x = self._origin(tile)
        (down_y, down_x), (height, width) = self._down, self._source
        return Region(round(y * down_y), round(x * down_x), round((y + height) * down_y), round((x + width) * down_x))

    def strips(self, tiles: Sequence[Region], *, longest: int) -> list[int]:
        """Split ``tiles`` into runs that :meth:`read` can read together; returns the length of each run."""
        lengths: list[int] = []
        for index, tile in enumerate(tiles):
            if lengths and lengths[-1] < longest and self._fits(tiles[index - lengths[-1]], tiles[index - 1], tile):
                lengths[-1] += 1
            else:
                lengths.append(1)
        return lengths

    def _fits(self, first: Region, before: Region, tile: Region) -> bool:
        """Whether a tile continues ``before`` in the strip of ``first``, aligned with its pixels."""
        (y, x), (y_first, x_first), x_before = self._origin(tile), self._origin(first), self._origin(before)[1]
        follows = x_before <= x <= x_before + self._source[1]  # nothing is read across tiles that were left out
        return y == y_first and follows and (x - x_first) * self.shape[1] % self._source[1] == 0

    def read(self, tiles: Sequence[Region]) -> list[np.ndarray]:
        """Pixels, uint8 (h, w, 3), of tiles in one run of :meth:`strips`.

        Raises
        ------
        SlideError
            When part of them cannot be decoded.
        """
        (height, width), (rows, columns) = self._source, self.shape
        origins = [self._origin(tile) for tile in tiles]
        y, x = origins[0]
        source = self._read(Region(y, x, y + height, origins[-1][1] + width))
        starts = [(origin[1] - x) * columns // width for origin in origins]
        source = resized(source, (rows, starts[-1] + columns))
        return [source[:, start : start + columns] for start in starts]

    def _read(self, region: Region) -> np.ndarray:
        height, width = region.shape
        if height * width <= PIECE_PX * PIECE_PX // 16:  # much smaller than a piece: not worth one
            return self._unpack(region)
        try:
            return self._from_pieces(region)
        except (MicroscopeQCError, OSError, ValueError):
            return self._unpack(region)  # the damaged part of a piece may be outside the region

    def _from_pieces(self, region: Region) -> np.ndarray:
        """Pixels of the level from pieces that are decoded once."""
        height, width = region.shape
        limit = self._mosaic.levels[self._level].shape
        inside = region.clip(limit)
        # the pieces cover everything inside the level
        pixels = (np.empty if inside == region else np.zeros)((height, width, 3), np.uint8)
        for row in range(inside.y0 // PIECE_PX, math.ceil(inside.y1 / PIECE_PX)):
            for column in range(inside.x0 // PIECE_PX, math.ceil(inside.x1 / PIECE_PX)):
                y, x = row * PIECE_PX, column * PIECE_PX
                place = Region(y, x, y + PIECE_PX, x + PIECE_PX).clip(limit)
                piece = self._pieces.get((row, column), partial(self._unpack, place))
                y0, x0 = max(region.y0, y), max(region.x0, x)
                y1, x1 = min(region.y1, place.y1), min(region.x1, place.x1)
                pixels[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = piece[
                    y0 - y : y1 - y, x0 - x : x1 - x
                ]
        return pixels

    def clear(self) -> None:
        """Drop all cached pieces."""
        self._pieces.clear()

    def _unpack(self, place: Region) -> np.ndarray:
        return self._mosaic.read_rgb8(place, level=self._level)


def resized(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A image, uint8 (h, w, 3), at another size; when smaller, averaged over the area that each pixel covers."""
    import cv2

    height, width = pixels.shape[:2]
    rows, columns = shape
    if (height, width) == (rows, columns):
        return pixels
    if 2 * height == 3 * rows and 2 * width == 3 * columns:
        # the factor between halving levels and models at a third: twice as fast as OpenCV's general method
        return cv2.transpose(_two_thirds(cv2.transpose(_two_thirds(pixels))))
    method = cv2.INTER_AREA if height >= rows and width >= columns else cv2.INTER_LINEAR
    return cv2.resize(pixels, (columns, rows), interpolation=method)


def _two_thirds(pixels: np.ndarray) -> np.ndarray:
    """Two rows for every three."""
    import cv2

    smaller = np.empty((len(pixels) // 3 * 2, *pixels.shape[1:]), np.uint8)
    smaller[0::2] = cv2.addWeighted(pixels[0::3], 2 / 3, pixels[1::3], 1 / 3, 0)
    smaller[1::2] = cv2.addWeighted(pixels[1::3], 1 / 3, pixels[2::3], 2 / 3, 0)
    return smaller
