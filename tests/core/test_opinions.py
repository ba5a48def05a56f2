"""What models found before a user said anything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from microscope_qc.core.boxes import FindingFlag, make_rows
from microscope_qc.core.opinions import OPINION_DTYPE, as_found


@pytest.mark.parametrize(
    ("hidden", "leading"), [((), (2, 0.9, 12)), ((12,), (3, 0.6, 11)), ((11, 12, 13), (0, math.nan, 0))]
)
def test_the_most_confident_opinion_is_what_was_found(hidden: tuple[int, ...], leading: tuple[int, float, int]) -> None:
    opinions = np.zeros(4, OPINION_DTYPE)
    opinions["finding_id"] = (5, 5, 5, 7)
    opinions["run_id"] = (11, 12, 13, 11)
    opinions["class_id"] = (3, 2, 4, 1)
    opinions["confidence"] = (0.6, 0.9, 0.3, 0.8)
    rows = make_rows(2, id=[5, 7], class_id=[9, 1], confidence=[math.nan, 0.8], run_id=[0, 11])
    rows["flags"] = FindingFlag.CLASS, 0
    found = as_found(rows, opinions, hidden_runs=hidden)
    for name, value in zip(("class_id", "confidence", "run_id"), leading, strict=True):
        assert found[name][0] == pytest.approx(value, nan_ok=True)
    assert found[1].item() == pytest.approx((1, 0.8, 11))
