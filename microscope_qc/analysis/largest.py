"""The largest size that is expected on a larger area than was searched: extreme values of Gumbel's distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL, t_quantile
from microscope_qc.core.arrays import Flags, Floats

LEAST_AREAS = 6
"""Fewer areas with a finding say nothing of larger ones."""
RETURNS = 1000.0
"""So many areas as large as those that were searched are meant where no area is given, as in ASTM E2283."""
_WIDEST = 1e6
"""An upper limit above so many times the expected size is none."""


@dataclass(frozen=True, slots=True)
class Largest:
    """What is expected of a larger area.

    Attributes
    ----------
    expected_um
        On average one finding of the area is longer.
    interval
        Its limits (95 %) by profile likelihood; the upper one is infinite where there is none.
    error_um
        Its standard error by ASTM E2283.
    location_um, scale_um
        Of Gumbel's distribution of the largest in an area of ``area_mm2``, the mean of those that were searched.
    in_mm2
        The larger area.
    areas, empty
        How many areas were searched, and in how many of them nothing was found.
    """

    expected_um: float
    interval: tuple[float, float]
    error_um: float
    location_um: float
    scale_um: float
    area_mm2: float
    in_mm2: float
    areas: int
    empty: int


def largest_expected(
    largest_um: Floats, areas_mm2: Floats, *, below_um: float, in_mm2: float | None = None, level: float = LEVEL
) -> Largest:
    """Estimate the largest size in a larger area from the largest sizes in several areas, by maximum likelihood.

    In an area A times as large the largest size follows the same distribution, moved by ``scale * ln A``: so areas need
    not be alike. Of an area in which nothing was found it is known that the largest is below what could be found.

    Parameters
    ----------
    largest_um, areas_mm2
        Shape (N,): the largest in each area, NaN where there is none, and the area. At least :data:`LEAST_AREAS` sizes,
        not all alike.
    below_um
        What is not found anywhere is smaller than this.
    in_mm2
        Larger than the mean of the areas; None takes 1,000 times the mean.

    Notes
    -----
    ASTM E2283, "Standard Practice for Extreme Value Analysis of Nonmetallic Inclusions in Steel and Other
    Microstructural Features"; its interval of two standard errors holds 81 % for 6 areas and 92 % for 24. That of the
    likelihood ratio, with the quantile of t in place of the normal one, holds 95 % (simulated).
    """
    there = ~np.isnan(largest_um)
    mean = float(areas_mm2.mean())
    in_mm2 = RETURNS * mean if in_mm2 is None else in_mm2
    reduced = -math.log(-math.log1p(-mean / in_mm2))
    known = _Likelihood(np.where(there, largest_um, below_um), np.log(areas_mm2 / mean), there)
    location, scale = known.best()
    expected, count = location + scale * reduced, int(there.sum())
    quantile = t_quantile(count - 1, level) ** 2 / (count - 1)
    worst = known.of(location, scale) + count * math.log1p(quantile) / 2
    spread = math.sqrt((1.109 + 0.514 * reduced + 0.608 * reduced**2) / count)
    low, high = (known.limit(expected, scale, reduced, worst, sign) for sign in (-1, 1))
    return Largest(
        expected, (max(0.0, low), high), scale * spread, location, scale, mean, in_mm2, len(there), len(there) - count
    )


class _Likelihood:
    """Minus the logarithm of the likelihood of largest sizes, some of which are only known to be below a size."""

    def __init__(self, sizes: Floats, shifts: Floats, there: Flags) -> None:
        self._sizes, self._shifts, self._there = sizes, shifts, there
        self._count = int(there.sum())
        self._spread = float(sizes[there].std()) or 1.0

    def of(self, location: float, scale: float) -> float:
        z = (self._sizes - location) / scale - self._shifts
        with np.errstate(over="ignore"):
            return float(self._count * math.log(scale) + z[self._there].sum() + np.exp(-z).sum())

    def best(self) -> tuple[float, float]:
        """The location and the scale that are most likely."""

        def at(scale: float) -> float:  # the best location of a scale is known
            heap = self._shifts - self._sizes / scale
            most = heap.max()
            return float(scale * (math.log(self._count) - most - np.log(np.exp(heap - most).sum())))

        scale = self._least(lambda scale: self.of(at(scale), scale))
        return at(scale), scale

    def limit(self, expected: float, scale: float, reduced: float, worst: float, sign: int) -> float:
        """The expected size on one side of the best that is as unlikely as ``worst``."""
        from scipy.optimize import brentq

        def above(size: float) -> float:
            return self._least_value(size, reduced) - worst

        step, near, far = scale * sign, expected, expected + scale * sign
        while above(far) < 0:
            near, step = far, 2 * step
            far = expected + step
            if abs(step) > _WIDEST * max(scale, expected):
                return math.inf * sign
        return float(brentq(above, near, far, xtol=1e-9 * max(1.0, abs(expected)), rtol=1e-9))

    def _least_value(self, expected: float, reduced: float) -> float:
        scale = self._least(lambda scale: self.of(expected - scale * reduced, scale))
        return self.of(expected - scale * reduced, scale)

    def _least(self, value: Callable[[float], float]) -> float:
        """The scale with the least value."""
        from scipy.optimize import minimize_scalar

        middle = math.log(self._spread)
        found = minimize_scalar(
            lambda scale: value(math.exp(scale)), bounds=(middle - 12, middle + 12), method="bounded",
            options={"xatol": 1e-8},
        )  # fmt: skip
        return math.exp(found.x)
