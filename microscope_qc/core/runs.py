"""Masks as run lengths: their box, their borders and their other direction, worked out without unpacking a pixel.

Runs are lengths of off and on pixels by turns, off first, column by column of a given height. A file of a few hundred
bytes may stand for billions of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

MOST_PIECES = 20_000_000
"""Parts of columns, or changes along rows, that are worked out: more do not come from a person or a network."""

Point = tuple[float, float]
Sides = tuple[int, int, int, int]
Pieces = tuple[np.ndarray, np.ndarray, np.ndarray]


def on_runs(counts: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """First pixel and the one after the last of every on run; runs that touch are one."""
    lengths = np.array(counts, np.int64)
    if lengths.ndim != 1:
        raise ValueError("no run lengths")
    ends = np.cumsum(lengths)
    starts, stops = (ends - lengths)[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    return _joined(starts, stops)


def box_of(counts: Iterable[int], height: int) -> Sides | None:
    """Box y0, x0, y1, x1 around the on pixels, None without any."""
    starts, stops = on_runs(counts)
    if not len(starts):
        return None
    first, last = starts // height, (stops - 1) // height
    several = last > first  # such a run has the end of one column and the start of the next
    top = np.where(several, 0, starts % height)
    bottom = np.where(several, height, (stops - 1) % height + 1)
    return int(top.min()), int(first.min()), int(bottom.max()), int(last.max()) + 1


def pieces_of(starts: np.ndarray, stops: np.ndarray, height: int) -> Pieces:
    """Cut runs where a column ends: column, first row and the one after the last of every piece.

    Raises
    ------
    ValueError
        When there are more than :data:`MOST_PIECES`.
    """
    first, last = starts // height, (stops - 1) // height
    count = last - first + 1
    if count.sum() > MOST_PIECES:
        raise ValueError("too large")
    run = np.repeat(np.arange(len(starts)), count)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count)
    top = np.maximum(starts[run] - column * height, 0)
    return column, top, np.minimum(stops[run] - column * height, height)


def counts_of(starts: np.ndarray, stops: np.ndarray, total: int) -> list[int]:
    """Run lengths of on runs in order; those that touch are one."""
    edges = np.stack(_joined(starts, stops), axis=1).ravel()
    counts: list[int] = np.diff(np.concatenate([[0], edges, [total]])).tolist()
    return counts if counts[-1] else counts[:-1]


def _joined(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(starts) < 2:
        return starts, stops
    apart = starts[1:] != stops[:-1]
    return starts[np.append(True, apart)], stops[np.append(apart, True)]


def other_way(counts: Iterable[int], height: int, width: int) -> list[int]:
    """Run lengths row by row of a mask whose run lengths go column by column.

    Raises
    ------
    ValueError
        When there are more than :data:`MOST_PIECES` changes along the rows.
    """
    column, top, bottom = pieces_of(*on_runs(counts), height)
    # a pixel differs from its left neighbour where exactly one of the two columns has an end of a run above it
    line = np.concatenate([column, column, column + 1, column + 1])
    key, times = np.unique(line * (height + 1) + np.concatenate([top, bottom] * 2), return_counts=True)
    key = key[times % 2 == 1]
    line, row = (key // (height + 1))[::2], key % (height + 1)
    first, last = row[::2], row[1::2]
    length = last - first
    if length.sum() > MOST_PIECES:
        raise ValueError("too large")
    rows = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(length.sum())
    changes, times = np.unique(rows * width + np.repeat(line, length), return_counts=True)
    changes = changes[times % 2 == 1]
    lengths: list[int] = np.diff(np.concatenate([[0], changes, [height * width]])).tolist()
    return lengths if lengths[-1] else lengths[:-1]


def borders(counts: Iterable[int], height: int) -> list[tuple[Point, ...]]:
    """Outer border of each part of a mask, along the edges of its pixels, clockwise on screen, as (y, x)."""
    column, top, bottom = pieces_of(*on_runs(counts), height)
    steps: dict[Point, list[Point]] = {}
    for x, y0, y1 in zip(column.tolist(), top.tolist(), bottom.tolist(), strict=True):
        steps.setdefault((y0, x), []).append((y0, x + 1))  # the mask lies to the right of every step
        steps.setdefault((y1, x + 1), []).append((y1, x))
    for x, y0, y1, sign in zip(*_upright(column, top, bottom, height), strict=True):
        begin, end = ((y1, x), (y0, x)) if sign > 0 else ((y0, x), (y1, x))
        steps.setdefault(begin, []).append(end)
    rings: list[tuple[Point, ...]] = []
    for start in sorted(steps):
        while start in steps:
            ring = _walk(start, steps)
            if signed_area(ring) > 0:  # the border of a hole runs the other way
                rings.append(tuple(ring))
    return rings


def _upright(
    column: np.ndarray, top: np.ndarray, bottom: np.ndarray, height: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Upright edges: x, first and last y, and 1 where the mask lies at their right on screen, else -1."""
    line = np.concatenate([column, column, column + 1, column + 1])
    row = np.concatenate([top, bottom] * 2)
    change = np.repeat([1, -1, -1, 1], len(column))
    key, place = np.unique(line * (height + 1) + row, return_inverse=True)
    level = np.cumsum(np.bincount(place, weights=change, minlength=len(key)).astype(np.int64))
    line, row = key // (height + 1), key % (height + 1)
    here = np.flatnonzero(level[:-1] != 0)
    return line[here].tolist(), row[here].tolist(), row[here + 1].tolist(), level[here].tolist()


def _walk(start: Point, steps: dict[Point, list[Point]]) -> list[Point]:
    """One border from ``start`` on; its steps are taken away."""
    ring: list[Point] = []
    here, came = start, (0, 0)
    while here in steps:
        ends = steps[here]
        # where two parts touch at a corner, turn right, so that each part keeps its own border
        end = max(ends, key=partial(_turn_to, here, came))
        ends.remove(end)
        if not ends:
            del steps[here]
        way = _sign(end[0] - here[0]), _sign(end[1] - here[1])
        if way != came:
            ring.append(here)
        here, came = end, way
        if here == start:
            break
    return ring


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _turn_to(here: Point, came: tuple[int, int], end: Point) -> float:
    """How far to the right the path to ``end`` turns."""
    return came[1] * (end[0] - here[0]) - came[0] * (end[1] - here[1])


def signed_area(ring: Sequence[Point]) -> float:
    """Twice the area inside a ring, positive where it runs clockwise on screen."""
    following = [*ring[1:], *ring[:1]]
    return sum(a[1] * b[0] - b[1] * a[0] for a, b in zip(ring, following, strict=True))
