"""Learning rate schedules."""

from __future__ import annotations

import math

WARM_UP = 0.06
"""Share of the training used for the warm-up."""
_FIRST, _LAST = 0.05, 0.01


def warm_up_and_cosine(share: float) -> float:
    """Learning rate as a share of the highest, after a share of the training: a linear rise, then half a cosine."""
    if share < WARM_UP:
        return _FIRST + (1 - _FIRST) * max(share, 0.0) / WARM_UP
    left = (1 + math.cos(math.pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0))) / 2
    return _LAST + (1 - _LAST) * left
