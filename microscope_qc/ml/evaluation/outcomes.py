"""What became of each finding and of each true defect: right, wrong box, false, missed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from microscope_qc.core.matching import match_by_score, overlapping_pairs

TOUCHES = 0.1
"""A finding that shares so much with a defect is at the defect, but its box or its class is wrong."""


class Outcome(StrEnum):
    """What a finding, or what was found of a defect, is."""

    RIGHT = "right"
    WRONG_BOX = "wrong box"
    WRONG_CLASS = "wrong class"
    FALSE = "false"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class ImageOutcomes:
    """Findings and true defects of one image, in full-resolution pixels, and what became of them.

    Attributes
    ----------
    boxes, labels, confidence, outcomes
        Of each finding, the strongest first. It is not FALSE where a defect is; a second one of the same defect has a
        WRONG_BOX.
    truth, truth_labels, truth_outcomes
        Of each true defect: RIGHT where it was found, WRONG_BOX or WRONG_CLASS where something else was found there.
    """

    boxes: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    outcomes: tuple[Outcome, ...]
    truth: np.ndarray
    truth_labels: np.ndarray
    truth_outcomes: tuple[Outcome, ...]


def outcomes_of(
    found: tuple[np.ndarray, np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray], *, iou: float
) -> ImageOutcomes:
    """Compare the findings (boxes, labels, confidence) of an image with its true defects (boxes, labels)."""
    boxes, labels, confidence = found
    true_boxes, true_labels = truth
    mine, theirs = match_by_score(boxes, confidence, true_boxes, iou=iou, classes=(labels, true_labels))
    ours = [Outcome.FALSE] * len(boxes)
    known = [Outcome.MISSED] * len(true_boxes)
    for limit, outcome in ((TOUCHES, Outcome.WRONG_BOX), (iou, Outcome.WRONG_CLASS)):
        first, second, _ = overlapping_pairs(boxes, true_boxes, iou=min(limit, iou))
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            if outcome is Outcome.WRONG_BOX or labels[one] != true_labels[other]:
                ours[one] = known[other] = outcome
    for one, other in zip(mine.tolist(), theirs.tolist(), strict=True):
        ours[one] = known[other] = Outcome.RIGHT
    return ImageOutcomes(boxes, labels, confidence, tuple(ours), true_boxes, true_labels, tuple(known))
