"""Classes of windows of an image whose defects have boxes.

A window is of a class when at least half of a defect lies in it, or half of it lies in a defect; of several classes it
is that of which it shows most. Windows that show less of a defect, or a place of which nobody has said what it is, do
not count.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from microscope_qc.core.arrays import Flags, Ints

_HALF = 0.5


class Annotated(Protocol):
    """An image with boxes, all in the same pixels."""

    @property
    def boxes(self) -> np.ndarray:
        """y0, x0, y1, x1 of its defects, (n, 4)."""

    @property
    def labels(self) -> np.ndarray:
        """Their classes, (n,)."""

    @property
    def open_boxes(self) -> np.ndarray:
        """Places of which nobody has said what they are, (k, 4)."""


def window_labels(windows: np.ndarray, image: Annotated, *, none: int) -> tuple[Ints, Flags]:
    """True class of each window (n,), ``none`` where it shows nothing, and whether it counts (n,).

    Parameters
    ----------
    windows : ndarray, (n, 4)
        y0, x0, y1, x1 in the pixels of the image.
    """
    labels = np.full(len(windows), none, np.int64)
    counts: Flags = np.all(_shared(windows, image.open_boxes) <= 0, axis=1)
    if not len(image.boxes):
        return labels, counts
    shared = _shared(windows, image.boxes)
    areas = np.minimum(_areas(windows)[:, None], _areas(image.boxes)[None])
    shown = shared >= _HALF * np.maximum(areas, 1e-9)
    strongest = np.where(shown, shared, 0).argmax(axis=1)
    true = shown.any(axis=1)
    labels[true] = image.labels[strongest[true]]
    counts &= true | ~(shared > 0).any(axis=1)
    return labels, counts


def _shared(windows: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixels that each window and each box share, (n, k)."""
    low = np.maximum(windows[:, None, :2], boxes[None, :, :2])
    high = np.minimum(windows[:, None, 2:], boxes[None, :, 2:])
    shared: np.ndarray = np.prod(np.maximum(high - low, 0), axis=2)
    return shared


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return areas
