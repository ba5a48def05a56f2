"""How well finds agree with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.core.geometry import iou_matrix


def precision_recall(
    finds: np.ndarray,
    codes: Sequence[str],
    scores: np.ndarray,
    truth: np.ndarray,
    truth_codes: Sequence[str],
    *,
    iou: float = 0.5,
) -> dict[str, Any]:
    """Match finds with the truth and count.

    Finds are taken strongest first; each takes the free true box of its own class that it overlaps most, if the
    intersection over union is at least ``iou`` (the rule of the PASCAL VOC challenge, Everingham et al., IJCV 88 (2010)
    303, with each true box taken once).

    Parameters
    ----------
    finds, truth
        (N, 4) and (M, 4) boxes y0, x0, y1, x1.
    codes, truth_codes
        Their classes.
    scores
        (N,) confidences.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1`` (None where nothing was found or is true), ``true_positives``,
        ``false_positives``, ``missed``, and ``classes`` with the same for each class code.
    """
    names = list(dict.fromkeys([*truth_codes, *codes]))
    find_codes, true_codes = np.array(codes, object), np.array(truth_codes, object)
    boxes, true_boxes = np.reshape(finds, (-1, 4)), np.reshape(truth, (-1, 4))
    per_class = {}
    hits = 0
    for name in names:
        mine, theirs = np.flatnonzero(find_codes == name), np.flatnonzero(true_codes == name)
        matched = _matches(boxes[mine], np.asarray(scores)[mine], true_boxes[theirs], iou)
        hits += matched
        per_class[name] = _counts(matched, len(mine), len(theirs))
    return {**_counts(hits, len(boxes), len(true_boxes)), "iou": iou, "classes": per_class}


def _matches(finds: np.ndarray, scores: np.ndarray, truth: np.ndarray, iou: float) -> int:
    if len(finds) == 0 or len(truth) == 0:
        return 0
    free = np.ones(len(truth), bool)
    for index in np.argsort(-scores, kind="stable"):
        overlap = np.where(free, iou_matrix(finds[index : index + 1], truth)[0], -1.0)
        best = int(np.argmax(overlap))
        if overlap[best] >= iou:
            free[best] = False
    return int((~free).sum())


def _counts(hits: int, found: int, true: int) -> dict[str, Any]:
    return {
        "precision": hits / found if found else None,
        "recall": hits / true if true else None,
        "f1": 2 * hits / (found + true) if found + true else None,
        "true_positives": hits,
        "false_positives": found - hits,
        "missed": true - hits,
    }
