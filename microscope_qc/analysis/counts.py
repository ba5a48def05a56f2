"""Counts on an area: densities with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microscope_qc.core.arrays import Floats, Ints

LEVEL = 0.95
WIDEST = math.log(1e12)
"""Limits that are further from an estimate, on a scale of logarithms, say no more than these."""
Numbers = Sequence[int] | Sequence[float] | np.ndarray


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
        Lower and upper limit per mm2, two-sided.
    sections
        Number of sections that it is pooled from.
    spread
        Variance of the counts between sections by their mean, at least 1: 1 where findings are scattered at random.
        None where it is not known, as of one section or of no finding at all.
    """

    count: int
    area_mm2: float
    per_mm2: float
    interval: tuple[float, float]
    sections: int = 1
    spread: float | None = None


def poisson_interval(count: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Exact limits of the expected count behind one observed count, which may be an estimate.

    Notes
    -----
    F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936) 437.
    """
    from scipy.special import gammaincinv  # chi-square by its gamma function: scipy.stats takes seconds to import

    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


@lru_cache(maxsize=100_000)
def t_quantile(freedom: int, level: float) -> float:
    """Return the limit within which Student's t lies with the probability ``level``, on both sides of 0."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def density(count: int, area_mm2: float, *, level: float = LEVEL) -> Density:
    """Density of one section; the interval holds for findings that are scattered at random (Poisson).

    Parameters
    ----------
    area_mm2
        Greater than 0.
    """
    low, high = poisson_interval(count, level=level)
    return Density(count, area_mm2, count / area_mm2, (low / area_mm2, high / area_mm2))


def chi_square(counts: Numbers, areas_mm2: Numbers) -> float:
    """Pearson's chi-square of counts against one density for all; 0 without a finding."""
    found, areas = np.asarray(counts, float), np.asarray(areas_mm2, float)
    expected = areas * (found.sum() / areas.sum())
    return float(((found - expected) ** 2 / expected).sum()) if found.any() else 0.0


def pooled_density(counts: Numbers, areas_mm2: Numbers, *, level: float = LEVEL) -> Density:
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
    total, area, sections = int(np.sum(counts)), math.fsum(areas_mm2), len(counts)
    spread = max(1.0, chi_square(counts, areas_mm2) / (sections - 1)) if sections > 1 and total else None
    low, high = count_interval(total, sections, spread, level=level)
    return Density(total, area, total / area, (low / area, high / area), sections, spread)


def count_interval(count: float, sections: int, spread: float | None, *, level: float = LEVEL) -> tuple[float, float]:
    """Limits of the expected count over several sections; see :func:`pooled_density`.

    Parameters
    ----------
    count
        Observed, or estimated from what was observed.
    spread
        Variance of the counts between the sections by their mean; None for one section.
    """
    if sections == 1 or count == 0 or spread is None:
        return poisson_interval(count, level=level)
    factor = widened(t_quantile(sections - 1, level) * math.sqrt(spread / count))
    return count / factor, count * factor


def widened(reach: float) -> float:
    """Return the factor between an estimate and its limits, whose logarithm ``reach`` is; never infinite."""
    return math.exp(min(reach, WIDEST))


def independent(specimens: Sequence[str]) -> tuple[Ints, bool]:
    """Number what is independent of each other: specimens where there are several, otherwise sections.

    Parameters
    ----------
    specimens
        The specimen of each section, "" where nobody named it.

    Returns
    -------
    ndarray, bool
        The number of each section from 0 on, and whether sections of a specimen have the same one.
    """
    if not all(specimens) or len(set(specimens)) < 2:
        return np.arange(len(specimens)), False
    numbers = {name: number for number, name in enumerate(dict.fromkeys(specimens))}
    return np.array([numbers[name] for name in specimens]), True


def pooled_by_specimen(
    counts: Numbers, areas_mm2: Numbers, specimens: Sequence[str], *, level: float = LEVEL
) -> Density:
    """Density of several sections, with the spread between specimens where there are several, else between sections.

    See :func:`pooled_density` and :func:`independent`.
    """
    found, areas = by_specimen(counts, areas_mm2, specimens)
    return pooled_density(found, areas, level=level)


def by_specimen(counts: Numbers, areas_mm2: Numbers, specimens: Sequence[str]) -> tuple[Ints, Floats]:
    """Join the counts and areas of sections that are not independent of each other (:func:`independent`)."""
    unit, _ = independent(specimens)
    joined = np.bincount(unit, weights=np.asarray(counts, float)).astype(np.int64)
    return joined, np.bincount(unit, weights=np.asarray(areas_mm2, float)).astype(float)
