"""The grey value between pore and particle, from the histogram of a volume that was read in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.errors import InputError

MOST_BINS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class GreyHistogram:
    """Counts of filtered grey values between two limits."""

    low: float
    high: float
    counts: np.ndarray

    @classmethod
    def between(cls, low: float, high: float, bins: int = MOST_BINS) -> GreyHistogram:
        """An empty one; of whole numbers it must not have more bins than there are values."""
        return cls(float(low), float(high), np.zeros(bins, np.int64))

    def with_values(self, grey: np.ndarray) -> GreyHistogram:
        """The histogram with more values; those beyond its limits count in its first and last bin."""
        bins = len(self.counts)
        step = (self.high - self.low) / bins
        place = np.clip(((grey.ravel() - self.low) / step).astype(np.int64), 0, bins - 1)
        return GreyHistogram(self.low, self.high, self.counts + np.bincount(place, minlength=bins))

    @property
    def centres(self) -> np.ndarray:
        """Grey value in the middle of each bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[:-1] + edges[1:]) / 2


def level_of(histogram: GreyHistogram, method: str, *, dark: bool) -> float:
    """The grey value at which particles begin.

    Parameters
    ----------
    method
        "otsu", "triangle", or "multi-otsu": of three classes, the limit of the brightest (darkest) one.

    Raises
    ------
    InputError
        When all grey values are alike.

    Notes
    -----
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62. G. W. Zack et al., J. Histochem. Cytochem. 25 (1977) 741.
    P.-S. Liao et al., J. Inf. Sci. Eng. 17 (2001) 713. All as scikit-image computes them.
    """
    from skimage import filters

    some = np.flatnonzero(histogram.counts)
    if len(some) < 2:
        raise InputError("All grey values of the volume are alike: there is nothing to tell particles from.")
    hist = (histogram.counts, histogram.centres)
    if method == "otsu":
        return float(filters.threshold_otsu(hist=hist))
    if method == "triangle":
        return _triangle(histogram)
    counts, centres = _coarse(histogram, 256)
    low, high = filters.threshold_multiotsu(classes=3, hist=(counts, centres))
    return float(low if dark else high)


def _triangle(histogram: GreyHistogram) -> float:
    """Scikit-image's takes a picture: one with the same histogram, of at most a million pixels."""
    from skimage import filters

    counts, centres = _coarse(histogram, 256)
    shares = np.ceil(counts * min(1.0, 1e6 / counts.sum())).astype(np.int64)
    place = filters.threshold_triangle(np.repeat(np.arange(len(shares)), shares))
    return float(centres[int(place)])


def _coarse(histogram: GreyHistogram, bins: int) -> tuple[np.ndarray, np.ndarray]:
    some = np.flatnonzero(histogram.counts)
    first, last = int(some[0]), int(some[-1]) + 1
    step = max(1, -(-(last - first) // bins))
    used = histogram.counts[first : first + step * bins]
    used = np.pad(used, (0, -len(used) % step))
    width = histogram.centres[1] - histogram.centres[0]
    counts = used.reshape(-1, step).sum(axis=1)
    start = histogram.centres[first] + width * (step - 1) / 2
    return counts, start + width * step * np.arange(len(counts))
