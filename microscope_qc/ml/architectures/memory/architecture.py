"""The memory of normal places as an architecture. No torch at import."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from microscope_qc.ml.architectures.base import Architecture
from microscope_qc.ml.architectures.memory.settings import MemorySettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.memory.network import NormalMemory
    from microscope_qc.ml.architectures.memory.recipe import MemoryRecipe
    from microscope_qc.ml.architectures.memory.task import MemoryTask
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.datasets.records import Dataset


SMALL_PX = 1024
"""Longer side of pictures that are looked at enlarged."""
_CROP_PX = 256


class MemoryArchitecture(Architecture[MemorySettings]):
    """What places look like that are not like any that was seen in normal pictures."""

    name, task, title = "memory", "anomaly", "Memory of normal places (EfficientNet-Lite0)"
    settings = MemorySettings
    for_pictures = MemorySettings(enlarged=2, per_picture=True, around=1, numbers=176, known=0)
    """Settings for small pictures, which may lie under changing light: on magnetic tiles all numbers of a place, and
    how they vary together, tell more than its nearest neighbours in fewer of them."""
    defaults: Mapping[str, Any] = MappingProxyType(
        {"crop_px": _CROP_PX, "tile_px": 1024, "overlap_px": 192, "epochs": 1}
    )

    def stride_px(self, settings: MemorySettings) -> int:
        """See :class:`Architecture`."""
        return max(settings.strides)

    def build(self, settings: MemorySettings, classes: int) -> NormalMemory:
        """See :class:`Architecture`; the number of classes does not matter."""
        from microscope_qc.ml.architectures.memory.network import NormalMemory

        return NormalMemory(settings)

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> MemoryTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.memory.task import MemoryTask

        return MemoryTask(card, cast("NormalMemory", network), device=device, threshold=threshold)

    def suited(self, settings: TrainSettings, dataset: Dataset) -> TrainSettings:
        """Small pictures without a pixel size are enlarged and made alike, unless the user has said otherwise."""
        sides = sorted(max(image.shape) for image in dataset.images)
        sizes = any(image.pixel_size_um is not None for image in dataset.images)
        if not sides or sizes or sides[len(sides) // 2] > SMALL_PX:
            return settings
        own = {**self.for_pictures.model_dump(exclude_defaults=True), **settings.network_settings}
        whole = {"crop_px": SMALL_PX} if settings.crop_px == _CROP_PX else {}  # alike as a whole, as it is looked at
        return settings.model_copy(update={"network_settings": own, **whole})

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> MemoryRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.memory.recipe import MemoryRecipe

        return MemoryRecipe(settings, dataset, network=self.checked(settings.network_settings))


MEMORY = MemoryArchitecture()
