"""The parts of a slide that have been viewed, as a coarse grid."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError

CELLS = 256
"""Cells along the longer side: on 200,000 px one is 781 px, about half a screen at full size."""


class SeenMap:
    """A grid of square cells over a slide; a cell counts as seen when its middle was viewed.

    Parameters
    ----------
    shape
        Height and width of the slide in px.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        side = max(1.0, max(shape) / CELLS)
        self.cells = np.zeros((math.ceil(shape[0] / side), math.ceil(shape[1] / side)), np.bool_)
        self.cell_px = (shape[0] / self.cells.shape[0], shape[1] / self.cells.shape[1])

    @property
    def share(self) -> float:
        """Share of the slide that has been viewed, 0 to 1."""
        return float(self.cells.mean())

    def mark(self, y0: float, x0: float, y1: float, x1: float) -> bool:
        """Mark a rectangle in slide pixels as seen; returns whether anything was new."""

        def first(edge: float, side: float) -> int:
            return max(0, math.ceil(edge / side - 0.5))

        height, width = self.cell_px
        rows, columns = slice(first(y0, height), first(y1, height)), slice(first(x0, width), first(x1, width))
        part = self.cells[rows, columns]
        if part.size == 0 or part.all():
            return False
        part[:] = True
        return True

    def clear(self) -> None:
        """Mark everything as not seen."""
        self.cells[:] = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: below 12 KB for any slide."""
        packed = zlib.compress(np.packbits(self.cells).tobytes())
        return {"shape": list(self.cells.shape), "cells": base64.b64encode(packed).decode("ascii")}

    def take_dict(self, values: dict[str, Any]) -> None:
        """Restore the cells from :meth:`to_dict`.

        Raises
        ------
        InputError
            If they are not the cells of a grid of this size.
        """
        try:
            if list(values["shape"]) != list(self.cells.shape):
                raise InputError("The stored viewed areas belong to a slide of another size.")
            size = (self.cells.size + 7) // 8
            packed = zlib.decompressobj().decompress(base64.b64decode(values["cells"], validate=True), size + 1)
            if len(packed) != size:
                raise InputError("The stored viewed areas cannot be read.")
        except (KeyError, TypeError, ValueError, zlib.error, binascii.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("The stored viewed areas cannot be read.") from error
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=self.cells.size)
        self.cells[:] = bits.reshape(self.cells.shape).astype(np.bool_)
