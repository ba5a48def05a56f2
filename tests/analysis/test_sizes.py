"""Quantiles of sizes with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.sizes import pooled_quantiles


def of_one_slide(sizes, share=0.5):
    (found,) = pooled_quantiles(np.array(sizes, float), np.zeros(len(sizes), int), [share])
    return found


def test_the_limits_are_sizes_at_the_limits_of_the_share_below():
    found = of_one_slide(range(1, 101))
    assert (found.value, found.n) == (50.5, 100)
    assert found.interval == (40.0, 61.0), "Wilson, 50 of 100: 0.404 to 0.596"


@pytest.mark.parametrize(("sizes", "share"), [([7.0], 0.5), ([1.0, 2, 3], 0.5), (range(20), 0.9)])
def test_too_few_sizes_have_no_interval(sizes, share):
    found = of_one_slide(sizes, share)
    assert found.value == pytest.approx(np.quantile(list(sizes), share)) and found.interval is None


def test_equal_sizes_have_one():
    assert of_one_slide([12.0] * 50).interval == (12.0, 12.0)


def test_slides_with_larger_sizes_widen_it():
    sizes = np.linspace(1, 10, 60)
    mixed, apart = (pooled_quantiles(sizes, unit, [0.5])[0] for unit in (np.arange(60) % 3, np.arange(60) // 20))
    assert mixed.value == apart.value
    assert apart.interval[0] < mixed.interval[0] < mixed.interval[1] < apart.interval[1]
