"""One-stage detectors as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.ml.architectures.dense.architecture import DenseArchitecture
from microscope_qc.ml.architectures.one_stage.settings import OneStageSettings

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.one_stage.network import OneStage
    from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.datasets.records import Dataset


class OneStageArchitecture(DenseArchitecture[OneStageSettings]):
    """A one-stage detector on EfficientNet-Lite0."""

    name, title = "lite0", "One-stage detector on EfficientNet-Lite0: starts from ImageNet"
    settings = OneStageSettings

    def build(self, settings: OneStageSettings, classes: int) -> OneStage:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.network import OneStage

        return OneStage(settings, classes=classes)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> OneStageRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe

        return OneStageRecipe(settings, self.checked(settings.network_settings), dataset)


LITE0 = OneStageArchitecture()
