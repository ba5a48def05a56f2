"""Single-shot detectors as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from microscope_qc.ml.architectures.base import Architecture
from microscope_qc.ml.architectures.ssd.settings import STRIDE_PX, SSDSettings, TinySSDSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.dense.task import DetectTask
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.architectures.ssd.network import SSD
    from microscope_qc.ml.architectures.ssd.recipe import SSDRecipe
    from microscope_qc.ml.datasets.records import Dataset


class SSDArchitecture(Architecture[SSDSettings]):
    """The single-shot detector of this program, in one size."""

    task = "detect"

    def __init__(self, name: str, title: str, settings: type[SSDSettings]) -> None:
        self.name, self.title, self.settings = name, title, settings

    def stride_px(self, settings: SSDSettings) -> int:
        """See :class:`Architecture`."""
        return STRIDE_PX

    def build(self, settings: SSDSettings, classes: int) -> SSD:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.ssd.network import SSD

        return SSD(settings, classes=classes)

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

        return DetectTask(card, cast("SSD", network), device=device, threshold=threshold)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> SSDRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.ssd.recipe import SSDRecipe

        return SSDRecipe(settings, dataset)


LIGHT = SSDArchitecture("ssd", "Single-shot detector on a light residual network", SSDSettings)
TINY = SSDArchitecture("ssd-tiny", "Tiny single-shot detector: for a first try on a slow machine", TinySSDSettings)
