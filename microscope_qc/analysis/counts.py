"""Counts on an area: densities with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Density:
    """A density with its count, area and interval.

    Attributes
    ----------
    count
        Findings whose centre lies in the area.
    area_mm2
        The area in mm2.
    per_mm2
        ``count / area_mm2``.
    interval
        Lower and upper limit per mm2, two-sided 95 %.
    sections
        Number of slides that it is pooled from.
    """

    count: int
    area_mm2: float
    per_mm2: float
    interval: tuple[float, float]
    sections: int = 1


def poisson_interval(count: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Exact limits of the expected count behind one observed count.

    Notes
    -----
    F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936) 437.
    """
    from scipy.special import gammaincinv  # chi-square by its gamma function: scipy.stats takes seconds to import

    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def density(count: int, area_mm2: float) -> Density:
    """Density of one section; the interval holds for findings that are scattered at random (Poisson).

    Parameters
    ----------
    area_mm2
        Greater than 0.
    """
    low, high = poisson_interval(count)
    return Density(count, area_mm2, count / area_mm2, (low / area_mm2, high / area_mm2))


def pooled_density(counts: Sequence[int], areas_mm2: Sequence[float]) -> Density:
    """Density of several sections of one kind, with an interval that allows for the spread between them.

    A quasi-Poisson model with the logarithm as link: the variance of the counts is phi times their mean, phi is
    Pearson's chi-square by its degrees of freedom and at least 1, and the limits are those of Student's t with n - 1
    degrees of freedom. One section, or no finding at all, gives the exact Poisson interval of the sum.

    Parameters
    ----------
    counts, areas_mm2
        One of each per section; areas greater than 0.

    Notes
    -----
    P. McCullagh and J. A. Nelder, "Generalized Linear Models", 2nd edition (1989), chapter 6.
    """
    from scipy.special import stdtrit

    total, area, sections = sum(counts), math.fsum(areas_mm2), len(counts)
    if sections == 1 or total == 0:
        low, high = poisson_interval(total)
        return Density(total, area, total / area, (low / area, high / area), sections)
    rate = total / area
    chi_square = math.fsum((k - rate * a) ** 2 / (rate * a) for k, a in zip(counts, areas_mm2, strict=True))
    phi = max(1.0, chi_square / (sections - 1))
    reach = float(stdtrit(sections - 1, (1 + LEVEL) / 2)) * math.sqrt(phi / total)
    return Density(total, area, rate, (rate * math.exp(-reach), rate * math.exp(reach)), sections)
