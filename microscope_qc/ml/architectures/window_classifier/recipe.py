"""How classifiers of windows are trained: Nesterov's gradient, a rate that falls in steps, best F1 kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.base import NetworkSettings
from microscope_qc.ml.architectures.classifying import WEAKEST, ClassifyingRecipe, Colours
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.window_classifier.loss import classification_loss
from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier
from microscope_qc.ml.architectures.window_classifier.task import WindowTask
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.windows import TrainingWindow
from microscope_qc.ml.devices import autocast
from microscope_qc.ml.evaluation.report import Report

IMAGENET_MEAN: Colours = (0.485, 0.456, 0.406)
IMAGENET_STD: Colours = (0.229, 0.224, 0.225)
_MOMENTUM = 0.9
_FALLS_EVERY, _FALLS_TO = 20, 0.75
"""Epochs after which the learning rate falls, and to which share of it."""
_USUAL_EPOCHS = 60
"""Of a training that is limited by its time."""
_SETTLING_BATCHES = 8
"""From which the statistics of normalisations are computed."""


class WindowRecipe(ClassifyingRecipe[list[TrainingWindow]]):
    """Trains a :class:`WindowClassifier`.

    Parameters
    ----------
    network
        Settings of the network.
    begin
        Gives a network the weights that it starts from, and says where they come from.
    normalisation
        Mean and standard deviation of the colours (0 to 1).
    stride_px, turns
        As for :class:`ClassifyingRecipe`.
    """

    def __init__(
        self,
        settings: TrainSettings,
        dataset: Dataset,
        *,
        network: NetworkSettings,
        begin: Callable[[WindowClassifier], str],
        normalisation: tuple[Colours, Colours],
        stride_px: int,
        turns: bool,
    ) -> None:
        super().__init__(settings, dataset, stride_px=stride_px, turns=turns)
        self._network, self._begin = network, begin
        self.steps_per_epoch = max(1, math.ceil(self._sampler.windows_per_epoch / settings.batch))
        self._mean, self._std = normalisation
        self._gamma = settings.gamma if settings.loss == "focal" else 0.0
        self._about = ""

    def batch(self, step: int) -> list[TrainingWindow]:
        """See :class:`Recipe`."""
        return self._sampler.batch(step, self.settings.batch)

    def losses(self, network: nn.Module, batch: list[TrainingWindow], turn: int) -> dict[str, Tensor]:
        """See :class:`Recipe`; one loss, as the settings say."""
        classifier = cast(WindowClassifier, network)
        device = classifier.decide.weight.device
        with autocast(device):
            logits = classifier(self._images(classifier, batch))
        labels = torch.tensor([window.label for window in batch], device=device)
        weights = torch.tensor(self._weights, device=device)
        return {"classes": classification_loss(logits, labels, weights=weights, gamma=self._gamma)}

    def _images(self, network: WindowClassifier, batch: list[TrainingWindow]) -> Tensor:
        """Normalised windows (B, 3, side, side) on the network's device."""
        device = network.decide.weight.device
        images = torch.from_numpy(np.stack([window.pixels for window in batch])).to(device)
        images = images.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) * 255 for v in (self._mean, self._std))
        normalised: Tensor = (images - mean) / std
        return normalised

    def pieces(self, batch: list[TrainingWindow], count: int) -> list[tuple[list[TrainingWindow], float]]:
        """See :class:`Recipe`."""
        size = math.ceil(len(batch) / count)
        parts = [batch[start : start + size] for start in range(0, len(batch), size)]
        return [(part, len(part) / len(batch)) for part in parts]

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """Gradient descent with Nesterov's momentum, over all layers."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        return [torch.optim.SGD(network.parameters(), rate, momentum=_MOMENTUM, weight_decay=decay, nesterov=True)]

    def rate(self, share: float) -> float:
        """It falls every twenty epochs, or at each third of a training that is limited by its time."""
        epochs = self.settings.epochs if self.settings.minutes is None else _USUAL_EPOCHS
        # a hair more, as the share of whole epochs is not exact
        return float(_FALLS_TO ** int((share + 1e-9) * epochs / _FALLS_EVERY))

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Load the weights that the network starts from."""
        yield Progress(0, 0, "steps", "loading the backbone")
        classifier = cast(WindowClassifier, network)
        self._about = self._begin(classifier)
        if not self._about:
            self.settle(classifier)

    def settle(self, network: nn.Module) -> None:
        """Compute the statistics of the normalisations for these weights, as after every averaging of weights.

        Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (UAI 2018). Those that
        are kept as they were trained before stay.
        """
        classifier, was = cast(WindowClassifier, network), network.training
        classifier.train()
        layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d) and layer.training]
        usual = [layer.momentum for layer in layers]
        with torch.no_grad():
            for step in range(_SETTLING_BATCHES if layers else 0):
                for layer in layers:
                    layer.momentum = 1 / (1 + step)
                classifier(self._images(classifier, self.batch(step)))
        for layer, momentum in zip(layers, usual, strict=True):
            layer.momentum = momentum
        network.train(was)

    def adopt(self, card: ModelCard) -> None:
        """See :class:`Recipe`."""
        self._mean, self._std = card.mean, card.std

    @torch.no_grad()
    def take_over(self, network: nn.Module, before: nn.Module, card: ModelCard) -> None:
        """All convolutions, and the outputs of classes that both know.

        Where they have no class in common, as with a classifier that told apart only good and bad, the last layer
        starts from random weights (Xavier's).
        """
        own, trained = cast(WindowClassifier, network), cast(WindowClassifier, before)
        own.features.load_state_dict(trained.features.state_dict())
        both = [
            (place, card.classes.index(code))
            for place, code in enumerate(self._dataset.classes)
            if code in card.classes
        ]
        both += [(len(self._dataset.classes), len(card.classes))] if both else []
        for mine, theirs in both:
            own.decide.weight[mine] = trained.decide.weight[theirs].to(own.decide.weight)
            own.decide.bias[mine] = trained.decide.bias[theirs].to(own.decide.bias)

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; measured at the best confidence for the data set."""
        tally = yield from self.tally(network, dataset)
        return tally.report(confidence=tally.best_confidence(), complete=False)

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        known = [report.figures[name] for name in ("f1", "accuracy") if math.isfinite(report.figures[name])]
        return sum(known)

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """The card, with what it learned from and which losses counted how much."""
        yield Progress(0, 0, "steps", "writing the card")
        about = {"backbone": self._about} if self._about else {}
        return self._card().model_copy(update={"training": self.about() | about})

    def task_of(self, network: nn.Module) -> WindowTask:
        """See :class:`ClassifyingRecipe`."""
        classifier = copy.deepcopy(cast(WindowClassifier, network))
        return WindowTask(self._card(), classifier, device=classifier.decide.weight.device, threshold=WEAKEST)

    def _card(self) -> ModelCard:
        return self.card(self._network, mean=self._mean, std=self._std)
