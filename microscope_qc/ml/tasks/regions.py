"""Regions of unusual places as candidates."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.tasks.base import Size

ABOVE = 0.5
"""Confidence from which neighbouring places are one region; weaker ones are regions only where there is none of these.
"""
_MOST = 300
_NEIGHBOURS = 8


def regions_of(sure: np.ndarray, *, cell_px: float, size: Size, least: float) -> np.ndarray:
    """A candidate for every region of connected places, with the confidence of its strongest place.

    Parameters
    ----------
    sure : ndarray of float32, (rows, columns)
        Confidence of each place.
    cell_px
        Side of a place in the tile's pixels.
    size
        Size of the tile in pixels, which the last places may exceed.
    least
        Lowest confidence of a candidate.

    Returns
    -------
    ndarray of CANDIDATE_DTYPE
        At most the 300 strongest, in the tile's pixels.
    """
    found = _connected(sure, max(ABOVE, least))
    if least < ABOVE:
        weak = _connected(sure, least)
        found += [region for region in weak if region[4] < ABOVE]
    found = sorted(found, key=lambda region: -region[4])[:_MOST]
    rows = np.zeros(len(found), CANDIDATE_DTYPE)
    for name, column, limit in (("y0", 0, size[0]), ("x0", 1, size[1]), ("y1", 2, size[0]), ("x1", 3, size[1])):
        rows[name] = np.minimum(np.array([region[column] for region in found], float) * cell_px, limit)
    rows["confidence"] = [region[4] for region in found]
    return rows


def _connected(sure: np.ndarray, level: float) -> list[tuple[int, int, int, int, float]]:
    """y0, x0, y1, x1 in places and the highest confidence of each region of at least a level."""
    import cv2

    above = sure >= level
    if not above.any():
        return []
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(above.astype(np.uint8), connectivity=_NEIGHBOURS)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, numbers[above].astype(np.int64), sure[above])
    return [
        (y, x, y + height, x + width, peak)
        for (x, y, width, height, _), peak in zip(boxes[1:].tolist(), peaks[1:].tolist(), strict=True)
    ]
