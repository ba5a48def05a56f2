"""Two runs over one slide beside each other: what both found, and what only one of them did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import touching_pairs
from microscope_qc.project import Project


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Ids of boxes: ``both`` (N, 2) holds a find of the first run and the same one of the second."""

    both: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray


def compare_runs(
    project: Project, first: int, second: int, *, iou: float = 0.5, min_confidence: float | None = None
) -> RunComparison:
    """Match the finds of two runs, whatever their classes, the best overlap first.

    Parameters
    ----------
    first, second
        Ids of runs over the same slide; whether they are shown does not matter.
    iou
        Overlap (intersection over union) from which two boxes are the same find.
    min_confidence
        Weaker finds are left out; the project's filter without it.

    Raises
    ------
    InputError
        When the runs are over different slides.
    """
    runs = project.run(first), project.run(second)
    if runs[0].slide_id != runs[1].slide_id:
        raise InputError("The two detections are on different slides.", hint="Choose two of the same slide.")
    least = project.filter.min_confidence if min_confidence is None else min_confidence
    rows = project.boxes(runs[0].slide_id).rows
    sides = [rows[(rows["run_id"] == run.id) & (rows["confidence"] >= least)] for run in runs]
    one, other = _matches(_corners(sides[0]), _corners(sides[1]), iou)
    both = np.stack([sides[0]["id"][one], sides[1]["id"][other]], axis=1)
    return RunComparison(
        both, np.delete(sides[0]["id"], one).astype(np.int64), np.delete(sides[1]["id"], other).astype(np.int64)
    )


def _corners(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows[name].astype(float) for name in ("y0", "x0", "y1", "x1")], axis=1)


def _matches(first: np.ndarray, second: np.ndarray, iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of boxes that belong together, each used once."""
    low, high = touching_pairs(np.concatenate([first, second]))
    across = (low < len(first)) & (high >= len(first))
    one, other = low[across], high[across] - len(first)
    height = np.minimum(first[one, 2], second[other, 2]) - np.maximum(first[one, 0], second[other, 0])
    width = np.minimum(first[one, 3], second[other, 3]) - np.maximum(first[one, 1], second[other, 1])
    shared = height * width
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    overlap = shared / np.maximum(areas[0][one] + areas[1][other] - shared, 1e-9)
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for index in np.lexsort((other, one, -overlap)):
        a, b = int(one[index]), int(other[index])
        if overlap[index] < iou:
            break
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            pairs.append((a, b))
    matched = np.array(pairs, np.int64).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]
