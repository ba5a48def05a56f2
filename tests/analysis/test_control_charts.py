"""Control charts and their rules, against numbers worked out by hand and run lengths of the literature."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.control_charts import (
    RULE_SETS,
    RULES,
    Baseline,
    ControlChart,
    ewma_charts,
    individuals_charts,
    laney_charts,
    quality_index_charts,
    signals,
    u_charts,
)
from microscope_qc.core.errors import InputError

COUNTS, AREAS = np.array([12, 8, 10, 14, 6, 30]), np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])


def test_limits_of_a_u_chart_are_those_of_chance():
    (chart,) = u_charts(COUNTS, AREAS, phase_1=5)
    assert chart.centre == pytest.approx(50 / 6)
    assert chart.upper[0] == pytest.approx(50 / 6 + 3 * (50 / 6) ** 0.5)
    assert chart.upper[2] == pytest.approx(50 / 6 + 3 * (50 / 12) ** 0.5), "twice the area"
    assert (chart.lower >= 0).all()
    assert [bool(why) for why in signals(chart, ["1 beyond 3 sigma"])] == [False] * 5 + [True]


def test_laney_widens_them_by_the_ranges_of_neighbours():
    (plain,), (wide,) = (charts(COUNTS, AREAS, phase_1=5) for charts in (u_charts, laney_charts))
    away = (COUNTS / AREAS - plain.centre)[:5] / plain.deviations[:5]
    sigma = np.abs(np.diff(away)).mean() / 1.128
    assert wide.deviations == pytest.approx(plain.deviations * sigma)


def test_laney_is_the_u_chart_where_neighbours_differ_as_chance_has_it():
    counts = np.random.default_rng(0).poisson(200, 2000)
    (plain,), (wide,) = (charts(counts, np.ones(2000), phase_1=2000) for charts in (u_charts, laney_charts))
    assert wide.deviations == pytest.approx(plain.deviations, rel=0.05)


def test_individuals_have_limits_of_266_mean_ranges():
    values, ranges = individuals_charts(COUNTS, np.ones(6), phase_1=5)
    mean = (4 + 2 + 4 + 8) / 4
    assert values.upper == pytest.approx(np.full(6, 10 + 2.66 * mean), rel=1e-3)
    assert ranges.centre == pytest.approx(mean) and ranges.upper == pytest.approx(np.full(6, 3.267 * mean))
    assert np.isnan(ranges.values[0]) and ranges.values[1:].tolist() == [4, 2, 4, 8, 24]
    assert [len(why) for why in signals(ranges, ["1 beyond 3 sigma"])] == [0, 0, 0, 0, 0, 1]


def test_an_ewma_begins_at_the_centre_and_its_limits_widen():
    (chart,) = ewma_charts(COUNTS, np.ones(6), phase_1=5)
    assert chart.values[:2] == pytest.approx([0.2 * 12 + 0.8 * 10, 0.2 * 8 + 0.8 * 10.4])
    sigma = 4.5 / 1.128
    assert chart.upper[0] == pytest.approx(10 + 2.86 * 0.2 * sigma)
    assert chart.upper[-1] == pytest.approx(10 + 2.86 * sigma * (0.2 / 1.8 * (1 - 0.8**12)) ** 0.5)


def test_later_points_do_not_move_the_limits():
    for charts in (u_charts, laney_charts, individuals_charts, ewma_charts):
        before, after = charts(COUNTS[:5], AREAS[:5], phase_1=5)[0], charts(COUNTS, AREAS, phase_1=5)[0]
        assert after.centre == before.centre and after.upper[:5] == pytest.approx(before.upper)


def test_a_quality_index_counts_from_the_best_of_phase_i_in_its_deviations():
    """Shares of 0.02, 0.04, 0.06 and 0.08: population deviation sqrt(0.0005)."""
    areas = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    amounts = np.array([0.02, 0.04, 0.12, 0.08, 0.20, 0.01])
    (chart,) = quality_index_charts(amounts, areas, phase_1=4)
    assert chart.values == pytest.approx(np.array([0, 0.02, 0.04, 0.06, 0.18, -0.01]) / 0.0005**0.5)
    assert chart.values[:4].std() == pytest.approx(1) and chart.values[:4].min() == 0
    assert chart.centre == pytest.approx(0.03 / 0.0005**0.5)
    assert [len(why) for why in signals(chart, ["1 beyond 3 sigma"])] == [0, 0, 0, 0, 1, 0]
    (later,) = quality_index_charts(amounts[4:], areas[4:], phase_1=2, frozen=chart.base)
    assert later.values == pytest.approx(chart.values[4:]) and later.upper[0] == pytest.approx(chart.upper[0])
    with pytest.raises(InputError, match="equal"):
        quality_index_charts([0.1, 0.1, 0.3], [1.0, 1.0, 1.0], phase_1=2)


@pytest.mark.parametrize(
    ("counts", "phase_1", "words"),
    [([1, 2, 3], 1, "1 of 3"), ([1, 2, 3], 4, "4 of 3"), ([0, 0, 3], 2, "Nothing"), ([5, 5, 9], 2, "equal")],
)
def test_too_little_for_limits_is_said(counts, phase_1, words):
    with pytest.raises(InputError, match=words):
        laney_charts(counts, np.ones(3), phase_1=phase_1)


@pytest.mark.parametrize(
    ("rule", "away", "places"),
    [
        ("2 of 3 beyond 2 sigma", [2.1, 0, 2.5, 0, -2.1], [2]),
        ("4 of 5 beyond 1 sigma", [1.1, 1.2, -1.3, 1.4, 1.5, 0], [4]),
        ("8 on one side", [0.1] * 9 + [-0.1], [7, 8]),
        ("9 on one side", [-0.1] * 9, [8]),
        ("6 rising or falling", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.4], [5]),
        ("14 alternating", [0, 1] * 7 + [2], [13]),
        ("15 within 1 sigma", [0.5] * 15 + [2], [14]),
        ("8 beyond 1 sigma", [1.5, -1.5] * 4 + [0], [7]),
    ],
)
def test_a_rule_names_the_point_that_completes_it(rule, away, places):
    assert np.flatnonzero(RULES[rule](np.array(away, float))).tolist() == places


@pytest.mark.parametrize("name", RULE_SETS)
def test_two_points_are_enough_for_any_rules(name):
    (chart,) = u_charts([3, 5], [1.0, 1.0], phase_1=2)
    assert signals(chart, RULE_SETS[name].rules) == [(), ()]


def first_alarms(rules, charts: int, points: int) -> np.ndarray:
    """When usual points give the first alarm, NaN where none does."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(charts):
        chart = ControlChart(
            "", rng.normal(size=points), 0.0, np.ones(points), np.full(points, -3.0), np.full(points, 3.0),
            Baseline(0.0, 1.0),
        )  # fmt: skip
        flags = np.array([bool(why) for why in signals(chart, rules)])
        found.append(flags.argmax() + 1 if flags.any() else np.nan)
    return np.array(found)


@pytest.mark.parametrize("name", RULE_SETS)
def test_false_alarms_come_as_seldom_as_is_said(name):
    """The mean of an exponential from the part that is seen, as most charts alarm within their points."""
    points = 800
    found = first_alarms(RULE_SETS[name].rules, 300, points)
    seen = np.isfinite(found)
    length = (found[seen].sum() + points * (~seen).sum()) / seen.sum()
    assert length == pytest.approx(RULE_SETS[name].run_length, rel=0.2)
