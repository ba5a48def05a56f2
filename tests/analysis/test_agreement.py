"""Agreement of two inspectors: known answers, scikit-learn, and simulated inspectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from microscope_qc.analysis.agreement import kappa, specific_agreement


def test_finding_is_by_specific_agreement() -> None:
    found = specific_agreement(81, 9, 9)
    assert found is not None
    assert found.value == pytest.approx(0.9) and (found.count, found.of) == (162, 180)
    low, high = found.interval
    assert 0.84 < low < 0.9 < high < 0.94
    assert specific_agreement(0, 0, 0) is None
    none = specific_agreement(0, 3, 5)
    assert none is not None and none.value == none.interval[0] == 0 and none.interval[1] > 0.3


def test_the_limits_of_agreement_hold(request: pytest.FixtureRequest) -> None:
    times, rng = (20_000 if request.config.getoption("--long") else 2_000), np.random.default_rng(0)
    for defects, share in ((30, 0.8), (100, 0.6)):
        truth, held = 2 * share / (1 + share), 0
        for both in rng.binomial(defects, share, times).tolist():
            found = specific_agreement(both, defects - both, 0)
            assert found is not None
            held += found.interval[0] <= truth <= found.interval[1]
        print(f"{defects} defects: {held / times:.3f} of the intervals hold the truth")
        assert held / times > 0.935 - 3 * math.sqrt(0.05 / times)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 60)
    second = np.where(rng.random(60) < 0.7, first, rng.integers(0, 5, 60))
    found = kappa(first, second)
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.same is not None and found.same.value == pytest.approx((first == second).mean())


@pytest.mark.parametrize(("count", "share"), [(30, 0.9), (80, 0.6)])
def test_the_limits_of_kappa_hold(count: int, share: float, request: pytest.FixtureRequest) -> None:
    times, rng = (5_000 if request.config.getoption("--long") else 500), np.random.default_rng(count)
    held = 0  # where they do not agree both guess evenly among four names: kappa is the share
    for _ in range(times):
        first = rng.integers(0, 4, count)
        second = np.where(rng.random(count) < share, first, rng.integers(0, 4, count))
        low, high = kappa(first, second).interval or (2, 2)
        held += low <= share <= high
    print(f"{count} pairs, kappa {share}: {held / times:.3f} of the intervals hold the truth")
    assert held / times > 0.935 - 3 * math.sqrt(0.06 / times)


def test_what_says_nothing_is_said() -> None:
    ones = np.ones(30, int)
    alike = kappa(np.arange(24) % 3, np.arange(24) % 3)
    assert alike.value == 1 and alike.interval is not None and 0.7 < alike.interval[0] < 0.9
    assert "same class" in kappa(ones, ones).reason
    assert "too few" in kappa(ones[:5], ones[:5]).reason and kappa(ones[:5], ones[:5]).same is not None
    assert kappa(ones[:0], ones[:0]).reason == "no defect was found by both"
