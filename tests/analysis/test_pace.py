"""The time that a user worked leaves pauses out."""

from __future__ import annotations

import pytest

from microscope_qc.analysis.pace import PAUSE_S, working_seconds


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([], None),
        ([5.0], None),
        ([0, 10, 25], 25),
        ([25, 0, 10], 25),
        ([0, PAUSE_S, 2 * PAUSE_S + 1, 2 * PAUSE_S + 11], PAUSE_S + 10),
        ([0, 0, 0], 0),
    ],
)
def test_pauses_are_no_work(times: list[float], seconds: float | None) -> None:
    assert working_seconds(times) == seconds
