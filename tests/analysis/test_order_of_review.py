"""The order in which findings are judged makes no number wrong: what is estimated is right, or nothing is said.

Within a band of confidence large findings are true more often than small ones, and whoever judges the worst first
judges the large ones: an estimate that takes them for a sample is too high.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from microscope_qc.analysis.corrected import Corrected, corrected
from microscope_qc.analysis.drawn import band_of, cells_of, chance, last_drawn, part_in_sample
from microscope_qc.analysis.sampling import sample_order
from microscope_qc.analysis.tally import STRATUM_DTYPE, UNJUDGED, WRONG

SLIDES, FINDINGS, TRIALS, MANY_TRIALS = 4, 600, 120, 4_000


class Review:
    """Findings of some slides while a user judges them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.ids = rng.permutation(10 * FINDINGS)[:FINDINGS] + 1
        self.slide = rng.integers(0, SLIDES, FINDINGS)
        self.confidence = rng.beta(2, 2, FINDINGS).astype(np.float32)
        self.size = rng.lognormal(size=FINDINGS)
        odds = np.exp(2 * (np.log(self.size) + 3 * (self.confidence - 0.5)))
        self.true = rng.random(FINDINGS) < odds / (1 + odds)
        self.known, self.at_random = np.zeros((2, FINDINGS), bool)

    def worst(self, count: int) -> None:
        order = np.argsort(-self.size)
        self.known[order[~self.known[order]][:count]] = True

    def sample(self, count: int, slides: tuple[int, ...] = tuple(range(SLIDES))) -> None:
        """Judge so many of the sample of some slides that nobody judged, as the window does."""
        there = np.flatnonzero(np.isin(self.slide, slides))
        order = there[sample_order(self.ids[there], self.confidence[there])]
        chosen = order[~self.known[order]][:count]
        self.known[chosen] = self.at_random[chosen] = True

    def estimate(self) -> Corrected:
        strata = np.zeros(FINDINGS, STRATUM_DTYPE)
        strata["band"], strata["count"] = band_of(self.confidence), 1
        strata["outcome"] = np.where(~self.known, UNJUDGED, np.where(self.true, 0, WRONG))
        cells = cells_of(np.zeros(FINDINGS, int), self.confidence)
        last = last_drawn([(cells[self.at_random], self.ids[self.at_random])])
        for slide in range(SLIDES):
            here = self.slide == slide
            strata["drawn"][here] = part_in_sample(
                cells[here], self.ids[here], known=self.known[here], at_random=self.at_random[here], last=last
            )
        return corrected(int((self.true | ~self.known).sum()), strata, {0})


def worst_then_sample(review: Review) -> None:
    review.worst(200)
    review.sample(120)


def sample_then_worst(review: Review) -> None:
    review.sample(150)
    review.worst(200)


def in_turns(review: Review) -> None:
    for _ in range(3):
        review.worst(60)
        review.sample(50)


def slide_by_slide(review: Review) -> None:
    review.worst(120)
    for slide in range(SLIDES):
        review.sample(50, (slide,))


WAYS: dict[str, Callable[[Review], None]] = {
    "only a sample": lambda review: review.sample(150),
    "the worst, then a sample": worst_then_sample,
    "a sample, then the worst": sample_then_worst,
    "in turns": in_turns,
    "slide by slide": slide_by_slide,
}


@pytest.mark.parametrize("way", WAYS)
def test_an_estimate_is_right_in_whatever_order_the_others_were_judged(way):
    error, holds = estimates(way, TRIALS)
    assert abs(error) < 0.02
    assert holds > 0.9


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_an_estimate_is_right_in_full(way):
    error, holds = estimates(way, MANY_TRIALS)
    print(f"\n{way}: error {error:+.2%}, limits hold {holds:.1%} of {MANY_TRIALS}")
    assert abs(error) < 0.005
    assert holds >= 0.94


def estimates(way: str, trials: int) -> tuple[float, float]:
    """Mean error of the estimate, and how often its limits hold."""
    rng, errors, inside = np.random.default_rng(3), [], 0
    for _ in range(trials):
        review = Review(rng)
        WAYS[way](review)
        found = review.estimate()
        assert found.count is not None and found.interval is not None, found.reason
        true = int(review.true.sum())
        errors.append(found.count / true - 1)
        inside += found.interval[0] <= true <= found.interval[1]
    return float(np.mean(errors)), inside / trials


def test_the_worst_first_says_nothing_of_the_others_and_all_of_what_was_judged():
    review = Review(np.random.default_rng(4))
    review.worst(300)
    found = review.estimate()
    assert found.count is None and "worst-first" in found.reason and "draw a random sample" in found.reason
    share = review.true[review.known].mean()
    assert share > 1.2 * review.true[~review.known].mean(), "taken for a sample it would be wrong"
    review.worst(300)
    assert review.estimate().interval == (review.true.sum(), review.true.sum())


def test_slides_that_no_sample_came_to_are_not_estimated():
    review = Review(np.random.default_rng(5))
    review.sample(100, (0, 1))
    found = review.estimate()
    assert found.count is None and "lie on slides of which none was drawn at random" in found.reason


def test_whoever_leaves_out_what_is_hard_to_judge_has_a_sample_up_to_there():
    review = Review(np.random.default_rng(6))
    review.sample(200)
    drawn = np.flatnonzero(review.at_random)
    cell = drawn[band_of(review.confidence[drawn]) == 2]
    passed = cell[np.argsort(chance(review.ids[cell]))[2]]
    review.known[passed] = review.at_random[passed] = False
    found = review.estimate()
    assert found.count is None or found.judged < 200 - 3
