"""Ratios of densities, against statsmodels, scipy and a count by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, nct, t

from microscope_qc.analysis.comparison import Group, holm, power, rate_ratio
from microscope_qc.analysis.counts import pooled_density

FIRST = Group([25, 80, 30, 14], [1.0, 2.2, 1.7, 1.5])
SECOND = Group([12, 31, 20, 5], [1.2, 2.5, 1.9, 1.1])

STATSMODELS = {
    "ratio": 2.29388786764706, "interval": (0.95612418, 5.50338719), "spread": 5.97213571499, "p": 0.05933042607,
}  # fmt: skip


def test_a_ratio_is_that_of_a_fitted_model():
    """Values of statsmodels 0.15: GLM, Poisson family, offset log(area), scale="X2", t of 6 degrees of freedom."""
    found = rate_ratio(FIRST, SECOND)
    assert found.value == pytest.approx(STATSMODELS["ratio"])
    assert found.interval == pytest.approx(STATSMODELS["interval"], rel=1e-6)
    assert (found.spread, found.p) == pytest.approx((STATSMODELS["spread"], STATSMODELS["p"]), rel=1e-6)
    assert found.freedom == 6


def test_turned_around_it_is_the_reciprocal():
    one, other = rate_ratio(FIRST, SECOND), rate_ratio(SECOND, FIRST)
    assert one.value * other.value == pytest.approx(1)
    assert one.interval[0] * other.interval[1] == pytest.approx(1)
    assert one.p == pytest.approx(other.p)


def test_another_group_says_more_about_the_spread():
    alone, with_third = rate_ratio(FIRST, SECOND), rate_ratio(FIRST, SECOND, [Group([10, 90], [1.0, 1.0])])
    assert with_third.value == alone.value and with_third.freedom == 7
    assert with_third.spread > alone.spread


def test_other_groups_without_findings_say_nothing_of_the_spread():
    assert rate_ratio(FIRST, SECOND, [Group([0] * 5, [1.0] * 5)] * 4) == rate_ratio(FIRST, SECOND)


@given(st.integers(1, 60), st.integers(1, 60))
def test_one_slide_of_each_is_exact_and_not_tested(first, second):
    found = rate_ratio(Group([first], [2.0]), Group([second], [1.0]))
    low, high = binomtest(first, first + second).proportion_ci(0.95, method="exact")
    assert found.interval == pytest.approx((low / (1 - low) / 2, high / (1 - high) / 2), rel=1e-6)
    assert found.p is None and found.reason == "spread between sections unknown: one section of each"


def test_a_group_in_which_nothing_was_found_bounds_the_ratio_on_one_side():
    none, some = Group([0, 0], [1.0, 1.0]), Group([9, 11], [1.0, 1.0])
    assert (below := rate_ratio(none, some)).value == 0 and below.interval[0] == pytest.approx(0, abs=1e-9)
    assert 0 < below.interval[1] < 1.5
    assert (above := rate_ratio(some, none)).value is None and above.interval[1] is None
    assert above.interval[0] * below.interval[1] == pytest.approx(1)
    # at the limit of the score test the share of the first group is as far away as t says
    share = 1 / (1 + below.interval[1])
    away = 20 * (1 - share) / math.sqrt(20 * share * (1 - share))
    assert 2 * t.sf(away, 2) == pytest.approx(0.05, abs=1e-6)


def test_nothing_in_either_is_said():
    found = rate_ratio(Group([0, 0], [1.0, 1.0]), Group([0], [1.0]))
    assert (found.value, found.interval, found.p) == (None, None, None)
    assert found.reason == "nothing was found in either"


def test_probabilities_are_corrected_after_holm():
    """Values of statsmodels 0.15, multipletests(method="holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005, 0.2]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])
    assert holm([None, 0.02, None, 0.04]) == [None, 0.04, None, 0.04]
    assert holm([]) == []


@pytest.mark.parametrize("together", [1, 9])
def test_the_detectable_ratio_is_found_with_80_percent(together):
    """By the noncentral t distribution, at the level that is left for one of several comparisons."""
    found = rate_ratio(FIRST, SECOND, together=together)
    error = math.sqrt(found.spread * (1 / FIRST.count + 1 / SECOND.count))
    away = math.log(found.detectable) / error
    assert nct.sf(t.isf(0.025 / together, 6), 6, away) == pytest.approx(0.8, abs=1e-4)


def test_limits_are_finite_where_two_sections_differ_by_all():
    first = Group([5, 0], [0.001, 100.0])
    found = rate_ratio(first, Group([3], [1.0]), together=300)
    assert all(map(math.isfinite, found.interval)) and found.detectable is None
    assert all(map(math.isfinite, pooled_density(first.counts, first.areas_mm2).interval))


def test_power_grows_with_the_difference_and_is_the_level_without_one():
    assert power(1.0, FIRST, SECOND, spread=2.0, freedom=6) == pytest.approx(0.05)
    some = [power(ratio, FIRST, SECOND, spread=2.0, freedom=6) for ratio in (1.3, 2.0, 4.0)]
    assert some == sorted(some) and some[-1] > 0.9
    assert power(1.3, FIRST, SECOND, spread=2.0, freedom=0) == 0
