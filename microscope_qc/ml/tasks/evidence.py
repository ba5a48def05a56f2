"""What a model of windows takes a picture for, and where in it: class activation maps of the likeliest classes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from microscope_qc.ml.tasks.activation import activation_box
from microscope_qc.ml.tasks.sliding import SlidingTask

TOP = 3


@dataclass(frozen=True, slots=True)
class ClassEvidence:
    """What speaks for a class in a picture.

    Attributes
    ----------
    code, name
        The class.
    confidence
        0 to 1.
    heat : ndarray of float32, (h, w)
        From 0, where least of the picture speaks for the class, to 1.
    box
        y0, x0, y1, x1 in pixels of the picture, around the largest part above the model's share of the maximum.
    """

    code: str
    name: str
    confidence: float
    heat: np.ndarray
    box: tuple[float, float, float, float]


def evidence_of(task: SlidingTask, picture: np.ndarray, *, most: int = TOP) -> list[ClassEvidence]:
    """The likeliest classes of a picture, seen as one window, the likeliest first.

    After Zhou et al., "Learning Deep Features for Discriminative Localization" (CVPR 2016).

    Parameters
    ----------
    picture : ndarray, uint8 (h, w, 3)
        At about the model's pixel size; as large as one of its windows, or scaled to that.
    most
        How many classes.

    Raises
    ------
    ModelError
        When the model computes values that are not numbers.
    """
    confidences, maps = task.look(picture)
    height, width = picture.shape[:2]
    found = []
    for label in np.argsort(-confidences, kind="stable")[:most].tolist():
        evidence = np.asarray(task.evidence(maps, label), np.float32)
        low, high = float(evidence.min()), float(evidence.max())
        heat = (evidence - low) / (high - low) if high > low else np.zeros_like(evidence)
        box = activation_box(evidence, 1, share=task.windows.cam_share)
        found.append(ClassEvidence(
            task.card.classes[label], task.card.class_names[label], float(confidences[label]),
            cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR),
            (box[0] * height, box[1] * width, box[2] * height, box[3] * width),
        ))  # fmt: skip
    return found
