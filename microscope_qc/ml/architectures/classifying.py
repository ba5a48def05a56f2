"""How classifiers of windows or of whole pictures are trained, whatever their network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from torch import nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job
from microscope_qc.ml.architectures.base import NetworkSettings
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.windows import WindowSampler
from microscope_qc.ml.evaluation.classification import ClassTally
from microscope_qc.ml.evaluation.on_windows import tally_windows
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tasks.images import TaskScorer
from microscope_qc.ml.tasks.sliding import SlidingTask
from microscope_qc.ml.tasks.windows import placed_windows

B = TypeVar("B")
Colours = tuple[float, float, float]
NONE = "none"
"""Name of windows that show no defect, among the weights of classes."""
WEAKEST = 0.01
"""Lowest confidence of a candidate while a network is measured."""


class ClassifyingRecipe(Recipe[B]):
    """Trains a classifier.

    Parameters
    ----------
    stride_px
        Of the network.
    turns
        Whether windows are turned by any angle, where there are several classes.
    """

    def __init__(self, settings: TrainSettings, dataset: Dataset, *, stride_px: int, turns: bool) -> None:
        self.settings, self._dataset = settings, dataset
        scales = tuple(dict.fromkeys(settings.scales))
        sampler = self._sampler = WindowSampler(
            dataset, side=settings.crop_px, model_um=settings.pixel_size_um, seed=settings.seed, stride_px=stride_px,
            sampling=settings.sampling, rotate=turns and len(dataset.classes) > 1, largest_scale=max(scales),
        )  # fmt: skip
        if len(np.flatnonzero(sampler.counts)) < 2:
            raise ModelError(
                "There is only one kind of picture to learn from.",
                hint="Add pictures without a defect, or other classes.",
            )
        self._weights = class_weights(
            settings.alpha, dataset.classes, sampler.counts, weighted=settings.loss == "weighted"
        )
        self._windows, self._tile_px, self._overlap_px = placed_windows(
            sampler.picture_side() if sampler.whole else sampler.side, step=settings.window_step, scales=scales,
            stride_px=stride_px, tile_px=settings.tile_px, input_px=sampler.side if sampler.whole else None,
        )  # fmt: skip

    @abstractmethod
    def task_of(self, network: nn.Module) -> SlidingTask:
        """The task of a copy of a network, or of one that it does not change, with candidates from :data:`WEAKEST`."""

    def tally(self, network: nn.Module, dataset: Dataset) -> Job[ClassTally]:
        """Compare the scores of a network with the truth."""
        return (yield from tally_windows(TaskScorer(self.task_of(network)), dataset))

    def measure(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; at the best confidence for the data set, with intervals and curves."""
        tally = yield from self.tally(network, dataset)
        return tally.report(confidence=tally.best_confidence())

    def about(self) -> dict[str, object]:
        """What it learned from, and which losses counted how much."""
        names = [*self._dataset.classes, NONE]
        return {
            "examples": dict(zip(names, self._sampler.counts.tolist(), strict=True)),
            "class_weights": dict(zip(names, self._weights, strict=True)), "sampling": self._sampler.sampling,
        }  # fmt: skip

    def card(self, network: NetworkSettings, *, mean: Colours, std: Colours) -> ModelCard:
        """The card as far as it is known."""
        settings = self.settings
        return ModelCard(
            name=settings.network, task="classify", architecture=settings.network,
            network=network.model_dump(mode="json"), classes=self._dataset.classes,
            class_names=self._dataset.names, pixel_size_um=settings.pixel_size_um, tile_px=self._tile_px,
            overlap_px=self._overlap_px, mean=mean, std=std, confidence=0.5, windows=self._windows,
        )  # fmt: skip


def class_weights(
    alpha: float | Mapping[str, float] | None, classes: Sequence[str], counts: np.ndarray, *, weighted: bool
) -> list[float]:
    """Weight of every class and of "none of them".

    Parameters
    ----------
    alpha
        Weight of every class of defects, where windows that show none have 1; or weights by code, with
        :data:`NONE` for these windows, and 1 for what is not named. None: where ``weighted``, how much rarer a class is
        than the most frequent one.
    counts : ndarray of int, (classes + 1,)
        Examples of each class and of none.

    Raises
    ------
    ModelError
        When there is no such class.
    """
    if isinstance(alpha, Mapping):
        unknown = [code for code in alpha if code not in (*classes, NONE)]
        if unknown:
            raise ModelError(
                f"There is a weight for {unknown[0]}, of which there is nothing to learn from.",
                hint=f"There is: {', '.join([*classes, NONE])}.",
            )
        return [float(alpha.get(code, 1.0)) for code in (*classes, NONE)]
    if alpha is not None:
        return [float(alpha)] * len(classes) + [1.0]
    if not weighted:
        return [1.0] * (len(classes) + 1)
    return [float(counts.max() / count) if count else 1.0 for count in counts]
