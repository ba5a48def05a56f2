"""Virtual slides: a small JSON file that describes an image of any size, computed where it is read.

They simulate slides of hundreds of gigabytes, also on slow drives, where no such file is available.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import certain
from microscope_qc.slides.base import Mosaic, Slide, checked_shape, usable_size
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.slide_reader import SlideReader

SUFFIX = ".virtual.json"
FORMAT = "microscope-qc virtual slide"
MAX_JSON_BYTES = 64 << 10
MAX_DELAY_MS = 60_000
SMALLEST_PX = 512
LARGEST_PX = 10_000_000


def write_virtual(
    path: Path | str,
    *,
    shape: tuple[int, int],
    seed: int = 0,
    pixel_size_um: tuple[float, float] | None = (0.1, 0.1),
    delay_ms: float = 0.0,
    pyramid: bool = True,
) -> Path:
    """Write the file of a virtual slide.

    Parameters
    ----------
    path
        Must end with ``.virtual.json``.
    shape
        Height and width in pixels.
    seed
        The same seed gives the same image.
    pixel_size_um
        (y, x); None leaves it unknown.
    delay_ms
        How long every read takes at least, to simulate a slow drive.
    pyramid
        False leaves out the coarser levels, to simulate a slide that must be converted.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        When a value is out of range or the name does not fit.
    WriteError
        When the file cannot be written.
    """
    target = Path(path)
    if not is_virtual(target):
        raise InputError(f"{target.name} does not end with {SUFFIX}.", hint=f"Name it slide{SUFFIX}.")
    document = {
        "format": FORMAT,
        "version": 1,
        "shape": [int(side) for side in shape],
        "seed": int(seed),
        "pixel_size_um": None if pixel_size_um is None else [float(size) for size in pixel_size_um],
        "delay_ms": float(delay_ms),
        "pyramid": bool(pyramid),
    }
    try:
        VirtualMosaic(target, document)
    except SlideError as error:
        raise InputError(error.message, hint=error.hint) from error
    atomic_write(target, json.dumps(document, indent=1) + "\n")
    return target


def is_virtual(path: Path) -> bool:
    """Whether a file name is that of a virtual slide."""
    return path.name.lower().endswith(SUFFIX)


def open_virtual(path: Path) -> Slide:
    """Open a virtual slide.

    Raises
    ------
    SlideError
        When the file is not valid.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise SlideError(f"{path.name} is too large for a virtual slide.", hint="Make it again with synth.")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "is not JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _wrong(path, f"does not say that it is a {FORMAT}")
    return Slide(path, format="virtual", scenes=[VirtualMosaic(path, document)])


class VirtualMosaic(Mosaic):
    """An image that is computed when it is read."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        shape = _pair(document.get("shape"))
        if shape is None or not all(_whole(side) for side in shape):
            raise _wrong(path, "has no size")
        full = checked_shape(path, (int(shape[0]), int(shape[1])))
        seed = document.get("seed", 0)
        if not _whole(seed) or not 0 <= seed < 2**63:
            raise _wrong(path, "has a seed that is not a whole number from 0")
        delay_ms = document.get("delay_ms", 0)
        if not _number(delay_ms) or not 0 <= delay_ms <= MAX_DELAY_MS:
            raise _wrong(path, f"has a delay that is not between 0 and {MAX_DELAY_MS} ms")
        if not isinstance(document.get("pyramid", True), bool):
            raise _wrong(path, "does not say whether it has a pyramid")
        shapes = [full]
        while document.get("pyramid", True) and min(shapes[-1]) > SMALLEST_PX:
            height, width = shapes[-1]
            shapes.append((-(-height // 2), -(-width // 2)))
        super().__init__(
            path=path,
            name="",
            levels=[Level(shape, (2.0**i, 2.0**i)) for i, shape in enumerate(shapes)],
            dtype=np.dtype(np.uint8),
            rgb=True,
            pixel_size_um=_pixel_size(path, document.get("pixel_size_um")),
        )
        self._seed, self._delay_s = int(seed), float(delay_ms) / 1000

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        from microscope_qc.slides.virtual.pattern import draw

        if self._delay_s:
            time.sleep(self._delay_s)
        return draw(region, level, self._seed)


def _pixel_size(path: Path, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    pair = _pair(value)
    sizes = (None, None) if pair is None else (usable_size(float(pair[0])), usable_size(float(pair[1])))
    if sizes[0] is None or sizes[1] is None:
        raise _wrong(path, "has an invalid pixel size")
    return sizes[0], sizes[1]


def _pair(value: Any) -> tuple[Any, Any] | None:
    if isinstance(value, list) and len(value) == 2 and all(_number(part) for part in value):
        return value[0], value[1]
    return None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    # a number beyond 1e15 is a mistake, and may not even fit into a float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)


def _wrong(path: Path, what: str) -> SlideError:
    return SlideError(f"{path.name} {what}; it is not a virtual slide.", hint="Make it again with synth.")


VIRTUAL = SlideReader(
    "virtual", "Virtual slide", (SUFFIX,), lambda path, head: certain(bool(head) and is_virtual(path)), open_virtual
)
