"""Particle size distributions by number and by volume, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST_RADIUS_UM = 0.75
"""Smaller radii are taken for artefacts of thresholding where the limit is used."""
PARTS = (0.1, 0.5, 0.9)
_DRAWS = 400
_FEWEST = 5
"""From fewer particles no interval is estimated."""


@dataclass(frozen=True, slots=True)
class SizeQuantile:
    """A radius below which a share of all particles, or of their volume, lies; its 95 % interval where known."""

    part: float
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class SizeDistribution:
    """A distribution of radii.

    Attributes
    ----------
    weight
        "number" or "volume".
    n
        Number of particles.
    edges, shares
        Of bins with equal steps of the logarithm; the shares add up to 1.
    mean
        Of the radii, weighted alike, and its 95 % interval.
    """

    weight: str
    n: int
    edges: np.ndarray
    shares: np.ndarray
    quantiles: tuple[SizeQuantile, ...]
    mean: SizeQuantile

    def document(self) -> dict[str, object]:
        """Values that JSON can store."""
        return {
            "weight": self.weight, "n": self.n, "mean": self.mean.value, "mean_interval": self.mean.interval,
            **{f"d{round(100 * q.part)}": q.value for q in self.quantiles},
            **{f"d{round(100 * q.part)}_interval": q.interval for q in self.quantiles},
            "edges": self.edges.tolist(), "shares": self.shares.tolist(),
        }  # fmt: skip


def size_distribution(radii: np.ndarray, *, weight: str = "number", bins: int = 16) -> SizeDistribution | None:
    """Distribution of equivalent radii; None of no particle.

    Intervals are those of the bootstrap over particles (400 draws, a fixed seed).

    Parameters
    ----------
    weight
        "number" counts each particle once, "volume" by its volume.
    """
    radii = np.sort(np.asarray(radii, float))
    if not len(radii):
        return None
    low, high = radii[0] * 0.999, radii[-1] * 1.001
    edges = np.geomspace(low, high, bins + 1)
    weights = radii**3 if weight == "volume" else np.ones(len(radii))
    counts, _ = np.histogram(radii, edges, weights=weights)
    values = _facts(radii, weights)
    intervals: list[tuple[float, float] | None] = [None] * len(values)
    if len(radii) >= _FEWEST:
        rng = np.random.default_rng(0)
        drawn = np.stack([_facts(radii, weights * _times(rng, len(radii))) for _ in range(_DRAWS)])
        limits = np.quantile(drawn, (0.025, 0.975), axis=0)
        intervals = [(float(a), float(b)) for a, b in limits.T]
    found = [
        SizeQuantile(part, float(value), interval)
        for part, value, interval in zip((*PARTS, 0.0), values, intervals, strict=True)
    ]
    return SizeDistribution(weight, len(radii), edges, counts / counts.sum(), tuple(found[:-1]), found[-1])


def _times(rng: np.random.Generator, count: int) -> np.ndarray:
    """How often each particle is drawn."""
    return np.bincount(rng.integers(0, count, count), minlength=count)


def _facts(radii: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Quantiles of sorted radii, and their mean."""
    summed = np.cumsum(weights)
    below = [radii[min(np.searchsorted(summed, part * summed[-1]), len(radii) - 1)] for part in PARTS]
    return np.array([*below, float((radii * weights).sum() / summed[-1])])
