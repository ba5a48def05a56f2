"""What the samples of a TIFF mean, and how they are turned into grey values and colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.core.errors import SlideError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, YCBCR = 0, 1, 2, 3, 4, 6
SHOWN = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, YCBCR)
OTHER_COLOURS = {
    5: "print colours (CMYK)",
    8: "the colour space CIE Lab",
    9: "the colour space ICC Lab",
    10: "the colour space ITU Lab",
    32803: "raw pixels of a camera (CFA)",
    32844: "the logarithms of brightness (LogL)",
    32845: "the logarithms of colours (LogLuv)",
    34892: "raw pixels of a camera (LinearRaw)",
}
OLD_JPEG = 6
LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Packed without a codec that knows of colours: YCbCr stays YCbCr."""
APERIO_YCBCR = 33003


class UnshownSamplesError(SlideError):
    """The samples of a picture cannot be shown as what they are."""


def check_samples(path: Path, keyframe: Any, dtype: np.dtype) -> None:
    """Reject pages whose colours or compression would be shown wrongly, or not at all.

    Raises
    ------
    UnshownSamplesError
        That says which kind of pixels it is.
    """
    photometric, compression = int(keyframe.photometric), int(keyframe.compression)
    if dtype.kind not in "biuf":
        raise UnshownSamplesError(
            f"{path.name} has pixels of the type {dtype.name}, which is not supported.",
            hint="Save it as whole numbers or as floating point numbers.",
        )
    if photometric not in SHOWN:
        kind = OTHER_COLOURS.get(photometric, f"colours of the kind {photometric}, which this program does not know")
        raise UnshownSamplesError(f"{path.name} is stored in {kind}.", hint="Save it as RGB or in grey.")
    if compression == OLD_JPEG:
        raise UnshownSamplesError(
            f"{path.name} is compressed as old-style JPEG (compression 6), which this program does not support.",
            hint="Save it as an uncompressed, LZW or JPEG TIFF.",
        )
    if photometric == YCBCR and compression in LOSSLESS:
        what = "reduced colours (subsampled YCbCr)" if keyframe.is_subsampled else "YCbCr colours"
        raise UnshownSamplesError(f"{path.name} is stored in {what} without JPEG compression.", hint="Save it as RGB.")


class SampleValues:
    """Turns the samples of a page into what is shown: black is 0, and fewer than 8 bits fill the range of 8.

    Attributes
    ----------
    dtype
        Of what is shown.
    colormap
        (n, 3) uint8 of a palette picture, None of another.
    """

    def __init__(self, keyframe: Any, dtype: np.dtype, *, scientific: bool) -> None:
        self.colormap = _palette(keyframe, scientific=scientific)
        self.dtype = np.dtype(np.uint8) if self.colormap is not None or dtype.kind == "b" else dtype.newbyteorder("=")
        bits = min(int(keyframe.bitspersample), 8 * dtype.itemsize)
        self._largest = 1 if dtype.kind == "b" else (1 << bits) - 1
        self._change = self._what_changes(white_is_zero=int(keyframe.photometric) == WHITE_IS_ZERO, kind=dtype.kind)

    def _what_changes(self, *, white_is_zero: bool, kind: str) -> Callable[[np.ndarray], np.ndarray] | None:
        largest = self._largest
        if self.colormap is not None:
            return None
        if kind in "bu":
            if largest < 255:  # a table is exact: 15 of 4 bits is 255
                codes = np.arange(largest + 1)
                table = np.rint((largest - codes if white_is_zero else codes) * (255 / largest)).astype(np.uint8)
                return lambda pixels: table[np.minimum(pixels.astype(np.uint8), largest)]
            if white_is_zero:
                return lambda pixels: pixels.dtype.type(largest) - np.minimum(pixels, pixels.dtype.type(largest))
            return None
        if not white_is_zero:
            return None
        return np.invert if kind == "i" else np.negative  # in the range of the type: -1 - value

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Values of decoded samples (h, w, n); (h, w, 3) of a palette picture."""
        if self.colormap is not None:
            codes: Ints = np.minimum(pixels[..., 0], len(self.colormap) - 1)
            return self.colormap[codes]
        return pixels if self._change is None else self._change(pixels)


def _palette(keyframe: Any, *, scientific: bool) -> np.ndarray | None:
    """In OME and ImageJ files a palette is only the look-up table of a channel."""
    if int(keyframe.photometric) != PALETTE or scientific or keyframe.colormap is None:
        return None
    return np.ascontiguousarray((np.asarray(keyframe.colormap, np.uint16) >> 8).astype(np.uint8).T)


def is_plain_ycbcr(data: bytes) -> bool:
    """Whether a JPEG 2000 tile has colours as fine as its brightness; others are turned into RGB by the decoder."""
    start = data.find(b"\xff\x4f\xff\x51")  # SOC and SIZ: after 40 bytes (depth, dx, dy) of each component
    parts = data[start + 42 : start + 51]
    return start >= 0 and len(parts) == 9 and set(parts[1::3]) == {1} and set(parts[2::3]) == {1}


def rgb_of_ycbcr(pixels: np.ndarray) -> np.ndarray:
    """RGB (h, w, 3) from the YCbCr of JPEG (ITU-T T.871); other shapes and types stay as they are."""
    import cv2

    if pixels.dtype != np.uint8 or pixels.shape[-1] != 3:
        return pixels
    flat = np.ascontiguousarray(pixels.reshape(-1, pixels.shape[-2], 3)[..., [0, 2, 1]])
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_YCrCb2RGB)).reshape(pixels.shape)
