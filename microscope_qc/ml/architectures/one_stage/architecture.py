"""One-stage detectors as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from microscope_qc.ml.architectures.base import Architecture
from microscope_qc.ml.architectures.one_stage.settings import STRIDE_PX, OneStageSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.dense.task import DetectTask
    from microscope_qc.ml.architectures.one_stage.network import OneStage
    from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.datasets.records import Dataset


class OneStageArchitecture(Architecture[OneStageSettings]):
    """A one-stage detector on EfficientNet-Lite0."""

    name, task, title = "lite0", "detect", "One-stage detector on EfficientNet-Lite0: starts from ImageNet"
    settings = OneStageSettings

    def stride_px(self, settings: OneStageSettings) -> int:
        """See :class:`Architecture`."""
        return STRIDE_PX

    def build(self, settings: OneStageSettings, classes: int) -> OneStage:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.network import OneStage

        return OneStage(settings, classes=classes)

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> DetectTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.dense.task import DetectTask

        return DetectTask(card, cast("OneStage", network), device=device, threshold=threshold)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> OneStageRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe

        return OneStageRecipe(settings, self.checked(settings.network_settings), dataset)


LITE0 = OneStageArchitecture()
