"""Single-shot detectors as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.ml.architectures.dense.architecture import DenseArchitecture
from microscope_qc.ml.architectures.ssd.settings import SSDSettings, TinySSDSettings

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.architectures.ssd.network import SSD
    from microscope_qc.ml.architectures.ssd.recipe import SSDRecipe
    from microscope_qc.ml.datasets.records import Dataset


class SSDArchitecture(DenseArchitecture[SSDSettings]):
    """The single-shot detector of this program, in one size."""

    def __init__(self, name: str, title: str, settings: type[SSDSettings]) -> None:
        self.name, self.title, self.settings = name, title, settings

    def build(self, settings: SSDSettings, classes: int) -> SSD:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.ssd.network import SSD

        return SSD(settings, classes=classes)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> SSDRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.ssd.recipe import SSDRecipe

        return SSDRecipe(settings, dataset)


LIGHT = SSDArchitecture("ssd", "Single-shot detector on a light residual network", SSDSettings)
TINY = SSDArchitecture("ssd-tiny", "Tiny single-shot detector: for a first try on a slow machine", TinySSDSettings)
