"""Verdicts by acceptance limits."""

from __future__ import annotations

import pytest

from microscope_qc.analysis.acceptance import Acceptance, worst


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        ([Acceptance.PASSED, Acceptance.FAILED, Acceptance.UNDECIDED], Acceptance.FAILED),
        ([Acceptance.PASSED, Acceptance.UNDECIDED], Acceptance.UNDECIDED),
        ([Acceptance.PASSED, Acceptance.PASSED], Acceptance.PASSED),
        ([], Acceptance.UNDECIDED),
    ],
)
def test_the_worst_counts(of, verdict):
    assert worst(of) is verdict
