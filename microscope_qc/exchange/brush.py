"""Brushed masks of Label Studio: an RGBA picture as runs of bits (the format of thi.ng/rle-pack)."""

from __future__ import annotations

from typing import Any

import numpy as np

from microscope_qc.core.outline import Outline
from microscope_qc.exchange.shapes import mask_on_rows


def read_brush(values: Any, shape_px: tuple[int, int]) -> Outline:
    """Outline of the opaque pixels of the bytes ``values``, a picture of ``shape_px``.

    Raises
    ------
    ValueError
        When they do not stand for a picture of this size, or the mask is larger than any.
    """
    height, width = shape_px
    if not isinstance(values, list):
        raise ValueError("no bytes")
    bits = _Bits(bytes(values))
    count = bits.take(32)
    if count != height * width * 4:
        raise ValueError("another picture")
    word_bits = bits.take(5) + 1
    length_bits = [bits.take(4) + 1 for _ in range(4)]
    starts: list[int] = []
    stops: list[int] = []

    def add(first: int, last: int) -> None:
        """Opaque bytes from ``first`` to ``last``: every fourth byte is the opacity of a pixel."""
        begin, end = first // 4, last // 4
        if starts and stops[-1] == begin:
            stops[-1] = end
        elif end > begin:
            starts.append(begin)
            stops.append(end)

    place = 0
    while place < count:
        repeated = bits.take(1)
        end = min(place + 1 + bits.take(length_bits[bits.take(2)]), count)
        if repeated:
            if bits.take(word_bits) & 255:
                add(place, end)
        else:
            for here in range(place, end):
                if bits.take(word_bits) & 255:
                    add(here, here + 1)
        place = end
    return mask_on_rows(np.array(starts, np.int64), np.array(stops, np.int64), 0, 0, width, height)


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
