"""Classifiers of windows as architectures. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from pydantic import Field

from microscope_qc.ml.architectures.base import Architecture, NetworkSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier
    from microscope_qc.ml.architectures.window_classifier.task import WindowTask


class LightSettings(NetworkSettings):
    """Size of the network: ``widths`` are the channels after each halving."""

    widths: tuple[Annotated[int, Field(gt=0, le=4096)], ...] = Field(
        default=(16, 32, 64, 96), min_length=1, max_length=8
    )


class NoSettings(NetworkSettings):
    """A published network has no settings."""


S = TypeVar("S", bound=NetworkSettings)


class WindowArchitecture(Architecture[S]):
    """A classifier of windows: convolutions, the mean over the window, one linear layer."""

    task = "classify"

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> WindowTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.window_classifier.task import WindowTask

        return WindowTask(card, cast("WindowClassifier", network), device=device, threshold=threshold)


class LightArchitecture(WindowArchitecture[LightSettings]):
    """Four strided convolutions and one at the end: fast on a CPU."""

    name, title, settings = "light", "A few strided convolutions: fast on a CPU", LightSettings

    def stride_px(self, settings: LightSettings) -> int:
        """See :class:`Architecture`."""
        return 1 << len(settings.widths)

    def build(self, settings: LightSettings, classes: int) -> WindowClassifier:
        """One output more than there are classes, for windows that show none of them."""
        from microscope_qc.ml.architectures.window_classifier.network import light

        return light(settings.widths, outputs=classes + 1)


class PublishedArchitecture(WindowArchitecture[NoSettings]):
    """A torchvision network, without its weights."""

    settings = NoSettings

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title

    def stride_px(self, settings: NoSettings) -> int:
        """See :class:`Architecture`."""
        return 32

    def build(self, settings: NoSettings, classes: int) -> WindowClassifier:
        """One output more than there are classes, for windows that show none of them."""
        from microscope_qc.ml.architectures.window_classifier.network import published

        return published(self.name, outputs=classes + 1)


LIGHT = LightArchitecture()
RESNET18 = PublishedArchitecture("resnet18", "ResNet-18")
RESNET50 = PublishedArchitecture("resnet50", "ResNet-50")
VGG19 = PublishedArchitecture("vgg19", "VGG-19")
