"""The parts of a slide that users have viewed, and how closely, as a coarse grid."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.errors import InputError

CELLS = 256
"""Cells along the longer side: on 200,000 px one is 781 px, about half a screen at full size."""
ZOOMS = (0.1, 0.25, 0.5, 1.0)
"""Pixels of the screen for one of the slide, of which it is told how much was viewed as closely."""
_UNKNOWN, _FULL_SIZE, _STEPS = 1, 42, 4
"""Levels of cells: seen at a zoom that was not kept, and at full size; so many levels double the zoom."""


def _level(zoom: float | None) -> int:
    """The level of a zoom; above that of a zoom that was not kept."""
    if zoom is None or not zoom > 0:
        return _UNKNOWN
    return int(np.clip(_FULL_SIZE + math.floor(_STEPS * math.log2(zoom) + 1e-6), _UNKNOWN + 1, 255))


class SeenMap:
    """A grid of square cells over a slide; a cell counts as seen when its middle was viewed.

    ``levels`` says how closely: 0 of what was not seen.

    Parameters
    ----------
    shape
        Height and width of the slide in px.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        side = max(1.0, max(shape) / CELLS)
        self.levels = np.zeros((math.ceil(shape[0] / side), math.ceil(shape[1] / side)), np.uint8)
        self.cell_px = (shape[0] / self.levels.shape[0], shape[1] / self.levels.shape[1])

    @property
    def cells(self) -> Flags:
        """Boolean for each cell: whether it was seen."""
        seen: Flags = self.levels > 0
        return seen

    def share_at(self, zoom: float) -> float:
        """Share of the slide (0 to 1) that was viewed at a zoom, or more closely."""
        return float(self.closely(zoom).mean())

    def closely(self, zoom: float) -> Flags:
        """Boolean for each cell: whether it was viewed at a zoom, or more closely."""
        seen: Flags = self.levels >= _level(zoom)
        return seen

    @property
    def zoom_unknown(self) -> float:
        """Share of the slide (0 to 1) that was viewed at a zoom that was not kept."""
        return float((self.levels == _UNKNOWN).mean())

    @property
    def share(self) -> float:
        """Share of the slide that has been viewed, 0 to 1."""
        return float(self.cells.mean())

    def mark(self, y0: float, x0: float, y1: float, x1: float, zoom: float | None = None) -> bool:
        """Mark a rectangle in slide pixels as seen; returns whether anything was new.

        ``zoom`` is how many pixels of the screen one of the slide had.
        """

        def first(edge: float, side: float) -> int:
            return max(0, math.ceil(edge / side - 0.5))

        height, width = self.cell_px
        rows, columns = slice(first(y0, height), first(y1, height)), slice(first(x0, width), first(x1, width))
        part, level = self.levels[rows, columns], _level(zoom)
        if part.size == 0 or part.min() >= level:
            return False
        np.maximum(part, level, out=part)
        return True

    def clear(self) -> None:
        """Mark everything as not seen."""
        self.levels[:] = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: below 100 KB for any slide."""
        shape = list(self.levels.shape)
        return {"shape": shape, "cells": _packed(np.packbits(self.cells)), "zooms": _packed(self.levels)}

    def take_dict(self, values: dict[str, Any]) -> None:
        """Restore the cells from :meth:`to_dict`; values of older versions have no zooms.

        Raises
        ------
        InputError
            If they are not the cells of a grid of this size.
        """
        try:
            if list(values["shape"]) != list(self.cells.shape):
                raise InputError("The stored viewed areas belong to a slide of another size.")
            bits = _unpacked(values["cells"], (self.cells.size + 7) // 8)
            levels = _unpacked(values["zooms"], self.levels.size) if "zooms" in values else None
        except (KeyError, TypeError, ValueError, zlib.error, binascii.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("The stored viewed areas cannot be read.") from error
        seen = np.unpackbits(bits, count=self.levels.size).astype(np.bool_)
        self.levels[:] = np.where(seen, _UNKNOWN if levels is None else levels, 0).reshape(self.levels.shape)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.tobytes())).decode("ascii")


def _unpacked(text: str, size: int) -> np.ndarray:
    """Bytes of which there must be so many."""
    packed = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    if len(packed) != size:
        raise InputError("The stored viewed areas cannot be read.")
    return np.frombuffer(packed, np.uint8)
