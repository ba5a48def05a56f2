"""The largest size expected on a larger area: against scipy, and against simulated largest sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from microscope_qc.analysis.largest import largest_expected

E2283_REDUCED = 6.907
"""Reduced variate of a return period of 1,000, as the standard prints it."""


def test_it_is_the_most_likely_of_gumbels_distributions() -> None:
    sizes = stats.gumbel_r.rvs(20, 4, size=24, random_state=1)
    found = largest_expected(sizes, np.full(24, 150.0), below_um=1.0)
    location, scale = stats.gumbel_r.fit(sizes)
    assert (found.location_um, found.scale_um) == pytest.approx((location, scale), rel=1e-4)
    assert found.in_mm2 == 150_000
    assert found.expected_um == pytest.approx(location + E2283_REDUCED * scale, rel=1e-4)
    error = scale * math.sqrt((1.109 + 0.514 * E2283_REDUCED + 0.608 * E2283_REDUCED**2) / 24)
    assert found.error_um == pytest.approx(error, rel=1e-3)
    low, high = found.interval
    assert low < found.expected_um < high and found.expected_um - low < high - found.expected_um


def test_it_does_not_matter_into_which_areas_the_same_is_cut() -> None:
    # the largest of two areas together is that of one twice as large: what is expected of the whole stays
    rng = np.random.default_rng(2)
    small = stats.gumbel_r.rvs(20, 4, size=4000, random_state=rng)
    apart = largest_expected(small, np.full(4000, 1.0), below_um=1.0, in_mm2=10_000)
    together = np.r_[small[:2000], small[2000:].reshape(-1, 2).max(axis=1)]
    areas = np.repeat([1.0, 2.0], [2000, 1000])
    mixed = largest_expected(together, areas, below_um=1.0, in_mm2=10_000)
    assert mixed.expected_um == pytest.approx(apart.expected_um, rel=0.03)
    equal = largest_expected(together, np.full(3000, areas.mean()), below_um=1.0, in_mm2=10_000)
    assert abs(mixed.expected_um - apart.expected_um) < abs(equal.expected_um - apart.expected_um)


def test_empty_areas_make_it_smaller() -> None:
    sizes = stats.gumbel_r.rvs(20, 4, size=10, random_state=3)
    full = largest_expected(sizes, np.full(10, 1.0), below_um=5.0)
    empty = largest_expected(np.r_[sizes, [np.nan] * 5], np.full(15, 1.0), below_um=5.0, in_mm2=1000)
    assert empty.empty == 5 and empty.areas == 15
    assert empty.location_um < full.location_um


@pytest.mark.parametrize("areas", [6, 24])
def test_the_interval_holds_what_it_says(areas: int, request: pytest.FixtureRequest) -> None:
    times = 2000 if request.config.getoption("--long") else 40
    rng = np.random.default_rng(areas)
    truth = -math.log(-math.log1p(-1 / 1000))
    held = 0
    for _ in range(times):
        area = np.exp(rng.normal(0, 0.3, areas))
        area /= area.mean()
        low, high = largest_expected(rng.gumbel(np.log(area)) + 50, area, below_um=40.0).interval
        held += low <= truth + 50 <= high
    print(f"{areas} areas: {held / times:.3f} of the intervals hold the truth")
    assert held / times >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / times)


def test_clear_trends_of_areas_without_a_limit_are_said() -> None:
    sizes = np.array([10.0, 10.0, 10.0, 10.0, 10.5, 500.0])
    low, high = largest_expected(sizes, np.ones(6), below_um=9.0).interval
    assert 0 <= low < high
