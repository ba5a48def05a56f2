"""A short route through the places to visit."""

from __future__ import annotations

import numpy as np

MAX_SWEEPS = 30
MAX_IMPROVED = 400
"""Beyond this many places the nearest-neighbour route is not improved: each sweep compares all pairs."""


def short_route(points: np.ndarray, *, start: np.ndarray | None = None) -> np.ndarray:
    """Order (n,) of points (n, 2) that makes a short open route: nearest neighbour, then 2-opt.

    Parameters
    ----------
    start
        Where the route begins, e.g. the first mark; None begins at the first point.
    """
    points = np.asarray(points, float)
    count = len(points)
    if count < 2:
        return np.arange(count)
    here = points[0] if start is None else np.asarray(start, float)
    left = np.ones(count, bool)
    order = np.empty(count, np.int64)
    for place in range(count):
        distance = np.where(left, np.hypot(*(points - here).T), np.inf)
        order[place] = int(np.argmin(distance))
        left[order[place]] = False
        here = points[order[place]]
    return two_opt(points, order, start) if count <= MAX_IMPROVED else order


def route_length(points: np.ndarray, order: np.ndarray, *, start: np.ndarray | None = None) -> float:
    """Length of the route, in the unit of the points."""
    way = np.asarray(points, float)[order]
    if start is not None:
        way = np.vstack([np.asarray(start, float), way])
    return float(np.hypot(*np.diff(way, axis=0).T).sum())


def two_opt(points: np.ndarray, order: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """Reverse stretches of an open route until none shortens it any more: the start stays, the end is free.

    Parameters
    ----------
    order
        Route to improve, as numbers of points.
    start
        Where the route begins; None begins at the first point of ``order``, which stays first.

    Notes
    -----
    2-opt after G. A. Croes, "A method for solving traveling-salesman problems", Operations Research 6 (1958) 791; a
    stretch that reaches the end has no leg after it.
    """
    nodes = np.vstack([points[order[0]] if start is None else np.asarray(start, float), points])
    way = np.concatenate([[0], order + 1])
    if start is None:
        way = np.concatenate([[order[0] + 1], order[1:] + 1])
    for _ in range(MAX_SWEEPS):
        better = False
        for i in range(len(way) - 2):
            here, after = nodes[way[i]], nodes[way[i + 1]]
            ends = nodes[way[i + 2 :]]
            beyond = np.vstack([ends[1:], ends[-1:]])
            now = np.hypot(*(after - here)) + np.hypot(*(beyond - ends).T)
            turned = np.hypot(*(ends - here).T) + np.hypot(*(beyond - after).T)
            turned[-1] = np.hypot(*(ends[-1] - here))  # the route ends there: no leg beyond it
            gain = now - turned
            best = int(np.argmax(gain))
            if gain[best] > 1e-9:
                way[i + 1 : i + 3 + best] = way[i + 1 : i + 3 + best][::-1].copy()
                better = True
        if not better:
            break
    return way - 1 if start is None else way[1:] - 1
