"""How classifiers of textures are trained: windows are described once, and the classifier is fitted to that."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.classifying import WEAKEST, ClassifyingRecipe
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.texture.network import TextureClassifier
from microscope_qc.ml.architectures.texture.settings import TextureSettings
from microscope_qc.ml.architectures.texture.task import TextureTask, grey_of
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.evaluation.report import Report


class TextureRecipe(ClassifyingRecipe[None]):
    """Fits a :class:`TextureClassifier`; there is nothing to do in steps."""

    steps_per_epoch = 1

    def __init__(self, settings: TrainSettings, dataset: Dataset, *, network: TextureSettings, turns: bool) -> None:
        super().__init__(settings, dataset, stride_px=1, turns=turns)
        self._network = network

    def batch(self, step: int) -> None:
        """See :class:`Recipe`; never asked for."""

    def losses(self, network: nn.Module, batch: None, turn: int) -> dict[str, Tensor]:
        """See :class:`Recipe`; never asked for."""
        return {}

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """None."""
        return []

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Describe windows of as many passes as there are epochs, and fit the classifier."""
        classifier = cast(TextureClassifier[Any], network)
        per_pass, batch = self._sampler.windows_per_epoch, self.settings.batch
        total = min(self._network.examples, per_pass * self.settings.epochs)
        steps = math.ceil(total / batch)
        described, labels = [], []
        for step in range(steps):
            yield Progress(step, steps, "steps", "describing textures")
            for window in self._sampler.batch(step, batch):
                described.append(classifier.describe(grey_of(window.pixels)))
                labels.append(window.label)
        yield Progress(steps, steps, "steps", "fitting")
        seen = np.array(labels[:total])
        if len(np.unique(seen)) < 2:
            raise ModelError("There are too few examples to learn from.", hint="Learn from more, in more passes.")
        weights = np.array(self._weights)[seen]
        classifier.learn(np.stack(described[:total]), seen, weights, seed=self.settings.seed)

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; the same as :meth:`measure`."""
        return (yield from self.measure(network, dataset))

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        return report.figures["accuracy"]

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """The card, with what it learned from."""
        yield Progress(0, 0, "steps", "writing the card")
        return self._card(cast(TextureClassifier[Any], network)).model_copy(update={"training": self.about()})

    def task_of(self, network: nn.Module) -> TextureTask:
        """See :class:`ClassifyingRecipe`."""
        classifier = cast(TextureClassifier[Any], network)
        device = next(classifier.buffers()).device
        return TextureTask(self._card(classifier), classifier, device=device, threshold=WEAKEST)

    def _card(self, network: TextureClassifier[Any]) -> ModelCard:
        return self.card(network.settings, mean=(0, 0, 0), std=(1, 1, 1))
