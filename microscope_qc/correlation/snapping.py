"""The exact place of a mark near a click: a corner, the crossing of two lines, the middle of an indent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats

SHARPEST = 0.2
"""Both edges of a corner must be this strong, as a share of the strongest gradient near it."""
CLEAREST = 12
"""A corner must stand out from its surroundings by this factor; in noise alone none does by more than about 5."""
WINDOWS = (4, 2)
"""The fit looks this share of the radius around a corner, first far, then near."""


@dataclass(frozen=True, slots=True)
class Snap:
    """Where a mark lies, (y, x) in pixels of the picture, and how far that is from the click."""

    y: float
    x: float
    moved_px: float


def snapped(grey: np.ndarray, y: float, x: float, *, radius_px: float) -> Snap | None:
    """Return the corner or crossing nearest to a place; None where there is none within ``radius_px``.

    Parameters
    ----------
    grey
        (height, width) picture around the place, any number type.

    Notes
    -----
    The corner is where all gradients around it point past: the least squares of W. Foerstner and E. Guelch, "A fast
    operator for detection and precise location of distinct points, corners and centres of circular features", ISPRS
    Intercommission Workshop (1987), as OpenCV's cornerSubPix solves it. Lines that cross and the diagonals of an indent
    have their crossing there.
    """
    import cv2

    picture = _normalised(grey)
    smooth = cv2.GaussianBlur(picture, (0, 0), max(radius_px / 20, 0.8))
    response = cv2.cornerMinEigenVal(smooth, blockSize=max(3, int(radius_px / 5) | 1))
    rows, columns = np.indices(response.shape)
    away = np.hypot(rows - y, columns - x)
    near = np.where(away <= radius_px, response * np.exp(-((away / radius_px) ** 2)), 0.0)
    best = np.unravel_index(int(np.argmax(near)), near.shape)
    edges = cv2.cornerEigenValsAndVecs(smooth, max(3, int(radius_px / 5) | 1), 3)[..., :2]
    if not response[best] > max(SHARPEST**2 * edges.max(), CLEAREST * np.median(response), 1e-12):
        return None
    place: np.ndarray = np.array([[[best[1], best[0]]]], np.float32)
    for share in WINDOWS:
        half = max(2, round(radius_px / share))
        if min(*picture.shape) < 2 * half + 5:
            continue
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 50, 0.005)
        place = cv2.cornerSubPix(smooth, place, (half, half), (-1, -1), criteria)
    found_x, found_y = (float(value) for value in place[0, 0])
    moved = float(np.hypot(found_y - y, found_x - x))
    return Snap(found_y, found_x, moved) if moved <= radius_px else None


def _normalised(grey: np.ndarray) -> Floats:
    """From 0 to 1 as OpenCV wants it, without the outermost values of a few pixels."""
    low, high = np.percentile(grey, (1, 99))
    scaled: Floats = np.clip((grey.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)
    return scaled
