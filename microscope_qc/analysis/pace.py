"""How long a user worked, by the times of their steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PAUSE_S = 300.0
"""A user who does nothing for longer than this has paused."""


def working_seconds(times_s: Sequence[float] | np.ndarray, *, pause_s: float = PAUSE_S) -> float | None:
    """Return the time between steps without pauses; None of fewer than two steps, which say nothing.

    Parameters
    ----------
    times_s
        When each step was done, in seconds, in any order.
    """
    if len(times_s) < 2:
        return None
    gaps = np.diff(np.sort(np.asarray(times_s, float)))
    return float(gaps[gaps <= pause_s].sum())
