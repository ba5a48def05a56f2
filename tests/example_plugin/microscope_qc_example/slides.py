"""A slide format: ``RAWGREY``, height and width (32 bit, little-endian), pixel size in nm, then bytes of grey."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import Match, certain
from microscope_qc.slides.base import Mosaic, Slide, checked_shape
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.slide_reader import SlideReader

MAGIC = b"RAWGREY\0"
HEAD = struct.Struct("<8sIII")


def write(path: Path, pixels: np.ndarray, pixel_size_um: float) -> None:
    """Write grey pixels (h, w), uint8."""
    path.write_bytes(HEAD.pack(MAGIC, *pixels.shape, round(pixel_size_um * 1000)) + pixels.tobytes())


class RawGreyMosaic(Mosaic):
    """Read through a memory map."""

    def __init__(self, path: Path, shape: tuple[int, int], pixel_size_um: float) -> None:
        super().__init__(
            path=path,
            levels=[Level(shape, (1.0, 1.0))],
            dtype=np.dtype(np.uint8),
            pixel_size_um=(pixel_size_um, pixel_size_um),
        )
        self._pixels = np.memmap(path, np.uint8, "r", HEAD.size, shape)

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return np.array(self._pixels[region.y0 : region.y1, region.x0 : region.x1])


def open_raw_grey(path: Path) -> Slide:
    """Open a slide."""
    with path.open("rb") as file:
        _, height, width, nm = HEAD.unpack(file.read(HEAD.size).ljust(HEAD.size, b"\0"))
    shape = checked_shape(path, (height, width))
    if path.stat().st_size != HEAD.size + height * width:
        raise SlideError(f"{path.name} is cut off.", hint="Copy it again.")
    return Slide(path, format="rawgrey", scenes=[RawGreyMosaic(path, shape, nm / 1000)])


def recognises(path: Path, head: bytes) -> Match:
    return certain(head.startswith(MAGIC))


RAW_GREY = SlideReader("rawgrey", "Raw grey", (".rawgrey",), recognises, open_raw_grey, saved_as=("raw grey",))
