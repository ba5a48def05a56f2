"""Runs a model on single images, without the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.devices import is_out_of_memory
from microscope_qc.ml.tasks.base import Size, Task, TileResult, require_numbers


def find(task: Task, images: Sequence[np.ndarray]) -> list[TileResult]:
    """Run a task on images; those of equal size are computed together.

    Parameters
    ----------
    images : sequence of ndarray, uint8 (h, w, 3)
        RGB at the model's pixel size.

    Returns
    -------
    list of TileResult
        In the pixels of each image.
    """
    sizes: dict[Size, list[int]] = {}
    for number, image in enumerate(images):
        sizes.setdefault((image.shape[0], image.shape[1]), []).append(number)
    results: dict[int, TileResult] = {}
    for size, numbers in sizes.items():
        (height, width), kind = task.slot(size)
        slots = np.empty((len(numbers), height, width, 3), kind)
        for slot, number in zip(slots, numbers, strict=True):
            task.prepare(images[number], slot)
        output = task.compute(torch.from_numpy(slots), size)
        results.update(zip(numbers, task.results(output, size), strict=True))
    require_numbers(list(results.values()), task.card.name)
    return [results[number] for number in range(len(images))]


class TaskFinder:
    """A task as :class:`microscope_qc.ml.evaluation.on_slides.Finder`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.card: ModelCard = task.card

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Candidates (CANDIDATE_DTYPE) of images, in the pixels of each; in halves where memory is short."""
        try:
            return [found.candidates for found in find(self._task, images)]
        except Exception as error:
            if len(images) == 1 or not is_out_of_memory(error):
                raise
        # outside the except block, because the traceback holds the tensors that fill the memory
        half = len(images) // 2
        return self.find(images[:half]) + self.find(images[half:])


class TaskScorer:
    """A task that slides windows as :class:`microscope_qc.ml.evaluation.on_windows.Scorer`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.card: ModelCard = task.card

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Confidence of each class in each window, (classes, rows, columns)."""
        (result,) = find(self._task, [image])
        assert result.heat is not None  # tasks that slide windows have scores
        return result.heat
