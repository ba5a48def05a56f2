"""Quantiles of sizes, with intervals that assume no distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.shares import share_interval
from microscope_qc.core.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of sizes; ``interval`` is None where there are too few to bound it on both sides."""

    value: float
    n: int
    interval: tuple[float, float] | None


def pooled_quantiles(sizes: Floats, sections: Ints, shares: Sequence[float], *, level: float = LEVEL) -> list[Quantile]:
    """Return quantiles of sizes with intervals that allow for the spread between sections.

    The limits are sizes that occur: those at the limits of the share that lies below the quantile
    (:func:`~microscope_qc.analysis.shares.share_interval`).

    Parameters
    ----------
    sizes, sections
        Shape (N,), at least one: sizes, and the number of the section of each.
    shares
        More than 0 and less than 1.

    Notes
    -----
    R. S. Woodruff, "Confidence intervals for medians and other position measures", Journal of the American Statistical
    Association 47 (1952) 635.
    """
    count = len(sizes)
    values = [float(value) for value in np.quantile(sizes, shares)]
    totals = np.bincount(sections)
    limits = [
        _limits(sizes, sections, totals, value, share, level) for value, share in zip(values, shares, strict=True)
    ]
    wanted = sorted({place for pair in limits if pair for place in pair})
    ordered = np.partition(sizes, wanted) if wanted else sizes
    return [
        Quantile(value, count, (float(ordered[pair[0]]), float(ordered[pair[1]])) if pair else None)
        for value, pair in zip(values, limits, strict=True)
    ]


def _limits(
    sizes: Floats, sections: Ints, totals: Ints, value: float, share: float, level: float
) -> tuple[int, int] | None:
    """Places, in ascending order, of the sizes that bound a quantile; None where there are too few."""
    count = len(sizes)
    below = np.bincount(sections[sizes < value], minlength=len(totals)).astype(float)
    if (missing := share * count - below.sum()) > 0:  # of sizes that are equal to it, so many count as below
        equal = np.bincount(sections[sizes == value], minlength=len(totals))
        below += equal * missing / max(1, equal.sum())
    low, high = share_interval(share, below, totals, level=level)
    first, last = math.floor(low * count) - 1, math.ceil(high * count)
    return (first, last) if first >= 0 and last < count else None
