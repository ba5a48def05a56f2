"""Classifiers of windows as architectures. No torch at import."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import Field

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.base import Architecture, NetworkSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier
    from microscope_qc.ml.architectures.window_classifier.recipe import WindowRecipe
    from microscope_qc.ml.architectures.window_classifier.task import WindowTask
    from microscope_qc.ml.datasets.records import Dataset

IMAGENET, RANDOM = "imagenet", "random"
_STRIDE_PX = 32
_INCEPTION_LEAST_PX = 96
Backbone = Annotated[str, Field(min_length=1, max_length=4096)]
Colours = tuple[float, float, float]


class LightSettings(NetworkSettings):
    """Size of the network: ``widths`` are the channels after each halving."""

    widths: tuple[Annotated[int, Field(gt=0, le=4096)], ...] = Field(
        default=(16, 32, 64, 96), min_length=1, max_length=8
    )


class ClassifierSettings(NetworkSettings):
    """What a published network starts from: "random", or a file of torchvision or timm. Only training uses it."""

    backbone: Backbone = RANDOM


class WidthSettings(ClassifierSettings):
    """Of a network that can be made narrower: ``width`` are the channels of its first 3x3 convolutions.

    64 is the published network, the only one that published weights fit.
    """

    width: int = Field(default=64, ge=8, le=256)


class Lite0Settings(NetworkSettings):
    """What the network starts from: "imagenet", "random", or a file of timm. Only training uses it."""

    backbone: Backbone = IMAGENET


S = TypeVar("S", bound=NetworkSettings)


class WindowArchitecture(Architecture[S]):
    """A classifier of windows: convolutions, the mean over the window, one linear layer.

    Trained as networks for defects in cross-sections of batteries were: windows of 256 px, 16 at once, 60 epochs of
    gradient descent with Nesterov's momentum.
    """

    task = "classify"
    continues = True
    defaults: Mapping[str, Any] = MappingProxyType(
        {"crop_px": 256, "batch": 16, "epochs": 60, "learning_rate": 1e-3, "weight_decay": 1e-4}
    )

    def stride_px(self, settings: S) -> int:
        """See :class:`Architecture`."""
        return _STRIDE_PX

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

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> WindowRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.window_classifier.recipe import WindowRecipe

        network = self.checked(settings.network_settings)
        return WindowRecipe(
            settings, dataset, network=network, begin=lambda made: self.begin(made, network),
            normalisation=self.normalisation(network), stride_px=self.stride_px(network), turns=self.turns_windows,
        )  # fmt: skip

    @abstractmethod
    def begin(self, network: WindowClassifier, settings: S) -> str:
        """Give a network the weights it starts from; returns what its card says of them, "" for nothing."""

    def normalisation(self, settings: S) -> tuple[Colours, Colours]:
        """Mean and standard deviation of the colours (0 to 1): those of ImageNet."""
        from microscope_qc.ml.architectures.window_classifier.recipe import IMAGENET_MEAN, IMAGENET_STD

        return IMAGENET_MEAN, IMAGENET_STD


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

    def begin(self, network: WindowClassifier, settings: LightSettings) -> str:
        """It starts from random weights."""
        return ""


class PublishedArchitecture(WindowArchitecture[ClassifierSettings]):
    """A torchvision network, which starts from random weights or those of a file."""

    def __init__(self, name: str, title: str, settings: type[ClassifierSettings] = WidthSettings) -> None:
        self.name, self.title, self.settings = name, title, settings

    def build(self, settings: ClassifierSettings, classes: int) -> WindowClassifier:
        """One output more than there are classes, for windows that show none of them."""
        from microscope_qc.ml.architectures.window_classifier.network import published

        return published(self.name, outputs=classes + 1, **settings.model_dump(exclude={"backbone"}))

    def begin(self, network: WindowClassifier, settings: ClassifierSettings) -> str:
        """Take the convolutions of a file, and not its last layers."""
        from pathlib import Path

        from microscope_qc.ml.architectures.window_classifier.network import take_convolutions
        from microscope_qc.ml.backbones.files import read_weights

        if settings.backbone == RANDOM:
            return ""
        if settings.backbone == IMAGENET:
            raise ModelError(
                f"The program has no weights of {self.title}.",
                hint="Give a file of torchvision or timm, or start from random weights.",
            )
        path = Path(settings.backbone)
        take_convolutions(network, read_weights(path), title=self.title, source=path.name)
        return f"Backbone: {self.title} with the weights of {path.name}."


class InceptionArchitecture(PublishedArchitecture):
    """InceptionV3, whose published weights expect other colours, and which sees no small windows."""

    def normalisation(self, settings: ClassifierSettings) -> tuple[Colours, Colours]:
        """Those of its first publication, which all published weights expect."""
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> WindowRecipe:
        """See :class:`Architecture`."""
        if settings.crop_px < _INCEPTION_LEAST_PX:
            raise ModelError(f"{self.title} needs windows of at least {_INCEPTION_LEAST_PX} px.")
        return super().recipe(settings, dataset)


class Lite0Architecture(WindowArchitecture[Lite0Settings]):
    """EfficientNet-Lite0: quick without a graphics card, and the program has its weights."""

    name, title = "lite0-classifier", "EfficientNet-Lite0: starts from ImageNet"
    settings = Lite0Settings

    def build(self, settings: Lite0Settings, classes: int) -> WindowClassifier:
        """One output more than there are classes, for windows that show none of them."""
        from microscope_qc.ml.architectures.window_classifier.network import Lite0Classifier

        return Lite0Classifier(outputs=classes + 1, trained=settings.backbone != RANDOM)

    def begin(self, network: WindowClassifier, settings: Lite0Settings) -> str:
        """Load the weights of the package, or of a file."""
        from microscope_qc.ml.architectures.window_classifier.network import Lite0Classifier
        from microscope_qc.ml.backbones.weights import ABOUT_IMAGENET, start_from

        assert isinstance(network, Lite0Classifier)
        start_from(network.trunk, settings.backbone)
        return ABOUT_IMAGENET if settings.backbone == IMAGENET else ""

    def normalisation(self, settings: Lite0Settings) -> tuple[Colours, Colours]:
        """Those that its weights expect."""
        from microscope_qc.ml.backbones.weights import MEAN, STD

        return MEAN, STD


LITE0 = Lite0Architecture()
LIGHT = LightArchitecture()
RESNET18 = PublishedArchitecture("resnet18", "ResNet-18", ClassifierSettings)
RESNET50 = PublishedArchitecture("resnet50", "ResNet-50")
RESNET101 = PublishedArchitecture("resnet101", "ResNet-101")
VGG19 = PublishedArchitecture("vgg19", "VGG-19")
INCEPTION_V3 = InceptionArchitecture("inception-v3", "InceptionV3", ClassifierSettings)
