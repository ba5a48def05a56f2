"""Densities and their intervals, against known answers and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from microscope_qc.analysis.counts import density, poisson_interval, pooled_density


def test_the_exact_interval_of_a_count_is_garwoods():
    assert poisson_interval(10) == pytest.approx((4.795, 18.390), abs=5e-4)
    assert poisson_interval(0) == pytest.approx((0, 3.689), abs=5e-4)


@given(st.integers(0, 2000))
def test_at_its_limits_the_count_is_as_unlikely_as_the_level_says(count):
    low, high = poisson_interval(count)
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(0.025)


def test_a_density_is_count_by_area():
    found = density(20, 4.0)
    assert (found.count, found.area_mm2, found.per_mm2, found.sections) == (20, 4.0, 5.0, 1)
    assert found.interval == pytest.approx(tuple(limit / 4 for limit in poisson_interval(20)))


def test_sections_that_differ_more_than_by_chance_widen_the_interval():
    alike, spread = pooled_density([10, 10, 10], [1.0, 1.0, 1.0]), pooled_density([2, 8, 20], [1.0, 1.0, 1.0])
    assert alike.per_mm2 == spread.per_mm2 == 10
    assert (alike.count, alike.sections) == (30, 3)
    assert spread.interval[0] < alike.interval[0] < 10 < alike.interval[1] < spread.interval[1]


def test_one_section_and_no_finding_are_exact():
    assert pooled_density([7], [2.0]) == density(7, 2.0)
    none = pooled_density([0, 0], [1.0, 3.0])
    assert none.interval == pytest.approx((0, 3.689 / 4), abs=1e-3)


def test_the_pooled_interval_is_that_of_a_fitted_model():
    """The same model, fitted by iteratively reweighted least squares as in McCullagh and Nelder."""
    from scipy.stats import t

    rng = np.random.default_rng(0)
    for _ in range(20):
        areas = rng.uniform(0.5, 3, 5)
        counts = rng.negative_binomial(3, 0.2, 5) + 1
        intercept = 0.0
        for _ in range(50):
            mean = areas * np.exp(intercept)
            intercept += (counts - mean).sum() / mean.sum()
        mean = areas * np.exp(intercept)
        phi = max(1.0, ((counts - mean) ** 2 / mean).sum() / 4)
        half = t.ppf(0.975, 4) * np.sqrt(phi / mean.sum())
        expected = np.exp([intercept - half, intercept + half])
        assert pooled_density(counts.tolist(), areas.tolist()).interval == pytest.approx(tuple(expected))


def test_the_pooled_interval_has_its_nominal_coverage():
    """Sections whose true densities scatter, variance four times the mean: nominal 95 %."""
    rng = np.random.default_rng(1)
    hits, trials = 0, 1000
    for _ in range(trials):
        counts = rng.negative_binomial(20 / 3, 1 / 4, 3)  # mean 20, variance 80
        low, high = pooled_density(counts.tolist(), [2.0, 2.0, 2.0]).interval
        hits += low <= 10 <= high
    assert hits / trials > 0.94
