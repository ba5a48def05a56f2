"""How many findings are true where only some were judged."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.corrected import Stratum, corrected, corrected_count
from microscope_qc.analysis.drawn import DRAWN, REACHED
from microscope_qc.analysis.tally import STRATUM_DTYPE, UNJUDGED, WRONG


def strata(*of):
    """Strata from class, band, outcome and count; all that is judged was drawn at random."""
    rows = np.zeros(len(of), STRATUM_DTYPE)
    for row, (label, band, outcome, count) in zip(rows, of, strict=True):
        row["label"], row["band"], row["outcome"], row["count"] = label, band, outcome, count
        row["drawn"] = REACHED if outcome == UNJUDGED else DRAWN
    return rows


def test_what_was_judged_is_known():
    found = corrected(12, strata((0, 4, 0, 12), (0, 4, WRONG, 5)), {0})
    assert (found.count, found.interval, found.unjudged) == (12, (12, 12), 0)


def test_the_others_are_true_as_often_as_the_judged_ones_of_their_band():
    sure = (0, 4, 0, 30), (0, 4, WRONG, 10), (0, 4, UNJUDGED, 40)
    found = corrected(30 + 40 + 10, strata(*sure, (0, 1, WRONG, 8), (0, 1, UNJUDGED, 10)), {0})
    assert found.count == pytest.approx(30 + 40 * 0.75 + 10 * 0)
    assert found.interval[0] >= 30 and found.interval[1] <= 80
    assert (found.known, found.unjudged, found.judged) == (30, 50, 48)


def test_the_fewer_are_left_the_surer_it_is():
    widths = [np.ptp(corrected_count(0, [Stratum(left, 40, 20)]).interval) / left for left in (400, 40, 4)]
    assert widths[0] < widths[1] < widths[2], "relative to what is left"
    assert np.ptp(corrected_count(0, [Stratum(4, 40, 20)]).interval) < np.ptp(
        corrected_count(0, [Stratum(40, 40, 20)]).interval
    )


def test_a_sample_of_a_large_number_is_wilsons():
    low, high = corrected_count(0, [Stratum(10**9, 10, 8)]).interval
    assert (low / 1e9, high / 1e9) == pytest.approx((0.490, 0.943), abs=5e-4)


def test_a_review_that_never_reached_a_band_says_nothing_of_it():
    found = corrected(50, strata((0, 4, 0, 20), (0, 0, UNJUDGED, 30)), {0})
    assert found.count is None and found.interval is None
    assert found.reason == (
        "not estimable: 30 unreviewed findings have a confidence of 0.0 to 0.2, and no such was judged (5 are needed)"
    )


def test_a_few_that_it_did_not_reach_may_all_be_true_or_none():
    found = corrected(50, strata((0, 4, 0, 20), (0, 4, WRONG, 20), (0, 4, 0, 26), (0, 0, UNJUDGED, 4)), {0})
    assert found.interval == (46, 50) and 46 < found.count < 50


def test_findings_that_turned_out_to_be_of_another_class_count_there():
    mixed = strata((0, 3, 0, 10), (0, 3, 1, 10), (0, 3, UNJUDGED, 20), (1, 3, 1, 7))
    assert corrected(10 + 20, mixed, {0}).count == pytest.approx(10 + 10)
    assert corrected(10 + 7, mixed, {1}).count == pytest.approx(17 + 10)
    assert corrected(47, mixed, {0, 1}).count == pytest.approx(47)


def test_models_are_told_apart():
    one, other = strata((0, 4, 0, 10), (0, 4, UNJUDGED, 10)), strata((0, 4, WRONG, 10), (0, 4, UNJUDGED, 10))
    other["model"] = 1
    assert corrected(30, np.concatenate([one, other]), {0}).count == pytest.approx(20)
