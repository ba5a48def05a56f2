"""Judging a random sample: its order, and what it says of the findings that nobody judged."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.sampling import estimate_words, half_width, sample_estimate, sample_order


def estimate(confidence, known, kept, at_random=None, ids=None):
    """What is said of findings of which those that are known were drawn at random, in the order of their chance."""
    ids = np.arange(1, len(confidence) + 1) if ids is None else ids
    return sample_estimate(ids, confidence, known=known, kept=kept, at_random=known if at_random is None else at_random)


def drawn_first(confidence, counts):
    """Which findings a sample of so many of each band begins with."""
    chosen, order = np.zeros(len(confidence), bool), sample_order(np.arange(1, len(confidence) + 1), confidence)
    for band, count in counts.items():
        chosen[order[(confidence[order] * 5).astype(int) == band][:count]] = True
    return chosen


def some_confidences(count: int) -> np.ndarray:
    return np.random.default_rng(1).beta(2, 1, count)


def test_every_beginning_of_the_order_has_its_part_of_each_band():
    confidence = some_confidences(5000)
    order = sample_order(np.arange(1, 5001), confidence)
    assert sorted(order.tolist()) == list(range(5000))
    band = (confidence * 5).astype(int)
    assert (np.bincount(band[order[:30]]) == 6).all(), "without five of each nothing is said of it"
    for length in (500, 2000):
        assert np.abs(np.bincount(band[order[:length]]) / length - np.bincount(band) / 5000).max() < 0.02
    assert np.abs(np.corrcoef(order[:1000], np.arange(1000))[0, 1]) < 0.1, "numbers say where they were found"


def test_what_comes_or_goes_does_not_change_the_order_of_the_others():
    ids, confidence = np.arange(1, 401), some_confidences(400)
    whole = ids[sample_order(ids, confidence)]
    some = ids % 7 != 0
    band = (confidence * 5).astype(int)
    part = ids[some][sample_order(ids[some], confidence[some])]
    for number in range(5):
        assert [n for n in whole if some[n - 1] and band[n - 1] == number] == [n for n in part if band[n - 1] == number]


def test_what_users_drew_comes_last():
    confidence = np.where(np.arange(30) % 3 == 0, np.nan, 0.9)
    assert np.isnan(confidence[sample_order(np.arange(30), confidence)])[-10:].all()


def test_the_interval_shrinks_and_holds_the_truth():
    rng, count, inside = np.random.default_rng(2), 2000, 0
    for _ in range(100):
        confidence = rng.beta(2, 1, count)
        true = rng.random(count) < confidence
        ids = rng.permutation(count) + 1
        order = sample_order(ids, confidence)
        widths = []
        for judged in (60, 200, 800, count):
            known = np.zeros(count, bool)
            known[order[:judged]] = True
            found = estimate(confidence, known, true | ~known, ids=ids)
            widths.append(half_width(found.now))
            if judged == 200:
                inside += found.now.interval[0] <= true.sum() <= found.now.interval[1]
                assert found.soon < widths[-1]
        assert widths == sorted(widths, reverse=True) and found.now.interval == (true.sum(), true.sum())
    print(f"coverage {inside} of 100")
    assert inside >= 90


def test_it_is_said_in_words():
    confidence, none = np.full(100, 0.9), np.zeros(100, bool)
    assert estimate_words(estimate(confidence, none, ~none)).startswith("Nothing is judged yet")
    judged = drawn_first(confidence, {4: 20})
    kept = np.arange(100) != np.flatnonzero(judged)[3]
    words = estimate_words(estimate(confidence, judged, kept))
    assert words.startswith("95 of 100 findings are true (") and "from 20 judged." in words and "after 50 more" in words
    assert estimate_words(estimate(confidence, ~none, ~none)) == "100 of 100 findings are true: all are judged."
    assert estimate_words(estimate(confidence, judged, kept, at_random=none)) == (
        "Of 20 judged findings none was drawn at random: how many of 100 findings are true is not known. "
        "Judge in this order, without leaving any out."
    )
    others = ~drawn_first(confidence, {4: 90})
    words = estimate_words(estimate(confidence, judged | others, kept, at_random=judged))
    assert "from 19 judged at random." in words, "the last one is left out where others were judged for another reason"


def test_what_was_passed_over_ends_the_sample():
    """Whoever leaves out what is hard to judge has no random sample."""
    confidence = np.full(100, 0.9)
    judged = drawn_first(confidence, {4: 30})
    passed = drawn_first(confidence, {4: 12}) & ~drawn_first(confidence, {4: 11})
    assert estimate(confidence, judged, judged).judged == 30
    found = estimate(confidence, judged & ~passed, judged)
    assert (found.judged, found.others) == (11, 18)


def test_bands_are_told_apart():
    """The share of the judged ones alone is not that of all."""
    confidence = np.r_[np.full(500, 0.95), np.full(500, 0.1)]
    known = drawn_first(confidence, {4: 400, 0: 40})
    kept = ~(known & (confidence < 0.5))
    found = estimate(confidence, known, kept)
    assert found.now.count == pytest.approx(500) and found.judged == 440
