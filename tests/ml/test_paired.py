"""Two models on the same places: differences and their intervals against plain resampling, McNemar against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from microscope_qc.ml.evaluation import paired
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.paired import LEAST_PLACES, compare_tallies, found_by

SIDE = 20


def _pair(pictures: int, shares: tuple[float, float], *, seed: int = 0, wrong: int = 2) -> tuple[Tally, Tally]:
    """The same pictures with one to four defects each, of which the models find these shares, and some wrong finds."""
    rng = np.random.default_rng(seed)
    tallies = Tally(["A"]), Tally(["A"])
    for _ in range(pictures):
        count = int(rng.integers(1, 5))
        truth = np.array([[40 * k, 0, 40 * k + SIDE, SIDE] for k in range(count)], float)
        hard = rng.random(count)  # what is hard for one is hard for the other
        for tally, share in zip(tallies, shares, strict=True):
            found = truth[hard < share]
            more = int(rng.integers(0, wrong + 1))
            false = np.array([[40 * k, 60, 40 * k + SIDE, 80] for k in range(more)], float).reshape(-1, 4)
            boxes = np.concatenate([found, false])
            tally.add(
                boxes=boxes, labels=np.zeros(len(boxes), int), confidence=rng.uniform(0.3, 1, len(boxes)),
                truth=truth, truth_labels=np.zeros(count, int),
            )  # fmt: skip
    return tallies


def _f1(tally: Tally, confidence: float, times: np.ndarray) -> float:
    good = seen = truths = 0.0
    for number, (flags, (_, _, score)) in enumerate(
        zip(tally.found_truth(confidence=confidence), tally._finds, strict=True)
    ):
        good += times[number] * flags.sum()
        seen += times[number] * (score >= confidence).sum()
        truths += times[number] * len(flags)
    return 2 * good / (seen + truths)


def test_the_interval_of_a_difference_is_that_of_plain_resampling() -> None:
    tallies = _pair(60, (0.8, 0.6))
    found = compare_tallies(*tallies, confidences=(0.4, 0.5))
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(3000):
        times = np.bincount(rng.integers(0, 60, 60), minlength=60)
        drawn.append(_f1(tallies[0], 0.4, times) - _f1(tallies[1], 0.5, times))
    once = np.ones(60)
    of_f1 = found.differences["f1"]
    assert of_f1.difference == pytest.approx(_f1(tallies[0], 0.4, once) - _f1(tallies[1], 0.5, once))
    assert of_f1.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)
    assert of_f1.first == pytest.approx(tallies[0].report(confidence=0.4)["f1"])
    of_map = found.differences["map50"]
    assert of_map.first == pytest.approx(tallies[0].report(confidence=0.4)["map50"])
    assert of_map.sign == 1 and of_map.p is not None and of_map.p < 0.01
    assert found.places == 60


def test_chance_alone_shows_a_difference_in_few_of_many_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models of the same kind: about 5 % of the intervals may leave 0 out, not a quarter of them."""
    monkeypatch.setattr(paired, "DRAWS", 400)
    signs = [
        compare_tallies(*_pair(12, (0.7, 0.7), seed=seed), confidences=(0.3, 0.3)).differences["f1"]
        for seed in range(50)
    ]
    assert sum(difference.sign != 0 for difference in signs) <= 7  # 2.5 expected; 7 or fewer in 99.7 %
    assert all(
        (difference.sign == 0) == (difference.p > 0.05) for difference in signs if abs(difference.p - 0.05) > 0.02
    )


def test_pairing_takes_out_what_makes_places_hard_for_both() -> None:
    tallies = _pair(60, (0.8, 0.7), wrong=0)
    together = compare_tallies(*tallies, confidences=(0.3, 0.3)).differences["f1"]
    alone = [tally.intervals(confidence=0.3)[0]["f1"] for tally in tallies]
    unpaired = float(np.hypot(*(high - low for low, high in alone)))
    assert together.interval is not None
    assert together.interval[1] - together.interval[0] < 0.8 * unpaired


def test_the_same_model_twice_differs_by_nothing() -> None:
    one, _ = _pair(20, (0.7, 0.7))
    found = compare_tallies(one, one, confidences=(0.4, 0.4))
    for difference in found.differences.values():
        assert difference.difference == 0 and difference.interval == (0, 0)
        assert difference.p == 1 and difference.sign == 0
    assert found.found.only_first == found.found.only_second == 0 and found.found.p == 1
    assert found.found.truths == one.truths


def test_too_few_places_have_no_interval() -> None:
    found = compare_tallies(*_pair(LEAST_PLACES - 1, (1.0, 0.1)), confidences=(0.3, 0.3))
    assert all(difference.interval is None and difference.p is None for difference in found.differences.values())
    assert all(
        difference.interval is not None
        for difference in compare_tallies(*_pair(LEAST_PLACES, (1.0, 0.1)), confidences=(0.3, 0.3)).differences.values()
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_only_one_finds_is_compared_as_by_mcnemar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random(50) < 0.8, rng.random(50) < 0.6
    found = found_by(first, second)
    b, c = found.only_first, found.only_second
    assert (b, c) == (np.count_nonzero(first > second), np.count_nonzero(second > first))
    # the two-sided sum of all divisions that are not more likely than this one
    each = [stats.binom.pmf(k, b + c, 0.5) for k in range(b + c + 1)]
    assert found.p == pytest.approx(sum(p for p in each if p <= each[b] * (1 + 1e-9)))
    assert found.both + b + c + found.neither == 50


def test_a_class_that_no_truth_has_does_not_count_for_the_mean() -> None:
    tallies = []
    for score in (0.9, 0.8):
        tally = Tally(["A", "B"])
        for _ in range(8):
            box = np.array([[0, 0, 20, 20]], float)
            tally.add(
                boxes=np.concatenate([box, box + 100]), labels=np.array([0, 1]), confidence=np.array([score, 0.9]),
                truth=box, truth_labels=np.array([0]),
            )  # fmt: skip
        tallies.append(tally)
    found = compare_tallies(*tallies, confidences=(0.5, 0.85))
    assert found.differences["map50"].first == found.differences["map50"].second == 1
    assert found.found.only_first == 8 and found.found.p == pytest.approx(2 / 2**8)
