"""How the values of a slide become colours: display windows and the mixing of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

SAMPLE_PX = 512


def display_window(mosaic: Mosaic, channel: int) -> tuple[float, float]:
    """Values shown as black and white.

    The file's own window first; 8-bit unsigned pictures keep their values; for every other type the 0.1 and 99.9
    percentiles of a sample of the coarsest level (an RGB picture starts at 0, so that its colours keep their ratios).
    """
    own = mosaic.channels[channel].window
    if own is not None and np.all(np.isfinite(own)) and own[1] > own[0]:
        return own
    if mosaic.dtype == np.uint8:
        return 0.0, 255.0
    if mosaic.dtype == np.bool_:
        return 0.0, 1.0
    sample = _sample(mosaic, channel)
    values = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample.ravel()
    if not len(values):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.1, 99.9]))
    if mosaic.rgb:
        low = min(0.0, low)
    return (low, high) if high > low else (low, low + 1.0)


def _sample(mosaic: Mosaic, channel: int) -> np.ndarray:
    """Pixels of the coarsest level: all of it when small, else 16 blocks spread over it."""
    level = len(mosaic.levels) - 1
    height, width = mosaic.levels[level].shape
    if height * width <= 4 * SAMPLE_PX * SAMPLE_PX:
        return mosaic.read(Region(0, 0, height, width), level=level, channel=channel)
    side = SAMPLE_PX // 4
    blocks = []
    for y in np.linspace(0, max(0, height - side), 4).astype(int):
        for x in np.linspace(0, max(0, width - side), 4).astype(int):
            region = Region(int(y), int(x), int(y) + side, int(x) + side).clip((height, width))
            blocks.append(mosaic.read(region, level=level, channel=channel).reshape(-1))
    return np.concatenate(blocks)


def compose(mosaic: Mosaic, region: Region, level: int) -> np.ndarray:
    """(h, w, 3) uint8 of a region: RGB as it is, one channel as grey, several added up in their colours."""
    if len(mosaic.channels) == 1:
        eight = to_uint8(mosaic.read(region, level=level), mosaic.window(0))
        return eight if mosaic.rgb else np.repeat(eight[..., None], 3, axis=2)
    total = np.zeros((*region.shape, 3), np.uint16)
    for index, channel in enumerate(mosaic.channels):
        eight = to_uint8(mosaic.read(region, level=level, channel=index), mosaic.window(index))
        for band, weight in enumerate(rgb_of(channel.colour)):
            if weight:
                total[..., band] += eight if weight == 255 else (eight * np.uint16(weight) // 255)
    return np.minimum(total, 255).astype(np.uint8)


def to_uint8(pixels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Map ``window`` onto 0 to 255; what is no number becomes black."""
    low, high = window
    if pixels.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return pixels
    wide = np.subtract(pixels, low, dtype=np.float64 if pixels.dtype.itemsize > 4 else np.float32)
    np.multiply(wide, 255.0 / (high - low), out=wide)
    if pixels.dtype.kind == "f":
        np.nan_to_num(wide, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(np.clip(wide, 0, 255, out=wide), out=wide).astype(np.uint8)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """``#ff8000`` -> (255, 128, 0); what is no colour is white."""
    digits = colour.lstrip("#")
    try:
        value = int(digits, 16)
    except ValueError:
        return 255, 255, 255
    return ((value >> 16) & 255, (value >> 8) & 255, value & 255) if len(digits) == 6 else (255, 255, 255)
