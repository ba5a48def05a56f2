"""How the published detectors are trained: accelerated gradients, a falling rate, and a backbone that begins frozen."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.dense.targets import target_of
from microscope_qc.ml.architectures.detecting import DetectingRecipe
from microscope_qc.ml.architectures.published.detector import PublishedDetector
from microscope_qc.ml.architectures.published.settings import PublishedSettings
from microscope_qc.ml.architectures.published.start import start_whole, take_over
from microscope_qc.ml.architectures.published.task import PublishedTask
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.backbones.trunks import TRUNKS, start_trunk
from microscope_qc.ml.backbones.weights import ABOUT_IMAGENET, IMAGENET
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.crops import TrainingCrop
from microscope_qc.ml.datasets.records import Dataset

_MOMENTUM = 0.9


class PublishedRecipe(DetectingRecipe):
    """Trains a :class:`PublishedDetector`.

    Parameters
    ----------
    trunk
        Name of its backbone.
    decay_steps
        Steps after which the learning rate is 0, unless the training is shorter.
    """

    def __init__(
        self,
        settings: TrainSettings,
        network: PublishedSettings,
        dataset: Dataset,
        *,
        trunk: str,
        stride_px: int,
        decay_steps: int,
    ) -> None:
        kind = TRUNKS[trunk]
        super().__init__(settings, dataset, stride_px=stride_px, normalisation=(kind.mean, kind.std))
        self._network, self._trunk, self._stride_px, self._decay_steps = network, trunk, stride_px, decay_steps
        self._frozen_share = network.frozen_share if network.trained_before and not network.detector else 0.0

    def adopt(self, card: ModelCard) -> None:
        """See :class:`Recipe`; all of a model is trained on, from the first step."""
        super().adopt(card)
        self._frozen_share = 0.0

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Load the weights that the network starts from."""
        yield Progress(0, 0, "steps", "loading the weights it starts from")
        detector = cast(PublishedDetector, network)
        if self._network.detector:
            start_whole(detector, Path(self._network.detector))
        else:
            start_trunk(detector.body, self._trunk, self._network.backbone)

    def notes(self) -> list[str]:
        """See :class:`Recipe`."""
        if self._network.trained_before:
            return []
        return [
            f"{TRUNKS[self._trunk].title} starts from random weights, so it needs many pictures and a long training."
        ]

    def take_over(self, network: nn.Module, before: nn.Module, card: ModelCard) -> None:
        """All layers, and of those that tell classes apart what belongs to a class that both know."""
        old, new = cast(PublishedDetector, before), cast(PublishedDetector, network)
        take_over(new, old, card, classes=self._dataset.classes)

    def before_step(self, network: nn.Module, share: float) -> None:
        """Keep a backbone as it is at first, so that the errors of new layers do not spoil it."""
        learns = share >= self._frozen_share
        for parameter in cast(PublishedDetector, network).body.parameters():
            parameter.requires_grad_(learns)

    def losses(self, network: nn.Module, batch: list[TrainingCrop], turn: int) -> dict[str, Tensor]:
        """See :class:`Recipe`."""
        device = next(network.parameters()).device
        mean = np.array(self._mean) * 255
        images = self.normalised([painted_over(crop, mean) for crop in batch], device)
        targets = [target_of(crop) for crop in batch]
        return cast(
            dict[str, Tensor],
            network(images, [{"boxes": one.boxes.to(device), "labels": one.labels.to(device) + 1} for one in targets]),
        )

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """See :class:`Recipe`: Nesterov's accelerated gradients."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        return [torch.optim.SGD(network.parameters(), lr=rate, momentum=_MOMENTUM, nesterov=True, weight_decay=decay)]

    def rate(self, share: float) -> float:
        """See :class:`Recipe`: a polynomial of the second degree, down to 0."""
        steps = self.steps_per_epoch * self.settings.epochs
        if self.settings.minutes is None and steps > self._decay_steps:
            share *= steps / self._decay_steps
        return (1 - min(share, 1.0)) ** 2

    def task_of(self, network: nn.Module, card: ModelCard, *, threshold: float) -> PublishedTask:
        """See :class:`DetectingRecipe`."""
        return PublishedTask(
            card, cast(PublishedDetector, network), device=next(network.parameters()).device, threshold=threshold,
            stride=self._stride_px,
        )  # fmt: skip

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Say in the card where the weights come from."""
        yield from ()
        card, settings = self.card(network), self._network
        title, told = TRUNKS[self._trunk].title, None
        if settings.detector:
            told = f"Started from the detector in {Path(settings.detector).name}, whose terms apply."
        elif settings.backbone == IMAGENET:
            told = ABOUT_IMAGENET
        elif settings.trained_before:
            told = f"Backbone: {title} with the weights of {Path(settings.backbone).name}, whose terms apply."
        return card if told is None else card.model_copy(update={"training": {"backbone": told}})


def painted_over(crop: TrainingCrop, colour: np.ndarray) -> TrainingCrop:
    """A crop with its places that do not count in one colour, except where a defect is.

    torchvision's losses take everything that is no defect for background.
    """
    if not len(crop.ignore):
        return crop
    pixels = crop.pixels.copy()
    for y0, x0, y1, x1 in _whole_pixels(crop.ignore):
        pixels[y0:y1, x0:x1] = colour
    for y0, x0, y1, x1 in _whole_pixels(crop.boxes):
        pixels[y0:y1, x0:x1] = crop.pixels[y0:y1, x0:x1]
    return TrainingCrop(pixels, crop.boxes, crop.labels, crop.ignore, crop.pasted)


def _whole_pixels(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(int)
