"""One score for a whole picture from the scores of its places. No torch in here."""

from __future__ import annotations

import numpy as np

STRONGEST = 10
"""Places that make the score of a picture: one alone may be noise."""


def picture_score(distances: np.ndarray) -> float:
    """Mean of the strongest places of a picture (rows, columns), less the median of all.

    Without the median, pictures of a coarser structure would score higher everywhere.
    """
    flat = np.sort(np.asarray(distances, float).ravel())
    return float(flat[-STRONGEST:].mean() - np.median(flat))
