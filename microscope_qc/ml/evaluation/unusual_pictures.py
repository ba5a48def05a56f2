"""How unusual a whole picture is, from how unusual its places are. No torch in here."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.arrays import Flags

STRONGEST = 5
"""A picture is as unusual as so many of its most unusual places are on average: a single one may be noise."""
BORDER_PX = 16
"""Places nearer to the border of a picture, where a model sees less, are left out, in pixels of the model."""
LARGEST_CELL_PX = 16
"""Larger places are windows, of which one shows all of a defect: there the strongest counts."""
_LEAST_LEFT = 0.5


def away_from_border(places: np.ndarray, length: float) -> Flags:
    """Which places along a side of a picture count; of a small picture the middle half.

    Parameters
    ----------
    places
        Their middles, in the same pixels as ``length``, the side of the picture; those of the model.
    """
    border = min(BORDER_PX, (1 - _LEAST_LEFT) / 2 * length)
    inside: Flags = (places >= border) & (places < length - border)
    return inside


def picture_score(places: np.ndarray) -> float:
    """Mean of the strongest places (n,), of at least one."""
    count = min(STRONGEST, places.size)
    return float(np.partition(places.ravel(), places.size - count)[places.size - count :].mean())
