"""Points of curves of an evaluation."""

from __future__ import annotations

import numpy as np

from microscope_qc.ml.evaluation.bootstrap import exact_interval

_MOST_POINTS = 201
_BINS = 10


def thinned(points: np.ndarray) -> list[list[float]]:
    """At most 201 points of a curve, the first and the last among them, with four decimals."""
    kept = np.unique(np.linspace(0, max(len(points) - 1, 0), _MOST_POINTS).astype(int))[: len(points)]
    rounded: list[list[float]] = np.round(points[kept], 4).tolist()
    return rounded


def reliability(score: np.ndarray, right: np.ndarray) -> list[list[float]]:
    """In ten steps of the confidence: mean confidence, share that is right, count, and the interval of the share.

    The interval is that of Clopper and Pearson (1934), for as many independent things.
    """
    bins = np.minimum((score * _BINS).astype(int), _BINS - 1)
    rows = []
    for here in (bins == number for number in range(_BINS)):
        count = int(here.sum())
        if count:
            share = float(right[here].mean())
            rows.append([round(value, 4) for value in (float(score[here].mean()), share, count,
                                                       *exact_interval(share, count))])  # fmt: skip
    return rows
