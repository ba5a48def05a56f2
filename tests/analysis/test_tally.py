"""Strata of several slides joined."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from microscope_qc.analysis.tally import STRATUM_DTYPE, merged

KEY = ("model", "label", "band", "outcome", "inside")


@pytest.mark.parametrize("classes", [3, 300])
def test_strata_of_slides_are_summed(classes):
    rng = np.random.default_rng(classes)
    slides, expected = [], Counter()
    for _ in range(4):
        strata = np.zeros(200, STRATUM_DTYPE)
        for name, low, high in zip(KEY, (0, 0, 0, -2, 0), (2, classes, 5, classes, 8), strict=True):
            strata[name] = rng.integers(low, high, 200)
        strata["count"] = rng.integers(1, 9, 200)
        slides.append(strata)
        for row in strata:
            expected[tuple(int(row[name]) for name in KEY)] += int(row["count"])
    found = merged(slides)
    assert {tuple(int(row[name]) for name in KEY): int(row["count"]) for row in found} == expected
    assert len(merged([])) == 0
