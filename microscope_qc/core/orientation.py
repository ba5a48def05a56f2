"""The eight ways in which a picture may be stored, and how it is turned upright.

They are numbered as in the tag ``Orientation`` of TIFF and EXIF (TIFF 6.0, tag 274): where the first row and the first
column of the stored picture lie when it is seen upright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.geometry import Region
from microscope_qc.core.outline import Outline
from microscope_qc.core.runs import counts_of, on_runs, other_way, pieces_of

AS_STORED = 1
"""The picture is stored upright, or is taken as it is stored."""


class _Turn(NamedTuple):
    """Rows and columns are exchanged first, then mirrored from top to bottom, then from left to right."""

    exchanged: bool
    flipped_y: bool
    flipped_x: bool
    words: str


_TURNS = {
    1: _Turn(False, False, False, ""),
    2: _Turn(False, False, True, "mirrored from left to right"),
    3: _Turn(False, True, True, "turned by 180°"),
    4: _Turn(False, True, False, "mirrored from top to bottom"),
    5: _Turn(True, False, False, "mirrored and turned by 90° to the left"),
    6: _Turn(True, False, True, "turned by 90° to the right"),
    7: _Turn(True, True, True, "mirrored and turned by 90° to the right"),
    8: _Turn(True, True, False, "turned by 90° to the left"),
}


def checked_orientation(value: object) -> int:
    """One of the eight orientations; what is none of them counts as stored upright, as in other programs."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) in _TURNS:
        return int(value)
    return AS_STORED


def orientation_words(orientation: int) -> str:
    """What is done to the stored picture: ``turned by 90° to the right``; "" where nothing is."""
    return _TURNS[orientation].words


def exchanges_axes(orientation: int) -> bool:
    """Whether stored rows become columns."""
    return _TURNS[orientation].exchanged


def turned_pair(pair: tuple[float, float], orientation: int) -> tuple[float, float]:
    """A (y, x) size, such as that of a pixel, of the stored picture in the upright one, or the other way round."""
    return (pair[1], pair[0]) if exchanges_axes(orientation) else pair


def turned_shape(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    """As :func:`turned_pair`, in whole pixels."""
    return (shape[1], shape[0]) if exchanges_axes(orientation) else shape


def upright_pixels(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels (h, w) or (h, w, samples) upright; a view."""
    turn = _TURNS[orientation]
    if turn.exchanged:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if turn.flipped_y else 1, :: -1 if turn.flipped_x else 1]


def upright_points(points: np.ndarray, orientation: int, *, stored_shape_px: tuple[int, int]) -> Floats:
    """Points (n, 2) as (y, x) of the stored picture, in the upright one; the first pixel covers 0 to 1."""
    turn = _TURNS[orientation]
    turned: Floats = np.array(points, np.float64).reshape(-1, 2)
    if turn.exchanged:
        turned = turned[:, ::-1].copy()
    height, width = turned_shape(stored_shape_px, orientation)
    if turn.flipped_y:
        turned[:, 0] = height - turned[:, 0]
    if turn.flipped_x:
        turned[:, 1] = width - turned[:, 1]
    return turned


def upright_boxes(boxes: np.ndarray, orientation: int, *, stored_shape_px: tuple[int, int]) -> Floats:
    """Boxes (n, 4) as y0, x0, y1, x1 of the stored picture, in the upright one."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2)
    turned = upright_points(corners.reshape(-1, 2), orientation, stored_shape_px=stored_shape_px).reshape(-1, 2, 2)
    return np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)


def upright_outline(outline: Outline, orientation: int, *, stored_shape_px: tuple[int, int]) -> Outline | None:
    """An outline of the stored picture, in the upright one; None for a mask of too many runs."""
    turn = _TURNS[orientation]
    turned = partial(upright_points, orientation=orientation, stored_shape_px=stored_shape_px)
    if outline.kind == "ellipse":
        centre, (ry, rx) = outline.parts[0][0]
        ((cy, cx),) = turned(np.array([centre])).tolist()
        angle = outline.angle_deg
        if turn.exchanged and angle == 0:
            ry, rx = rx, ry
        elif turn.exchanged:
            angle = 90 - angle
        if angle and turn.flipped_y != turn.flipped_x:
            angle = -angle
        return Outline.ellipse(cy, cx, ry, rx, angle_deg=angle)
    if outline.kind == "mask":
        return _upright_mask(outline, turn, turned)
    parts = tuple(
        tuple(tuple(map(tuple, turned(np.array(ring)).tolist())) for ring in rings) for rings in outline.parts
    )
    return Outline(outline.kind, parts)


def _upright_mask(outline: Outline, turn: _Turn, turned: Callable[[np.ndarray], Floats]) -> Outline | None:
    y, x, height, width = outline.mask_px or (0.0, 0.0, 0, 0)
    corners = turned(np.array([(y, x), (y + height, x + width)]))
    top, left = corners.min(axis=0).tolist()
    counts: Sequence[int] = outline.counts
    try:
        if turn.exchanged:
            counts, height, width = other_way(counts, height, width), width, height
        column, first, last = pieces_of(*on_runs(counts), height)
    except ValueError:
        return None
    if turn.flipped_y:
        first, last = height - last, height - first
    if turn.flipped_x:
        column = width - 1 - column
    order = np.lexsort((first, column))
    starts = (column * height + first)[order]
    return Outline.of_counts(
        counts_of(starts, starts + (last - first)[order], height * width), (top, left, height, width)
    )


def stored_region(region: Region, orientation: int, *, shape_px: tuple[int, int]) -> Region:
    """The part of the stored picture that a region of the upright one, of ``shape_px``, shows."""
    turn, (height, width) = _TURNS[orientation], shape_px
    y0, y1 = (height - region.y1, height - region.y0) if turn.flipped_y else (region.y0, region.y1)
    x0, x1 = (width - region.x1, width - region.x0) if turn.flipped_x else (region.x0, region.x1)
    return Region(x0, y0, x1, y1) if turn.exchanged else Region(y0, x0, y1, x1)
