"""Intervals hold what they promise: simulated slides with known densities, few slides, spread between them, masks.

Full counts with ``--long``; ``-s`` prints the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from microscope_qc.analysis.comparison import Group, holm, power, rate_ratio
from microscope_qc.analysis.corrected import corrected
from microscope_qc.analysis.counts import pooled_density
from microscope_qc.analysis.drawn import BANDS, DRAWN, REACHED
from microscope_qc.analysis.groups import true_density
from microscope_qc.analysis.shares import pooled_share
from microscope_qc.analysis.sizes import pooled_quantiles
from microscope_qc.analysis.tally import STRATUM_DTYPE, UNJUDGED, WRONG

SLIDES, SPREADS = (2, 3, 6, 12), (1, 4)
FEW, MANY = 400, 10_000
LEAST = 0.94
Rng = np.random.Generator


def scattered(rng: Rng, means: np.ndarray, spread: float) -> np.ndarray:
    """Counts with these means, and variances that are so many times as large: negative binomial."""
    return rng.poisson(means if spread == 1 else rng.gamma(means / (spread - 1), spread - 1))


def masked(rng: Rng, slides: int) -> np.ndarray:
    """Areas of slides of which masks leave out between a fifth and three quarters."""
    return rng.uniform(0.4, 1.6, slides)


def a_density(rng: Rng, slides: int, spread: float, *, per_mm2: float) -> bool:
    areas = masked(rng, slides)
    low, high = pooled_density(scattered(rng, per_mm2 * areas, spread), areas).interval
    return low <= per_mm2 <= high


def a_share(rng: Rng, slides: int, spread: float) -> bool:
    """A class that is 30 % of all findings, more on some slides than on others."""
    totals = rng.poisson(60, slides) + 1
    beta = (np.mean(totals) - spread) / (spread - 1) if spread > 1 else np.inf
    shares = np.full(slides, 0.3) if spread == 1 else rng.beta(0.3 * beta, 0.7 * beta, slides)
    found = pooled_share(rng.binomial(totals, shares), totals)
    assert found is not None
    return found.interval[0] <= 0.3 <= found.interval[1]


def a_median(rng: Rng, slides: int, spread: float) -> bool:
    """Sizes whose logarithm is normal, larger on some slides than on others."""
    shifts = 0 if spread == 1 else rng.normal(0, 0.3, (slides, 1))
    sizes = np.exp(rng.normal(size=(slides, 40)) + shifts)
    (found,) = pooled_quantiles(sizes.ravel(), np.repeat(np.arange(slides), 40), [0.5])
    return found.interval is None or found.interval[0] <= 1 <= found.interval[1]


def imperfect(rng: Rng, slides: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What a detector finds that misses a fifth and is wrong in a third, of which half was reviewed at random.

    Returns areas, findings by slide, what became of them, and how many are true.
    """
    areas = masked(rng, slides)
    true = rng.binomial(scattered(rng, 30 * areas, spread), 0.8)
    wrong = scattered(rng, 12 * areas, spread)
    is_true = np.repeat([True, False], [true.sum(), wrong.sum()])
    confidence = np.where(is_true, rng.beta(4, 2, len(is_true)), rng.beta(2, 4, len(is_true)))
    strata = np.zeros(len(is_true), STRATUM_DTYPE)
    strata["band"], strata["count"] = confidence * BANDS, 1
    judged = rng.random(len(is_true)) < 0.5
    strata["drawn"] = np.where(judged, DRAWN, REACHED)
    strata["outcome"] = np.where(~judged, UNJUDGED, np.where(is_true, 0, WRONG))
    rejected = np.bincount(
        np.r_[np.repeat(np.arange(slides), true), np.repeat(np.arange(slides), wrong)],
        weights=judged & ~is_true, minlength=slides,
    )  # fmt: skip
    return areas, true + wrong - rejected.astype(int), strata, int(true.sum())


def what_is_true(rng: Rng, slides: int, spread: float, *, of_the_slides: bool) -> bool | None:
    """The true findings of these slides, or their density on all such slides."""
    areas, kept, strata, true = imperfect(rng, slides, spread)
    found = corrected(int(kept.sum()), strata, {0})
    if found.count is None or found.interval is None:
        return None
    if of_the_slides:
        return found.interval[0] <= true <= found.interval[1]
    low, high = true_density(found.count, found.interval, pooled_density(kept, areas))
    return low <= 30 * 0.8 <= high


CASES: dict[str, Callable[[Rng, int, float], bool | None]] = {
    "density, 5 findings a slide": partial(a_density, per_mm2=5.0),
    "density, 20 findings a slide": partial(a_density, per_mm2=20.0),
    "density, 100 findings a slide": partial(a_density, per_mm2=100.0),
    "share of a class": a_share,
    "median size": a_median,
    "true findings, half of them reviewed": partial(what_is_true, of_the_slides=True),
    "density of true findings": partial(what_is_true, of_the_slides=False),
}


def hits(case: Callable[[Rng, int, float], bool | None], slides: int, spread: float, trials: int) -> float:
    """How often the interval contains the truth, of those times that there is one."""
    rng = np.random.default_rng([slides, int(spread)])
    found = [hit for _ in range(trials) if (hit := case(rng, slides, spread)) is not None]
    assert len(found) > trials / 5
    return float(np.mean(found))


@pytest.mark.parametrize("name", CASES)
def test_an_interval_contains_the_truth(name):
    # a few hundred trials may come out lower by chance: three standard deviations
    for slides in SLIDES:
        for spread in SPREADS:
            assert hits(CASES[name], slides, spread, FEW) >= LEAST - 3 * (0.06 * 0.94 / FEW) ** 0.5, (slides, spread)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_an_interval_contains_the_truth_in_full(name):
    figures = {(slides, spread): hits(CASES[name], slides, spread, MANY) for slides in SLIDES for spread in SPREADS}
    print(f"\n{name}: " + ", ".join(f"{n} slides phi {phi}: {100 * hit:.1f} %" for (n, phi), hit in figures.items()))
    assert min(figures.values()) >= LEAST


# -- false differences, and true ones ---------------------------------------------------------------------------------

MOST_FLAGS = 0.055
CLASSES = 7


def a_group(rng: Rng, slides: int, spread: float, per_mm2: float) -> Group:
    areas = masked(rng, slides)
    return Group(scattered(rng, per_mm2 * areas, spread), areas)


def flagged(rng: Rng, slides: int, spread: float, *, per_mm2: float) -> bool:
    """Whether two equal groups of so many slides each differ in any of seven classes, after Holm."""
    pairs = [[a_group(rng, slides, spread, per_mm2) for _ in range(2)] for _ in range(CLASSES)]
    return any(p is not None and p < 0.05 for p in holm([rate_ratio(*pair).p for pair in pairs]))


def flags(slides: int, spread: float, trials: int, *, per_mm2: float) -> float:
    rng = np.random.default_rng([slides, int(spread), int(per_mm2)])
    return float(np.mean([flagged(rng, slides, spread, per_mm2=per_mm2) for _ in range(trials)]))


def test_equal_groups_are_seldom_said_to_differ():
    for slides in SLIDES:
        for spread in SPREADS:
            assert flags(slides, spread, FEW, per_mm2=20) <= MOST_FLAGS + 3 * (0.05 * 0.95 / FEW) ** 0.5


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("per_mm2", [5, 20, 100])
def test_equal_groups_are_seldom_said_to_differ_in_full(per_mm2):
    figures = {(n, phi): flags(n, phi, MANY // 2, per_mm2=per_mm2) for n in SLIDES for phi in SPREADS}
    words = ", ".join(f"{n} slides phi {phi}: {100 * hit:.1f} %" for (n, phi), hit in figures.items())
    print(f"\nequal groups said to differ in one of seven classes, {per_mm2} findings a slide: {words}")
    assert max(figures.values()) <= MOST_FLAGS


@pytest.mark.parametrize("slides", [6, 12])
def test_a_planted_difference_is_found_as_often_as_stated(slides):
    """30 % more in one group, 40 findings per slide in the other, slides that differ twice as much as by chance."""
    rng = np.random.default_rng(slides)
    areas = np.ones(slides)
    found, stated = [], []
    for _ in range(1000):
        first, second = (Group(scattered(rng, mean * areas, 2), areas) for mean in (52.0, 40.0))
        ratio = rate_ratio(first, second)
        found.append(ratio.p is not None and ratio.p < 0.05)
        stated.append(power(1.3, first, second, spread=2.0, freedom=ratio.freedom))
    print(f"\n30 % more, {slides} slides of each: found {np.mean(found):.0%}, stated {np.mean(stated):.0%}")
    assert np.mean(found) == pytest.approx(np.mean(stated), abs=0.06)
