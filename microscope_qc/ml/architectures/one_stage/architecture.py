"""One-stage detectors as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microscope_qc.ml.architectures.dense.architecture import DenseArchitecture
from microscope_qc.ml.architectures.one_stage.settings import OneStageSettings

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.one_stage.network import OneStage
    from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.datasets.records import Dataset

LEAST_SIDE_PX = 256
"""Smaller pictures are enlarged to this: in the same time more is learned from fewer, but larger ones."""


class OneStageArchitecture(DenseArchitecture[OneStageSettings]):
    """A one-stage detector on EfficientNet-Lite0."""

    name, title = "lite0", "One-stage detector on EfficientNet-Lite0: starts from ImageNet"
    settings = OneStageSettings

    def stride_px(self, settings: OneStageSettings) -> int:
        """See :class:`Architecture`."""
        return settings.stride_px

    def suited(self, settings: TrainSettings, dataset: Dataset) -> TrainSettings:
        """Enlarge pictures of which even the largest is small; leave upright what has an up and a down."""
        from microscope_qc.ml.datasets.direction import have_a_direction
        from microscope_qc.ml.datasets.scaled import model_shape

        side = max(max(model_shape(image, settings.pixel_size_um)) for image in dataset.images)
        chosen: dict[str, Any] = {}
        if side < LEAST_SIDE_PX and "enlarge" not in settings.network_settings:
            enlarge = round(min(LEAST_SIDE_PX / side, 4.0), 4)
            chosen["network_settings"] = {**settings.network_settings, "enlarge": enlarge}
        # a slide lies in any direction under the microscope, whole pictures are all taken in one
        if "augment" not in settings.model_fields_set and side <= settings.crop_px and have_a_direction(dataset):
            chosen["augment"] = "upright"
        return settings.model_copy(update=chosen) if chosen else settings

    def build(self, settings: OneStageSettings, classes: int) -> OneStage:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.network import OneStage

        return OneStage(settings, classes=classes)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> OneStageRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.one_stage.recipe import OneStageRecipe

        return OneStageRecipe(settings, self.checked(settings.network_settings), dataset)


LITE0 = OneStageArchitecture()
