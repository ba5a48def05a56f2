"""Whether pictures have an up and a down, by the shapes of their defects."""

from __future__ import annotations

import numpy as np

from microscope_qc.ml.datasets.records import Dataset

_CHANCE = 1e-3
_LEAST_PICTURES = 5


def have_a_direction(dataset: Dataset) -> bool:
    """Whether the boxes of a class are higher than wide, or the reverse, more often than chance does it.

    The test is Student's, on the mean logarithm of height by width in each picture with boxes of the class: boxes of
    one picture are not independent. Its level of 0.1 % is divided by the number of classes (Bonferroni).
    """
    from scipy.stats import t

    for label in range(len(dataset.classes)):
        means = []
        for image in dataset.images:
            boxes = image.boxes[image.labels == label]
            if len(boxes):
                height, width = (boxes[:, 2:] - boxes[:, :2]).T
                means.append(float(np.log(height / width).mean()))
        if len(means) < _LEAST_PICTURES:
            continue
        error = max(float(np.std(means, ddof=1)) / np.sqrt(len(means)), 1e-9)
        chance = 2 * float(t.sf(abs(float(np.mean(means))) / error, len(means) - 1))
        if chance < _CHANCE / len(dataset.classes):
            return True
    return False
