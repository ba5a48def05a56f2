"""Boxes from class activation maps. No torch in here."""

from __future__ import annotations

import numpy as np


def activation_box(evidence: np.ndarray, side_px: int, *, share: float = 0.45) -> tuple[float, float, float, float]:
    """Box around what a network's decision is based on: the largest connected part above a share of the maximum.

    Parameters
    ----------
    evidence : ndarray, (h, w)
        Class activation map of a window (Zhou et al., CVPR 2016), at the resolution of the network.
    side_px
        Side of the window.
    share
        Share of the difference between maximum and minimum.

    Returns
    -------
    (y0, x0, y1, x1)
        In pixels of the window; the whole window where the map is constant.
    """
    import cv2

    evidence = np.nan_to_num(np.asarray(evidence, np.float32))
    low, high = float(evidence.min()), float(evidence.max())
    if high - low < 1e-6:
        return 0.0, 0.0, float(side_px), float(side_px)
    factor = max(1, 64 // max(evidence.shape))
    size = (evidence.shape[1] * factor, evidence.shape[0] * factor)
    smooth = cv2.resize(evidence, size, interpolation=cv2.INTER_LINEAR)
    above = (smooth >= smooth.min() + share * (smooth.max() - smooth.min())).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(above)
    x, y, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    unit_y, unit_x = side_px / size[1], side_px / size[0]
    return float(y * unit_y), float(x * unit_x), float((y + height) * unit_y), float((x + width) * unit_x)
