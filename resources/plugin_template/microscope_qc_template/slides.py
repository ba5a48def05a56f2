"""A slide format: a line of JSON (``{"template": 1, "shape": [height, width], "pixel_size_um": s}``), then grey bytes.

Files are untrusted: what is wrong with one becomes a sentence, and nothing is allocated before its size was checked.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import Match, certain
from microscope_qc.slides.base import Mosaic, Slide, checked_shape
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.slide_reader import SlideReader

BEGIN = b'{"template": 1,'
LONGEST_HEAD = 4096


class GreyMosaic(Mosaic):
    """Reads one region at a time, from any thread."""

    def __init__(self, path: Path, shape: tuple[int, int], pixel_size_um: float, begin: int) -> None:
        super().__init__(
            path=path,
            levels=[Level(shape, (1.0, 1.0))],  # large files want smaller levels, too
            dtype=np.dtype(np.uint8),
            pixel_size_um=(pixel_size_um, pixel_size_um),
        )
        self._pixels = np.memmap(path, np.uint8, "r", begin, shape)

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return np.array(self._pixels[region.y0 : region.y1, region.x0 : region.x1])


def open_slide(path: Path) -> Slide:
    """Open a slide, reading its first line only.

    Raises
    ------
    SlideError
        When the file is damaged.
    """
    with path.open("rb") as file:
        head = file.readline(LONGEST_HEAD)
    try:
        told = json.loads(head)
        height, width = (int(side) for side in told["shape"])
        pixel_size_um = float(told["pixel_size_um"])
    except (ValueError, TypeError, KeyError) as error:
        raise SlideError(f"The first line of {path.name} cannot be read.", hint="Write the file again.") from error
    shape = checked_shape(path, (height, width))
    if path.stat().st_size != len(head) + height * width:
        raise SlideError(f"{path.name} is cut off.", hint="Copy it again.")
    return Slide(path, format="template-slide", scenes=[GreyMosaic(path, shape, pixel_size_um, len(head))])


def write(path: Path, pixels: np.ndarray, pixel_size_um: float) -> None:
    """Write grey pixels (h, w), uint8."""
    head = {"template": 1, "shape": list(pixels.shape), "pixel_size_um": pixel_size_um}
    path.write_bytes(json.dumps(head).encode() + b"\n" + np.asarray(pixels, np.uint8).tobytes())


def recognises(path: Path, head: bytes) -> Match:
    """Whether a file is one of this format, by its path and its first bytes."""
    return certain(head.startswith(BEGIN))


READER = SlideReader("template-slide", "Template", (".template",), recognises, open_slide, saved_as=("template",))
