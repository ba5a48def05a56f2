"""Members of a group that are unlike the others, where the others themselves say how much they differ."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.arrays import Floats, Ints

FARTHEST = 3.5
"""Deviations from the median, in robust standard deviations, that are no chance (Iglewicz and Hoaglin)."""
FEWEST = 5
"""Of fewer members nothing says how much they differ."""
_TO_SIGMA = 1.4826
"""Of the median absolute deviation of a normal distribution."""


def unlike_others(values: Floats, *, least: float) -> Ints:
    """Return for each member the column in which it is farthest from the others, -1 where it is like them.

    Parameters
    ----------
    values
        A row for each member, shape (n, k).
    least
        Deviations are counted at least in these units: what is measured no more exactly is no difference.

    Notes
    -----
    The modified score 0.6745 (x - median) / MAD with the limit 3.5: B. Iglewicz, D. C. Hoaglin, "How to Detect and
    Handle Outliers", ASQC Quality Press (1993).

    Examples
    --------
    >>> unlike_others(np.array([[50.0], [51.0], [50.5], [49.0], [50.0], [80.0]]), least=1.0).tolist()
    [-1, -1, -1, -1, -1, 0]
    """
    if len(values) < FEWEST or not values.shape[1]:
        return np.full(len(values), -1, np.int64)
    away = np.abs(values - np.median(values, axis=0))
    scores = away / np.maximum(_TO_SIGMA * np.median(away, axis=0), least)
    farthest: Ints = np.where(scores.max(axis=1) > FARTHEST, scores.argmax(axis=1), -1)
    return farthest
