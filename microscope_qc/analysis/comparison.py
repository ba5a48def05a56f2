"""Densities of two groups of slides: their ratio, and whether they differ by more than slides of one group do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from microscope_qc.analysis.counts import LEVEL, WIDEST, Numbers, chi_square, t_quantile, widened
from microscope_qc.analysis.shares import wilson_interval

ONE_EACH = "spread between sections unknown: one section of each"
_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Group:
    """Counts and areas (mm2, greater than 0) of the specimens or slides of a group, one of each or more."""

    counts: Numbers
    areas_mm2: Numbers

    @property
    def count(self) -> int:
        return int(sum(self.counts))

    @property
    def area_mm2(self) -> float:
        return float(sum(self.areas_mm2))


@dataclass(frozen=True, slots=True)
class Ratio:
    """The density of one group by that of another.

    Attributes
    ----------
    value
        None where nothing was found in the second group.
    interval
        Two-sided limits; None in place of the upper one where there is none, and of both where nothing was found.
    p
        How likely a difference like this is between equal groups; None where that is not known.
    spread, freedom
        Variance between the sections of a group by that of chance, and the degrees of freedom it was estimated with.
    detectable
        Ratio above 1 that would have been found with a probability of 80 %, with so many findings and sections and
        corrected for the number of comparisons; None where not even a very large one would.
    reason
        What is not known, and why.
    """

    value: float | None
    interval: tuple[float, float | None] | None
    p: float | None
    spread: float | None
    freedom: int
    detectable: float | None
    reason: str = ""


def rate_ratio(
    first: Group, second: Group, others: Sequence[Group] = (), *, level: float = LEVEL, together: int = 1
) -> Ratio:
    """Compare the densities of two groups.

    A quasi-Poisson model with the groups as factor: the spread is estimated within all groups together, and the limits
    are those of Student's t. Where nothing was found in one group, they are those of its score test: of Wilson's
    interval for the share of the first group in all findings.

    Parameters
    ----------
    others
        Further groups, from which the spread is estimated too; those without findings say nothing of it.
    together
        Number of comparisons among which a difference has to be found; only ``detectable`` depends on it.

    Notes
    -----
    P. McCullagh and J. A. Nelder, "Generalized Linear Models", 2nd edition (1989), chapters 4 and 6.
    """
    from scipy.special import nctdtrinc

    groups = (first, second, *(group for group in others if group.count))
    freedom = sum(len(group.counts) - 1 for group in groups)
    total, expected = first.count + second.count, first.area_mm2 / (first.area_mm2 + second.area_mm2)
    by_area = second.area_mm2 / first.area_mm2
    value = first.count / second.count * by_area if second.count else None
    if not total:
        return Ratio(None, None, None, None, freedom, None, "nothing was found in either")
    if not freedom:
        return Ratio(value, _by_chance(first.count, second.count, by_area, level), None, None, 0, None, ONE_EACH)
    within = sum(chi_square(group.counts, group.areas_mm2) for group in groups)
    spread = max(1.0, within / freedom)
    quantile = t_quantile(freedom, level)
    if value:
        error = math.sqrt(spread * (1 / first.count + 1 / second.count))
        factor = widened(quantile * error)
        limits = value / factor, value * factor
        found_from = t_quantile(freedom, level_of_each(together, level=level))
        reach = error * float(nctdtrinc(freedom, 1 - _POWER, found_from))
        detectable = math.exp(reach) if reach < WIDEST else None
        return Ratio(value, limits, _p(math.log(value) / error, freedom), spread, freedom, detectable)
    low, high = wilson_interval(first.count / total, total / spread, quantile)
    error = math.sqrt(spread * total * expected * (1 - expected))
    away = (first.count - expected * total) / error
    upper = high / (1 - high) * by_area if second.count else None
    return Ratio(value, (low / (1 - low) * by_area, upper), _p(away, freedom), spread, freedom, None)


def _by_chance(first: int, second: int, by_area: float, level: float) -> tuple[float, float | None]:
    """Limits of a ratio of two Poisson counts: exact ones of the share of the first in both (Clopper and Pearson)."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(first, second + 1, tail)) if first else 0.0
    high = float(betaincinv(first + 1, second, 1 - tail)) if second else None
    return low / (1 - low) * by_area, None if high is None else high / (1 - high) * by_area


def _p(away: float, freedom: int) -> float:
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(away)))


def power(ratio: float, first: Group, second: Group, *, spread: float, freedom: int, level: float = LEVEL) -> float:
    """How likely it is that a ratio of densities is found between groups like these, 0 to 1.

    Parameters
    ----------
    first, second
        With the area of theirs, as many findings as there are in both, in this ratio.
    spread, freedom
        See :class:`Ratio`.
    """
    from scipy.special import nctdtr

    total, share = first.count + second.count, ratio * first.area_mm2 / (ratio * first.area_mm2 + second.area_mm2)
    if not freedom or not total:
        return 0.0
    away = abs(math.log(ratio)) / math.sqrt(spread * (1 / share + 1 / (1 - share)) / total)
    quantile = t_quantile(freedom, level)
    return float(1 - nctdtr(freedom, away, quantile) + nctdtr(freedom, away, -quantile))


def level_of_each(together: int, *, level: float = LEVEL) -> float:
    """Return the level of each of several comparisons with which all of them hold at once (Bonferroni)."""
    return 1 - (1 - level) / together


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct probabilities for their number, so that any false difference is as unlikely as one would be.

    Those that are None take no part.

    Notes
    -----
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979) 65.
    """
    known = [place for place, p in enumerate(p_values) if p is not None]
    order = sorted(known, key=lambda place: p_values[place] or 0.0)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * (p_values[place] or 0.0)))
        corrected[place] = largest
    return corrected
