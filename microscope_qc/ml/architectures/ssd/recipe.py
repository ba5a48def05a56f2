"""How the single-shot detector is trained."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from microscope_qc.ml.architectures.dense.detector import DenseDetector
from microscope_qc.ml.architectures.dense.recipe import DenseRecipe, parameter_groups
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.ssd.loss import detection_loss
from microscope_qc.ml.architectures.ssd.network import SSD
from microscope_qc.ml.datasets.records import Dataset


class SSDRecipe(DenseRecipe):
    """Trains a :class:`SSD` from nothing: focal and box losses."""

    def __init__(self, settings: TrainSettings, dataset: Dataset) -> None:
        super().__init__(settings, dataset)
        self._default: tuple[Tensor, list[int]] | None = None

    def loss(
        self, network: DenseDetector, logits: Tensor, values: Tensor, targets: list[BoxTarget]
    ) -> dict[str, Tensor]:
        """Focal loss of the classes, and the loss of the boxes."""
        if self._default is None:
            self._default = cast(SSD, network).default_boxes(self.side_px, self.side_px)
        default, levels = self._default
        return detection_loss(logits, values, default=default, levels=levels, targets=targets)

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """See :class:`Recipe`."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        return [torch.optim.AdamW(parameter_groups(list(network.parameters()), rate=rate, weight_decay=decay))]
