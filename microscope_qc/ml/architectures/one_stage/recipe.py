"""How the one-stage detector is trained: the backbone slowly, the rest quickly."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.dense.detector import DenseDetector
from microscope_qc.ml.architectures.dense.recipe import DenseRecipe, parameter_groups
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.one_stage.loss import detection_loss
from microscope_qc.ml.architectures.one_stage.network import OneStage
from microscope_qc.ml.architectures.one_stage.settings import OneStageSettings
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.backbones.weights import ABOUT_IMAGENET, IMAGENET, MEAN, RANDOM, STD, start_from
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import Dataset

_BACKBONE_RATE = 0.2
"""Learning rate of a backbone that has been trained before, as a share of the rest's."""


class OneStageRecipe(DenseRecipe):
    """Trains a :class:`OneStage`."""

    def __init__(self, settings: TrainSettings, network: OneStageSettings, dataset: Dataset) -> None:
        self._network = network
        kept = None if network.backbone == RANDOM else (MEAN, STD)
        super().__init__(settings, dataset, normalisation=kept, stride_px=network.stride_px)
        self._places: Tensor | None = None

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Load the weights that the backbone starts from."""
        yield Progress(0, 0, "steps", "loading the backbone")
        start_from(cast(OneStage, network).trunk, self._network.backbone)

    def loss(
        self, network: DenseDetector, logits: Tensor, values: Tensor, targets: list[BoxTarget]
    ) -> dict[str, Tensor]:
        """See :func:`detection_loss`."""
        if self._places is None:
            self._places = network.places(self.side_px, self.side_px)
        return detection_loss(cast(OneStage, network), logits, values, places=self._places, targets=targets)

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """See :class:`Recipe`."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        trunk = list(cast(OneStage, network).trunk.parameters())
        known = {id(parameter) for parameter in trunk}
        head = [parameter for parameter in network.parameters() if id(parameter) not in known]
        slower = rate if self._network.backbone == RANDOM else rate * _BACKBONE_RATE
        groups = parameter_groups(head, rate=rate, weight_decay=decay)
        return [torch.optim.AdamW(groups + parameter_groups(trunk, rate=slower, weight_decay=decay), fused=True)]

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Calibrate the confidences, and say in the card where the backbone comes from."""
        card: ModelCard = yield from super().finish(network, dataset)
        if self._network.backbone != IMAGENET:
            return card
        return card.model_copy(update={"training": card.training | {"backbone": ABOUT_IMAGENET}})
