"""Shares of findings, as of a class or of what was rejected, with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microscope_qc.analysis.counts import LEVEL, Numbers, t_quantile


@dataclass(frozen=True, slots=True)
class Share:
    """A share (0 to 1) with what it is counted from and its two-sided interval."""

    count: int
    of: int
    value: float
    interval: tuple[float, float]


def wilson_interval(share: float, of: float, quantile: float) -> tuple[float, float]:
    """Limits of the share behind an observed one; ``of`` (more than 0) may be infinite.

    Parameters
    ----------
    quantile
        Of the normal distribution, or of Student's t: 1.96 for 95 %.

    Notes
    -----
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927) 209.
    """
    excess = quantile**2 / of
    middle = share + excess / 2
    reach = math.sqrt(excess * share * (1 - share) + excess**2 / 4)
    return max(0.0, (middle - reach) / (1 + excess)), min(1.0, (middle + reach) / (1 + excess))


def pooled_share(counts: Numbers, totals: Numbers, *, level: float = LEVEL, together: int = 1) -> Share | None:
    """Share over several sections, with an interval that allows for the spread between them; None of nothing.

    As :func:`~microscope_qc.analysis.counts.pooled_density`: the variance between sections is phi times that of chance,
    at least once, and the quantile is that of Student's t. One section gives the interval of chance alone.

    Parameters
    ----------
    counts, totals
        One of each per section.
    together
        The intervals of so many shares hold all at once, as those of the classes of a sample.

    Notes
    -----
    L. A. Goodman, "On simultaneous confidence intervals for multinomial proportions", Technometrics 7 (1965) 247.
    """
    total, whole = int(np.sum(counts)), int(np.sum(totals))
    if not whole:
        return None
    limits = share_interval(total / whole, counts, totals, level=level, together=together)
    return Share(total, whole, total / whole, limits)


def share_interval(
    share: float, counts: Numbers, totals: Numbers, *, level: float = LEVEL, together: int = 1
) -> tuple[float, float]:
    """Limits of a share over several sections, at least one of which is not empty; see :func:`pooled_share`."""
    some = np.asarray(totals) > 0
    found, whole = np.asarray(counts, float)[some], np.asarray(totals, float)[some]
    freedom, everything = len(found) - 1, float(whole.sum())
    inner = 1 - (1 - level) / together
    if freedom == 0:
        return wilson_interval(share, everything, normal_quantile(inner))
    chance = share * (1 - share)
    spread = float(((found - whole * share) ** 2 / whole).sum()) / chance / freedom if chance else 1.0
    return wilson_interval(share, everything / max(1.0, spread), t_quantile(freedom, inner))


@lru_cache(maxsize=1000)
def normal_quantile(level: float) -> float:
    """Return the limit within which the normal distribution lies with the probability ``level``, on both sides of 0."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))
