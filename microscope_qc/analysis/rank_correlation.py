"""Whether one thing grows with another, by their ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.shares import normal_quantile
from microscope_qc.core.arrays import Floats

LEAST = 4
"""Of fewer pairs any order is likely."""
LEAST_FOR_INTERVAL = 10


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's coefficient of ``n`` pairs, -1 to 1; None, with the ``reason``, where it says nothing."""

    n: int
    rho: float | None
    interval: tuple[float, float] | None = None
    reason: str = ""


def spearman(x: Floats, y: Floats, *, level: float = LEVEL) -> RankCorrelation:
    """Correlate the ranks of pairs, ties with their mean rank; limits from :data:`LEAST_FOR_INTERVAL` pairs on.

    Notes
    -----
    The limits are those of Fisher's z with the variance of D. G. Bonett and T. A. Wright, "Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations", Psychometrika 65 (2000) 23.
    """
    n = len(x)
    if n < LEAST:
        return RankCorrelation(n, None, reason=f"{n} are too few for a correlation, {LEAST} are needed")
    ranks = _ranks(np.asarray(x, float)), _ranks(np.asarray(y, float))
    if any(np.ptp(one) == 0 for one in ranks):
        return RankCorrelation(n, None, reason="all values are the same: there is no correlation")
    rho = float(np.clip(np.corrcoef(*ranks)[0, 1], -1.0, 1.0))
    if n < LEAST_FOR_INTERVAL or abs(rho) == 1.0:
        return RankCorrelation(n, rho)
    reach = normal_quantile(level) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return RankCorrelation(n, rho, (math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)))


def _ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
