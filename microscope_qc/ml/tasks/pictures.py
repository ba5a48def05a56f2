"""Runs a model on single pictures, without the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.base import Found, Size, Task


def find(task: Task, pictures: Sequence[np.ndarray]) -> list[Found]:
    """Run a task on pictures; those of equal size are computed together.

    Parameters
    ----------
    pictures : sequence of ndarray, uint8 (h, w, 3)
        RGB at the model's pixel size.

    Returns
    -------
    list of Found
        In the pixels of each picture.
    """
    sizes: dict[Size, list[int]] = {}
    for number, picture in enumerate(pictures):
        sizes.setdefault((picture.shape[0], picture.shape[1]), []).append(number)
    founds: dict[int, Found] = {}
    for size, numbers in sizes.items():
        (height, width), kind = task.slot(size)
        slots = np.empty((len(numbers), height, width, 3), kind)
        for slot, number in zip(slots, numbers, strict=True):
            task.prepare(pictures[number], slot)
        answers = task.compute(torch.from_numpy(slots), size)
        founds.update(zip(numbers, task.results(answers, size), strict=True))
    return [founds[number] for number in range(len(pictures))]


class TaskFinder:
    """A task as :class:`microscope_qc.ml.evaluation.on_slides.Finder`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.card: ModelCard = task.card

    def find(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Candidates (CANDIDATE_DTYPE) of pictures, in the pixels of each."""
        return [found.candidates for found in find(self._task, pictures)]
