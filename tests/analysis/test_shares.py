"""Shares and their intervals, against known answers, scipy and statsmodels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from microscope_qc.analysis.shares import pooled_share

SEVEN_CLASSES = [56, 72, 73, 59, 62, 87, 58]
GOODMAN = [
    (0.085167, 0.166261), (0.114533, 0.204373), (0.116395, 0.206728), (0.090606, 0.173475), (0.096077, 0.180655),
    (0.142749, 0.239416), (0.088789, 0.171074),
]  # fmt: skip
"""Of statsmodels 0.15, multinomial_proportions_confint(SEVEN_CLASSES, method="goodman")."""


def test_the_interval_of_one_share_is_wilsons():
    found = pooled_share([8], [10])
    assert (found.count, found.of, found.value) == (8, 10, 0.8)
    assert found.interval == pytest.approx((0.490, 0.943), abs=5e-4)


@given(st.integers(1, 500), st.integers(0, 500))
def test_it_is_that_of_scipy(of, count):
    count = min(count, of)
    expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert pooled_share([count], [of]).interval == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_intervals_of_all_classes_at_once_are_goodmans():
    whole = sum(SEVEN_CLASSES)
    for count, expected in zip(SEVEN_CLASSES, GOODMAN, strict=True):
        assert pooled_share([count], [whole], together=7).interval == pytest.approx(expected, abs=1e-6)


def test_slides_that_differ_widen_it():
    alike, spread = pooled_share([10, 10, 10], [20, 20, 20]), pooled_share([1, 10, 19], [20, 20, 20])
    assert alike.value == spread.value == 0.5
    assert spread.interval[0] < alike.interval[0] < 0.5 < alike.interval[1] < spread.interval[1]


def test_nothing_has_no_share_and_an_empty_slide_says_nothing():
    assert pooled_share([0, 0], [0, 0]) is None
    assert pooled_share([3, 0], [4, 0]) == pooled_share([3], [4])


@pytest.mark.parametrize("count", [0, 5])
def test_none_and_all_are_bounded(count):
    low, high = pooled_share([count, count], [5, 5]).interval
    assert 0 <= low < high <= 1
    assert (low == 0) == (count == 0) and (high == pytest.approx(1)) == (count == 5)
