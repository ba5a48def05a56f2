"""Small pictures around boxes, all of one size: what they teach holds for defects of any size. No torch in here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.piece_cache import PieceCache

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

SIDE_PX = 96
"""Of the pictures: the part of the slide is brought to this height and width."""
_AROUND = 2.5
"""Height and width of the part of the slide, in those of the box."""
_FLATTEST = 0.5
"""A box counts as at least so wide as it is high, as a share, and the other way round: the first ones are rough."""
_PIECE_PX, _CACHE_BYTES = 512, 96 << 20
_NEAR_PX = 4096
"""They are read in squares of the slide of this size, one after the other: what is decoded once serves them all."""


@dataclass(frozen=True, slots=True)
class Crops:
    """Pictures around boxes.

    Attributes
    ----------
    pixels : (n, SIDE_PX, SIDE_PX, 3), uint8
    frames : (n, 4)
        The part of the slide that each shows, y0, x0, y1, x1 in full-resolution pixels.
    boxes : (n, 4)
        The boxes themselves.
    there : (n,)
        False where it could not be read.
    """

    pixels: np.ndarray
    frames: Floats
    boxes: Floats
    there: Flags

    def only(self, rows: np.ndarray) -> Crops:
        """Some of them."""
        return Crops(self.pixels[rows], self.frames[rows], self.boxes[rows], self.there[rows])


def reading_order(boxes: Floats) -> np.ndarray:
    """Indices of boxes, so that those near each other are read after each other."""
    square = boxes[:, :2] // _NEAR_PX
    order: np.ndarray = np.lexsort((boxes[:, 0], square[:, 1], square[:, 0]))
    return order


def read_crops(mosaic: Mosaic, boxes: Floats) -> Crops:
    """Pictures around boxes (n, 4), in full-resolution pixels; beyond the slide its border is repeated."""
    pixels = np.zeros((len(boxes), SIDE_PX, SIDE_PX, 3), np.uint8)
    frames, there = np.array(_around(boxes)), np.zeros(len(boxes), bool)
    pieces = PieceCache(_CACHE_BYTES)
    for row in reading_order(boxes):
        try:
            pixels[row], frames[row] = _read(mosaic, frames[row], pieces)
        except (MicroscopeQCError, OSError, ValueError):
            continue
        there[row] = True
    return Crops(pixels, frames, boxes, there)


def _around(boxes: Floats) -> Floats:
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = np.maximum(np.maximum(sides, _FLATTEST * sides[:, ::-1]), 1.0) * _AROUND / 2
    around: Floats = np.concatenate([middle - half, middle + half], axis=1)
    return around


def _read(mosaic: Mosaic, frame: Floats, pieces: PieceCache) -> tuple[np.ndarray, list[float]]:
    """A part of the slide, and where its whole pixels lie."""
    import cv2

    level = mosaic.level_for(float(min(frame[2] - frame[0], frame[3] - frame[1])) / SIDE_PX)
    down_y, down_x = mosaic.levels[level].downsample
    wanted = Region(
        math.floor(frame[0] / down_y), math.floor(frame[1] / down_x),
        math.ceil(frame[2] / down_y), math.ceil(frame[3] / down_x),
    )  # fmt: skip
    inside = wanted.clip(mosaic.levels[level].shape)
    if min(inside.shape) <= 0:
        raise ValueError("nothing of it is on the slide")
    try:
        part = _from_pieces(mosaic, inside, level, pieces)
    except (MicroscopeQCError, OSError, ValueError):
        part = mosaic.read_rgb8(inside, level=level)  # the damaged part of a piece may be outside of it
    if inside != wanted:
        above, left = inside.y0 - wanted.y0, inside.x0 - wanted.x0
        below, right = wanted.y1 - inside.y1, wanted.x1 - inside.x1
        part = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if min(part.shape[:2]) > SIDE_PX else cv2.INTER_LINEAR
    small = cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=how)
    return small, [wanted.y0 * down_y, wanted.x0 * down_x, wanted.y1 * down_y, wanted.x1 * down_x]


def _from_pieces(mosaic: Mosaic, inside: Region, level: int, pieces: PieceCache) -> np.ndarray:
    """Pixels of a level from pieces that are decoded once: a reader may decode whole tiles of a file at each read."""
    pixels = np.empty((*inside.shape, 3), np.uint8)
    for top in range(inside.y0 // _PIECE_PX * _PIECE_PX, inside.y1, _PIECE_PX):
        for left in range(inside.x0 // _PIECE_PX * _PIECE_PX, inside.x1, _PIECE_PX):
            whole = Region(top, left, top + _PIECE_PX, left + _PIECE_PX).clip(mosaic.levels[level].shape)
            piece = pieces.get((level, top, left), partial(mosaic.read_rgb8, whole, level=level))
            y0, x0, y1, x1 = (
                max(top, inside.y0),
                max(left, inside.x0),
                min(whole.y1, inside.y1),
                min(whole.x1, inside.x1),
            )
            pixels[y0 - inside.y0 : y1 - inside.y0, x0 - inside.x0 : x1 - inside.x0] = piece[
                y0 - top : y1 - top, x0 - left : x1 - left
            ]
    return pixels
