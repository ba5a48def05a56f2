"""Control charts of densities: what is usual from one batch to the next, and which batches are not.

Limits come from phase I, the first points; later ones do not move them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import Numbers
from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.errors import InputError

WANTED_POINTS = 20
"""Fewer points in phase I make uncertain limits."""
_MEAN_RANGE, _LARGEST_RANGE = 1.128, 3.267
"""Of two normal values: mean range by their deviation, and the upper limit of a range by the mean one (d2, D4)."""
_WEIGHT, _REACH = 0.2, 2.86
"""Of an EWMA that gives a false alarm every 371 points."""
_ALL_EQUAL = "All points of phase I are equal, so that there are no limits."
_MORE_POINTS = "Take more points into it."


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual, as phase I showed it: the centre, and the spread that a chart draws its limits from.

    ``least`` is the lowest value of phase I, of a chart that counts from it.
    """

    centre: float
    spread: float
    least: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ControlChart:
    """Points of a chart, shape (N,), in their order.

    Attributes
    ----------
    values
        What is drawn; NaN for a point without a value, as the first moving range.
    centre
        Usual value.
    deviations
        Standard deviation of each point while nothing changes.
    lower, upper
        Limits of each point.
    """

    title: str
    values: Floats
    centre: float
    deviations: Floats
    lower: Floats
    upper: Floats
    base: Baseline


def _phase(counts: Numbers, phase_1: int) -> int:
    if not 2 <= phase_1 <= len(counts):
        raise InputError(
            f"Limits cannot be taken from {phase_1} of {len(counts)} points.", hint="Take them from 2 points or more."
        )
    return phase_1


def u_charts(
    counts: Numbers, areas_mm2: Numbers, *, phase_1: int, frozen: Baseline | None = None
) -> list[ControlChart]:
    """Densities with limits for findings that are scattered at random: wider for smaller areas.

    Parameters
    ----------
    counts, areas_mm2
        One of each per point; areas greater than 0.
    phase_1
        Number of points from which the limits are taken.
    frozen
        What was usual when limits were frozen, in place of phase I.

    Raises
    ------
    InputError
        When there are too few points, or nothing was found in phase I.
    """
    values, base, deviations = _densities(counts, areas_mm2, phase_1, frozen)
    return [_chart("density (u)", values, Baseline(base.centre, 1.0), deviations)]


def laney_charts(
    counts: Numbers, areas_mm2: Numbers, *, phase_1: int, frozen: Baseline | None = None
) -> list[ControlChart]:
    """As :func:`u_charts`, with limits as much wider as the points of phase I differ from each other by more.

    Notes
    -----
    D. B. Laney, "Improved control charts for attributes", Quality Engineering 14 (2002) 531.
    """
    values, base, deviations = _densities(counts, areas_mm2, phase_1, frozen)
    excess = frozen.spread if frozen else _spread(((values - base.centre) / deviations)[:phase_1])
    title = f"density (u', {excess:.2f} times the spread of chance)"
    return [_chart(title, values, Baseline(base.centre, excess), deviations * excess)]


def individuals_charts(
    counts: Numbers, areas_mm2: Numbers, *, phase_1: int, frozen: Baseline | None = None
) -> list[ControlChart]:
    """Densities as single values, and the differences from one to the next (moving range)."""
    values, base = _single(counts, areas_mm2, phase_1, frozen)
    ranges = np.r_[np.nan, np.abs(np.diff(values))]
    mean = base.spread * _MEAN_RANGE
    limit = np.full(len(values), _LARGEST_RANGE * mean)
    moving = ControlChart("moving range", ranges, mean, (limit - mean) / 3, np.zeros(len(values)), limit, base)
    return [_chart("density (individuals)", values, base, np.full(len(values), base.spread)), moving]


def ewma_charts(
    counts: Numbers, areas_mm2: Numbers, *, phase_1: int, frozen: Baseline | None = None
) -> list[ControlChart]:
    """Densities, each averaged with those before it by weights that fall off: for small shifts that last.

    Notes
    -----
    J. M. Lucas and M. S. Saccucci, "Exponentially weighted moving average control schemes", Technometrics 32 (1990) 1.
    """
    values, base = _single(counts, areas_mm2, phase_1, frozen)
    averages, last = np.empty(len(values)), base.centre
    for place, value in enumerate(values.tolist()):
        averages[place] = last = _WEIGHT * value + (1 - _WEIGHT) * last
    steps = np.arange(1, len(values) + 1)
    deviations = base.spread * np.sqrt(_WEIGHT / (2 - _WEIGHT) * (1 - (1 - _WEIGHT) ** (2 * steps)))
    return [_chart("density (EWMA)", averages, base, deviations, reach=_REACH)]


def quality_index_charts(
    amounts: Numbers, areas_mm2: Numbers, *, phase_1: int, frozen: Baseline | None = None
) -> list[ControlChart]:
    """Batch quality index: how far the share of anomalous area lies above the lowest of phase I, in deviations of it.

    nQI = (C - min C) / std C, where C is the sum of anomalous pixels by the area that was looked at, so that points of
    different areas compare; std is that of a population. Minimum and deviation are those of phase I: later points do
    not move older ones, and one that is better than all of phase I lies below 0.

    Parameters
    ----------
    amounts
        Anomalous area of each point in mm2.
    """
    shares = np.asarray(amounts, float) / np.asarray(areas_mm2, float)
    if frozen is None:
        first = shares[: _phase(amounts, phase_1)]
        frozen = Baseline(float(first.mean()), float(first.std()), float(first.min()))
    if frozen.spread <= 0:
        raise InputError(_ALL_EQUAL, hint=_MORE_POINTS)
    values, ones = (shares - frozen.least) / frozen.spread, np.ones(len(shares))
    centre = (frozen.centre - frozen.least) / frozen.spread
    lower, upper = centre - 3 * ones, centre + 3 * ones
    return [ControlChart("quality index (nQI)", values, centre, ones, lower, upper, frozen)]


def _densities(
    counts: Numbers, areas_mm2: Numbers, phase_1: int, frozen: Baseline | None
) -> tuple[Floats, Baseline, Floats]:
    """Densities, what is usual, and the deviation that chance gives each."""
    found, areas = np.asarray(counts, float), np.asarray(areas_mm2, float)
    if frozen is None:
        _phase(counts, phase_1)
        frozen = Baseline(float(found[:phase_1].sum() / areas[:phase_1].sum()), 1.0)
    if frozen.centre == 0:
        raise InputError("Nothing was found in phase I: there are no limits.", hint=_MORE_POINTS)
    return found / areas, frozen, np.sqrt(frozen.centre / areas)


def _single(counts: Numbers, areas_mm2: Numbers, phase_1: int, frozen: Baseline | None) -> tuple[Floats, Baseline]:
    """Densities as single values, and what is usual of them."""
    values, _, _ = _densities(counts, areas_mm2, phase_1, frozen)
    return values, frozen or Baseline(float(values[:phase_1].mean()), _spread(values[:phase_1]))


def _spread(values: Floats) -> float:
    """Standard deviation from the differences of neighbours, which a drift does not widen."""
    found = float(np.abs(np.diff(values)).mean()) / _MEAN_RANGE
    if found == 0:
        raise InputError(_ALL_EQUAL, hint=_MORE_POINTS)
    return found


def _chart(title: str, values: Floats, base: Baseline, deviations: Floats, *, reach: float = 3.0) -> ControlChart:
    lower, upper = np.maximum(0.0, base.centre - reach * deviations), base.centre + reach * deviations
    return ControlChart(title, values, base.centre, deviations, lower, upper, base)


CHARTS: dict[str, Callable[..., list[ControlChart]]] = {
    "u": u_charts, "laney": laney_charts, "individuals": individuals_charts, "ewma": ewma_charts,
    "nqi": quality_index_charts,
}  # fmt: skip
"""Charts by name; all but ``nqi`` are of counts."""
TITLES = {
    "u": "u chart", "laney": "Laney's u' chart", "individuals": "Individuals and moving range", "ewma": "EWMA",
    "nqi": "Quality index (nQI)",
}  # fmt: skip


# -- rules ------------------------------------------------------------------------------------------------------------


def _last(flags: Flags, needed: int, among: int) -> Flags:
    """Where a flagged point is the last of at least ``needed`` flagged ones among so many in a row."""
    before = np.r_[np.zeros(among, np.int64), np.cumsum(flags)]
    found: Flags = flags & (before[among:] - before[:-among] >= needed)
    return found


def _same_side(away: Floats, beyond: float, needed: int, among: int) -> Flags:
    return _last(away > beyond, needed, among) | _last(away < -beyond, needed, among)


def _steps(away: Floats, needed: int, *, alternating: bool) -> Flags:
    """Where the last of so many points ends a steady rise or fall, or an alternation."""
    signs = np.sign(np.diff(away))
    found = np.zeros(len(away), bool)
    if alternating:
        turns = signs[1:] * signs[:-1] < 0
        found[2:] = _last(turns, needed - 2, needed - 2)
    else:
        found[1:] = _last(signs > 0, needed - 1, needed - 1) | _last(signs < 0, needed - 1, needed - 1)
    return found


Rule = Callable[[Floats], Flags]
RULES: dict[str, Rule] = {
    "1 beyond 3 sigma": lambda away: np.abs(away) > 3,
    "2 of 3 beyond 2 sigma": lambda away: _same_side(away, 2, 2, 3),
    "4 of 5 beyond 1 sigma": lambda away: _same_side(away, 1, 4, 5),
    "8 on one side": lambda away: _same_side(away, 0, 8, 8),
    "9 on one side": lambda away: _same_side(away, 0, 9, 9),
    "6 rising or falling": lambda away: _steps(away, 6, alternating=False),
    "14 alternating": lambda away: _steps(away, 14, alternating=True),
    "15 within 1 sigma": lambda away: _last(np.abs(away) < 1, 15, 15),
    "8 beyond 1 sigma": lambda away: _last(np.abs(away) > 1, 8, 8),
}
"""What is unusual, of the distances of the points from the centre in standard deviations."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules by name, and after how many usual points the first false alarm comes on average."""

    title: str
    rules: tuple[str, ...]
    run_length: int


RULE_SETS = {
    "limits": RuleSet("Limits alone", ("1 beyond 3 sigma",), 370),
    "western-electric": RuleSet(
        "Western Electric",
        ("1 beyond 3 sigma", "2 of 3 beyond 2 sigma", "4 of 5 beyond 1 sigma", "8 on one side"),
        92,
    ),
    "nelson": RuleSet(
        "Nelson",
        (
            "1 beyond 3 sigma", "9 on one side", "6 rising or falling", "14 alternating", "2 of 3 beyond 2 sigma",
            "4 of 5 beyond 1 sigma", "15 within 1 sigma", "8 beyond 1 sigma",
        ), 75,
    ),
}  # fmt: skip
"""Western Electric (1956), with the run length of Champ and Woodall, Technometrics 29 (1987) 393; Nelson, Journal of
Quality Technology 16 (1984) 237, with a simulated one."""


def signals(chart: ControlChart, rules: Sequence[str]) -> list[tuple[str, ...]]:
    """Return for each point the rules by which it is unusual.

    ``1 beyond 3 sigma`` means the limits of the chart, whatever their distance is.
    """
    away = (chart.values - chart.centre) / chart.deviations
    found = {name: RULES[name](away) for name in rules}
    if "1 beyond 3 sigma" in found:
        found["1 beyond 3 sigma"] = (chart.values < chart.lower) | (chart.values > chart.upper)
    return [tuple(name for name, flags in found.items() if flags[place]) for place in range(len(chart.values))]
