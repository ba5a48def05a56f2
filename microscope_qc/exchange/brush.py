"""Brushed masks of Label Studio: an RGBA picture as runs of bits (the format of thi.ng/rle-pack)."""

from __future__ import annotations

from typing import Any

import numpy as np

from microscope_qc.core.outline import Outline
from microscope_qc.exchange.loading import LARGEST_PICTURE_PX


def read_brush(values: Any, shape_px: tuple[int, int]) -> Outline:
    """Outline of the opaque pixels of the bytes ``values``, a picture of ``shape_px``.

    Raises
    ------
    ValueError
        When they do not unpack to a picture of this size, or it is larger than any mask.
    """
    height, width = shape_px
    if height * width > LARGEST_PICTURE_PX:
        raise ValueError("too large")
    bits = _Bits(bytes(values))
    count = bits.take(32)
    if count != height * width * 4:
        raise ValueError("another picture")
    word_bits = bits.take(5) + 1
    length_bits = [bits.take(4) + 1 for _ in range(4)]
    out = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        repeated = bits.take(1)
        end = min(place + 1 + bits.take(length_bits[bits.take(2)]), count)
        if repeated:
            out[place:end] = bits.take(word_bits) & 255
        else:
            for here in range(place, end):
                out[here] = bits.take(word_bits) & 255
        place = end
    mask = out.reshape(height, width, 4)[..., 3] > 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("an empty mask")
    y0, x0 = int(rows[0]), int(columns[0])
    return Outline.mask(mask[y0 : rows[-1] + 1, x0 : columns[-1] + 1], y0, x0)


class _Bits:
    """Reads whole numbers of any width, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> int:
        first, last = self._place // 8, (self._place + count + 7) // 8
        if last > len(self._data):
            raise ValueError("cut off")
        self._place += count
        value = int.from_bytes(self._data[first:last], "big") >> (last * 8 - self._place)
        return value & ((1 << count) - 1)
