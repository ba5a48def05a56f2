"""How well findings agree with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.core.matching import match_by_score


def precision_recall(
    findings: np.ndarray,
    codes: Sequence[str],
    scores: np.ndarray,
    truth: np.ndarray,
    truth_codes: Sequence[str],
    *,
    iou: float = 0.5,
) -> dict[str, Any]:
    """Match findings with the truth and count.

    Findings are taken strongest first; each takes the free true box of its own class that it overlaps most, if the
    intersection over union is at least ``iou`` (the rule of the PASCAL VOC challenge, Everingham et al., IJCV 88 (2010)
    303, with each true box taken once).

    Parameters
    ----------
    findings, truth
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
    boxes, true_boxes = np.reshape(findings, (-1, 4)), np.reshape(truth, (-1, 4))
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array([numbers[c] for c in codes], int), np.array([numbers[c] for c in truth_codes], int)
    matched, _ = match_by_score(boxes, np.asarray(scores), true_boxes, iou=iou, classes=classes)
    hits, found, true = (np.bincount(of, minlength=len(names)) for of in (classes[0][matched], *classes))
    per_class = {name: _counts(int(hits[i]), int(found[i]), int(true[i])) for name, i in numbers.items()}
    return {**_counts(len(matched), len(boxes), len(true_boxes)), "iou": iou, "classes": per_class}


def _counts(hits: int, found: int, true: int) -> dict[str, Any]:
    return {
        "precision": hits / found if found else None,
        "recall": hits / true if true else None,
        "f1": 2 * hits / (found + true) if found + true else None,
        "true_positives": hits,
        "false_positives": found - hits,
        "missed": true - hits,
    }
