"""How a place looks, as one row of numbers: its stored features, pooled. No torch in here."""

from __future__ import annotations

import math

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.geometry import Region
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE
from microscope_qc.ml.features.store import FeatureStore

LENGTH = sum(CHANNELS.values())


def looks_of(store: FeatureStore, boxes: Floats) -> Floats:
    """Mean of the features of both maps within boxes, float32 (n, 432), chunk after chunk of the slide.

    Parameters
    ----------
    boxes : (n, 4)
        y0, x0, y1, x1 in full-resolution pixels; each has at least one cell.
    """
    looks = np.zeros((len(boxes), LENGTH), np.float32)
    chunks = store.grid.from_slide(boxes, stride=FINE)[:, :2] // store.grid.chunk
    for row in np.lexsort(chunks.T[::-1]):
        start = 0
        for stride in (FINE, COARSE):
            y0, x0, y1, x1 = store.grid.from_slide(boxes[row], stride=stride)
            cells = _cells(y0, x0, y1, x1, store.grid.map_shape(stride))
            looks[row, start : start + CHANNELS[stride]] = store.window(cells, stride).mean(
                axis=(0, 1), dtype=np.float32
            )
            start += CHANNELS[stride]
    return looks


def _cells(y0: float, x0: float, y1: float, x1: float, shape: tuple[int, int]) -> Region:
    """The cells that look at a pixel within a box (each looks at its corner), or the one nearest to its middle."""
    sides = []
    for low, high, length in ((y0, y1, shape[0]), (x0, x1, shape[1])):
        first, last = math.ceil(low), math.ceil(high)
        if last <= first:
            first = round((low + high) / 2)
            last = first + 1
        first = min(max(first, 0), length - 1)
        sides.append((first, max(min(last, length), first + 1)))
    return Region(sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def standardised(looks: Floats, *, known: Floats | None = None) -> Floats:
    """Looks with mean 0 and spread 1 of each number over ``known`` (by default themselves), each of length 1."""
    known = looks if known is None else known
    scaled = (looks - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-3)
    lengths: Floats = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: Floats = (scaled / np.maximum(lengths, 1e-9)).astype(np.float32)
    return unit


def nearest(unit: Floats, wanted: Floats, count: int) -> tuple[Ints, Floats]:
    """Rows of ``unit`` most like ``wanted``, all of length 1, and how alike (cosine); the most alike first."""
    alike = unit @ wanted
    count = min(count, len(alike))
    best = np.argpartition(-alike, count - 1)[:count] if count else np.zeros(0, np.int64)
    best = best[np.argsort(-alike[best], kind="stable")]
    return best, alike[best]
