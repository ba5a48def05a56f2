"""The parts of a block's particles: basins of the watershed of the distance to the pores, and how they join.

A block is flooded for itself, without its surroundings; only the distances know them. Where a particle goes on in the
next block, a basin has its summit on the face between them, and joining finds that it is none: its summit is no higher
than the pass to the neighbour. So the order and size of blocks change nothing but the course of some boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Ints

FACES = ((0, 0), (0, -1), (1, 0), (1, -1), (2, 0), (2, -1))
"""Axis and end of the faces of a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """Pairs of basins that touch, and the height of the highest pass between them."""

    first: Ints
    second: Ints
    height: np.ndarray

    @classmethod
    def together(cls, parts: list[Passes]) -> Passes:
        """All of them, each pair once."""
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        return _highest(
            np.concatenate([one.first for one in parts]),
            np.concatenate([one.second for one in parts]),
            np.concatenate([one.height for one in parts]),
        )


def basins(distance: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Flood a block from the summits of the distance: int32 (z, y, x), numbered from 1, 0 outside the mask."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    summits = (ndimage.maximum_filter(distance, size=3, mode="constant") == distance) & mask
    markers, _ = ndimage.label(summits, np.ones((3, 3, 3), bool))
    return np.asarray(watershed(-distance, markers, mask=mask), np.int32)


def summits_of(labels: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Height of the summit of each basin, by its number; index 0 is unused."""
    heights = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(heights, labels.ravel(), distance.ravel())
    heights[0] = 0
    return heights


def passes_within(labels: np.ndarray, distance: np.ndarray) -> Passes:
    """Passes between the basins of a block."""
    parts = []
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        parts.append(_between(labels[tuple(low)], labels[tuple(high)], distance[tuple(low)], distance[tuple(high)]))
    return Passes.together(parts)


def passes_across(here: np.ndarray, there: np.ndarray, distance: np.ndarray, beyond: np.ndarray) -> Passes:
    """Passes through the face between two blocks, of the basins on both its sides, numbered for the whole volume."""
    return _between(here, there, distance, beyond)


def _between(here: np.ndarray, there: np.ndarray, distance: np.ndarray, beyond: np.ndarray) -> Passes:
    differ = (here != there) & (here > 0) & (there > 0)
    first, second = here[differ].astype(np.int64), there[differ].astype(np.int64)
    return _highest(np.minimum(first, second), np.maximum(first, second), np.minimum(distance, beyond)[differ])


def _highest(first: Ints, second: Ints, height: np.ndarray) -> Passes:
    order = np.lexsort((-height, second, first))
    first, second, height = first[order], second[order], height[order]
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return Passes(first[new], second[new], height[new])


def join(
    summits: np.ndarray, passes: Passes, *, depth: float, share: float = 0.0, open_basins: np.ndarray | None = None
) -> Ints:
    """Join basins that no neck tells apart, from the highest pass down.

    At a pass two summits meet; the lower one is a particle of its own when it stands higher above the pass than
    ``depth``, and than ``share`` of its own height. That is the h-maxima transform, with the basins of the joined
    maxima.

    Parameters
    ----------
    summits
        Height of each basin, by its number; index 0 is unused.
    open_basins
        Numbers of basins whose summit may lie outside what is known: nothing is decided about them.

    Returns
    -------
    ndarray
        By the number of a basin, the number of the basin that it belongs to (itself where it stands alone).

    Notes
    -----
    C. Vachier and F. Meyer, "Extinction value: a new measurement of persistence", IEEE Workshop on Nonlinear Signal
    and Image Processing (1995) 254.
    """
    heights = summits.tolist()
    mine = list(range(len(heights)))  # of the particle that a basin belongs to
    above = list(range(len(heights)))  # of what is joined above the present pass; its root is its highest summit
    undecided = [False] * len(heights)
    for basin in () if open_basins is None else open_basins.tolist():
        undecided[basin] = True

    def root(of: list[int], basin: int) -> int:
        while of[basin] != basin:
            of[basin] = of[of[basin]]
            basin = of[basin]
        return basin

    order = np.argsort(-passes.height, kind="stable")
    for first, second, height in zip(
        passes.first[order].tolist(), passes.second[order].tolist(), passes.height[order].tolist(), strict=True
    ):
        high, low = root(above, first), root(above, second)
        if high == low:
            continue
        lower_side = second
        if (heights[low], -low) > (heights[high], -high):
            high, low, lower_side = low, high, first
        stands = heights[low] - height
        if stands <= max(depth, share * heights[low]) and not undecided[low]:
            other = first if lower_side == second else second
            mine[root(mine, lower_side)] = root(mine, other)
        above[low] = high
        undecided[high] = undecided[high] or undecided[low]
    return np.array([root(mine, basin) for basin in range(len(heights))], np.int64)
