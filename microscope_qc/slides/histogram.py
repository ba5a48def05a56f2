"""The distribution of a slide's values, and a display window or white balance derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.slides.display import BALANCE_LIMITS, NEUTRAL, sample

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

BINS = 256
LOW_PERCENT, HIGH_PERCENT = 0.1, 99.9
DARKEST, BRIGHTEST = 0.03, 0.97
"""Fractions of the brightest value between which the colour of a place is meaningful."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a sample of one channel.

    ``counts`` is (bands, bins): three bands for RGB, one otherwise. ``edges`` has one value more than there are bins.
    ``own_window`` is shown as black and white by the file (or the image), ``auto_window`` is the percentiles 0.1 and
    99.9 of the sample.
    """

    counts: np.ndarray
    edges: np.ndarray
    own_window: tuple[float, float]
    auto_window: tuple[float, float]
    whole_numbers: bool


def histogram(mosaic: Mosaic, channel: int = 0) -> Histogram:
    """Count the values of a sample of the coarsest level.

    Raises
    ------
    SlideError
        When the slide cannot be read there.
    """
    pixels = sample(mosaic, channel)
    if pixels.dtype == np.bool_:
        pixels = pixels.view(np.uint8)
    bands = pixels.reshape(-1, 3) if mosaic.rgb else pixels.reshape(-1, 1)
    if pixels.dtype.kind == "f":
        bands = bands[np.isfinite(bands).all(axis=1)]
    whole = pixels.dtype.kind in "uib"
    own = mosaic.window(channel)
    if not len(bands):
        return Histogram(np.zeros((1, 1)), np.asarray(own, float), own, own, whole)
    if whole and pixels.dtype.itemsize <= 2:
        return _of_whole_numbers(bands, own)
    low, high = float(bands.min()), float(bands.max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = np.stack([np.histogram(bands[:, band], edges)[0] for band in range(bands.shape[1])])
    first, last = (float(value) for value in np.percentile(bands.astype(np.float64), [LOW_PERCENT, HIGH_PERCENT]))
    return Histogram(counts, edges, own, _opened(first, last), whole)


def _of_whole_numbers(bands: np.ndarray, own: tuple[float, float]) -> Histogram:
    """Of 8 and 16-bit values: every value is counted, then neighbours are combined."""
    low, high = (0, 255) if bands.dtype == np.uint8 else (int(bands.min()), int(bands.max()))
    span = high - low + 1
    step = -(-span // BINS)
    starts = np.arange(0, span, step)
    each = np.stack(
        [np.bincount(bands[:, band].astype(np.intp) - low, minlength=span) for band in range(bands.shape[1])]
    )
    reached = np.cumsum(each.sum(axis=0)) / each.sum()
    first, last = (low + int(np.searchsorted(reached, percent / 100)) for percent in (LOW_PERCENT, HIGH_PERCENT))
    edges = low - 0.5 + np.append(starts, starts[-1] + step)
    return Histogram(np.add.reduceat(each, starts, axis=1), edges, own, _opened(first, last), True)


def _opened(low: float, high: float) -> tuple[float, float]:
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def grey_world(mosaic: Mosaic) -> tuple[float, float, float]:
    """White balance that makes the average of an RGB slide grey (Buchsbaum 1980, "gray world").

    Very dark and very bright pixels (resin, gaps, saturated metal) are excluded.
    """
    pixels = sample(mosaic, 0).reshape(-1, 3).astype(np.float64)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    factors = balance_of(pixels, white=mosaic.window(0)[1])
    return NEUTRAL if factors is None else factors


def grey_place(mosaic: Mosaic, y: float, x: float, *, radius_px: float) -> tuple[float, float, float] | None:
    """White balance that makes a place of an RGB slide grey; None where it is too dark or too bright.

    Parameters
    ----------
    y, x, radius_px
        In full-resolution pixels.
    """
    level = mosaic.level_for(max(1.0, radius_px / 8))
    down_y, down_x = mosaic.levels[level].downsample
    reach = min(max(radius_px / max(down_y, down_x), 1.0), 64.0)
    middle_y, middle_x = y / down_y, x / down_x
    region = Region(
        int(middle_y - reach), int(middle_x - reach), int(middle_y + reach) + 1, int(middle_x + reach) + 1
    ).clip(mosaic.levels[level].shape)
    if region.empty:
        return None
    pixels = mosaic.read(region, level=level).reshape(-1, 3).astype(np.float64)
    middle = np.nanmedian(pixels, axis=0)[None]
    return balance_of(middle, white=mosaic.window(0)[1])


def balance_of(pixels: np.ndarray, *, white: float) -> tuple[float, float, float] | None:
    """Factors that equalise the band means of (N, 3) values and keep the overall mean; None without usable pixels."""
    usable = pixels[(pixels.min(axis=1) >= DARKEST * white) & (pixels.max(axis=1) <= BRIGHTEST * white)]
    if not len(usable):
        return None
    means = usable.mean(axis=0)
    red, green, blue = (float(f) for f in np.clip(means.mean() / means, *BALANCE_LIMITS))
    return red, green, blue
