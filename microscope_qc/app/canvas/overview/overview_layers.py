"""Layers of the overview map: findings as dots in the colours of their classes, a veil over what was not viewed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from qtpy.QtGui import QImage

from microscope_qc.core.boxes import ReviewState

DOT_POINTS = 3
"""Side of a dot on screen; findings that share a dot mix their colours."""
REJECTED = (150, 150, 150)
SINGLE = 0.72
"""Opacity of one finding; each further one covers the same share of what is left."""
VEIL = (245, 247, 250, 135)


def dots_image(
    rows: np.ndarray | Mapping[str, np.ndarray],
    colours: Mapping[int, tuple[int, int, int]],
    shape: tuple[int, int],
    *,
    grid: tuple[int, int],
) -> QImage:
    """Findings as an image of ``grid`` (rows, columns) cells, however many there are.

    Parameters
    ----------
    rows
        Box rows that are shown, or their columns y0, x0, y1, x1, class_id and state.
    colours
        Red, green and blue of each class number.
    shape
        Height and width of the slide in px.
    """
    high, wide = grid
    y = ((rows["y0"] + rows["y1"]) * (0.5 * high / shape[0])).astype(np.intp)
    x = ((rows["x0"] + rows["x1"]) * (0.5 * wide / shape[1])).astype(np.intp)
    cell = np.clip(y, 0, high - 1) * wide + np.clip(x, 0, wide - 1)
    palette = np.array([*colours.values(), REJECTED], np.float64)
    places = np.full(max(colours, default=0) + 2, len(colours))
    places[list(colours)] = np.arange(len(colours))
    kind = places[np.clip(rows["class_id"], 0, len(places) - 1)]
    kind[rows["state"] == ReviewState.REJECTED] = len(colours)
    count = np.bincount(cell, minlength=high * wide)
    pixels = np.zeros((high * wide, 4), np.uint8)
    some = count > 0
    for band in range(3):
        total = np.bincount(cell, palette[kind, band], minlength=high * wide)
        pixels[some, 2 - band] = total[some] / count[some]
    pixels[:, 3] = 255 * (1 - (1 - SINGLE) ** np.minimum(count, 16))
    return _image(pixels.reshape(high, wide, 4))


def veil_image(cells: np.ndarray) -> QImage:
    """A light veil where ``cells`` (rows, columns) is False."""
    red, green, blue, alpha = VEIL
    pixels = np.zeros((*cells.shape, 4), np.uint8)
    pixels[~cells] = (blue, green, red, alpha)
    return _image(pixels)


def _image(pixels: np.ndarray) -> QImage:
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32).copy()
