"""How classifiers of textures are trained: windows are described once, and the classifier is fitted to that."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.architectures.texture.network import TextureClassifier
from microscope_qc.ml.architectures.texture.settings import TextureSettings
from microscope_qc.ml.architectures.texture.task import TextureTask, grey_of
from microscope_qc.ml.architectures.window_classifier.loss import class_weights
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.windows import WindowSampler
from microscope_qc.ml.evaluation.classification import ClassTally
from microscope_qc.ml.evaluation.on_windows import tally_windows
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tasks.images import TaskScorer
from microscope_qc.ml.tasks.windows import placed_windows

_WEAKEST = 0.01


class TextureRecipe(Recipe[None]):
    """Fits a :class:`TextureClassifier`; there is nothing to do in steps."""

    steps_per_epoch = 1

    def __init__(self, settings: TrainSettings, dataset: Dataset, *, network: TextureSettings) -> None:
        self.settings, self._dataset, self._network = settings, dataset, network
        # not turned by any angle: the pixels in between would be smoother, and with them the texture
        self._sampler = WindowSampler(
            dataset, side=settings.crop_px, model_um=settings.pixel_size_um, seed=settings.seed, stride_px=1,
            sampling=settings.sampling, largest_scale=max(settings.scales),
        )  # fmt: skip
        if len(np.flatnonzero(self._sampler.counts)) < 2:
            raise ModelError(
                "There is only one kind of picture to learn from.",
                hint="Add pictures without a defect, or other classes.",
            )
        self._weights = class_weights(
            settings.alpha, dataset.classes, self._sampler.counts, weighted=settings.loss == "weighted"
        )
        sampler = self._sampler
        self._windows, self._tile_px, self._overlap_px = placed_windows(
            sampler.picture_side() if sampler.whole else sampler.side, step=settings.window_step,
            scales=tuple(dict.fromkeys(settings.scales)), stride_px=1, tile_px=settings.tile_px,
            input_px=sampler.side if sampler.whole else None,
        )  # fmt: skip

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
        """See :class:`Recipe`; at the best confidence, with intervals and curves."""
        tally = yield from self._tally(network, dataset)
        return tally.report(confidence=tally.best_confidence())

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        return report.figures["accuracy"]

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """The card, with what it learned from."""
        yield Progress(0, 0, "steps", "writing the card")
        names = [*self._dataset.classes, "none"]
        training = {
            "examples": dict(zip(names, self._sampler.counts.tolist(), strict=True)),
            "class_weights": dict(zip(names, self._weights, strict=True)), "sampling": self._sampler.sampling,
        }  # fmt: skip
        return self._card(cast(TextureClassifier[Any], network)).model_copy(update={"training": training})

    def _tally(self, network: nn.Module, dataset: Dataset) -> Job[ClassTally]:
        classifier = cast(TextureClassifier[Any], network)
        device = next(classifier.buffers()).device
        task = TextureTask(self._card(classifier), classifier, device=device, threshold=_WEAKEST)
        return (yield from tally_windows(TaskScorer(task), dataset))

    def _card(self, network: TextureClassifier[Any]) -> ModelCard:
        settings = self.settings
        return ModelCard(
            name=settings.network, task="classify", architecture=settings.network,
            network=network.settings.model_dump(mode="json"), classes=self._dataset.classes,
            class_names=self._dataset.names, pixel_size_um=settings.pixel_size_um, tile_px=self._tile_px,
            overlap_px=self._overlap_px, mean=(0, 0, 0), std=(1, 1, 1), confidence=0.5, windows=self._windows,
        )  # fmt: skip
