"""Published detectors as architectures. No torch at import."""

from __future__ import annotations

from abc import abstractmethod
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, cast

from microscope_qc.ml.architectures.base import Architecture
from microscope_qc.ml.architectures.published.settings import (
    FasterRCNNSettings,
    LiteMultiBoxSettings,
    LiteSingleMapSettings,
    MultiBoxSettings,
    PublishedSettings,
    PyramidSettings,
    SingleMapSettings,
)
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.published.detector import PublishedDetector
    from microscope_qc.ml.architectures.published.recipe import PublishedRecipe
    from microscope_qc.ml.architectures.published.task import PublishedTask
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.datasets.records import Dataset

P = TypeVar("P", bound=PublishedSettings)

_SHORT_PX, _LONG_PX = 600, 1000
"""To which the sides of small pictures are enlarged for Faster R-CNN."""


class PublishedDetectors(Architecture[P]):
    """A detector whose network is a :class:`microscope_qc.ml.architectures.published.detector.PublishedDetector`.

    Attributes
    ----------
    trunk
        Name of its backbone.
    decay_steps
        Steps over which its learning rate falls to 0 in a long training.
    coarsest_px
        Its coarsest stride.
    """

    task = "detect"
    continues = True
    decay_steps: int

    def __init__(self, name: str, title: str, trunk: str, settings: type[P], *, coarsest_px: int) -> None:
        self.name, self.title, self.trunk, self.settings = name, title, trunk, settings
        self.coarsest_px = coarsest_px

    def stride_px(self, settings: P) -> int:
        """See :class:`Architecture`."""
        return self.coarsest_px

    def suited(self, settings: TrainSettings, dataset: Dataset) -> TrainSettings:
        """Enlarge pictures whose pixel size is not known as the published networks do: by a whole number."""
        own = self.checked(settings.network_settings)
        if own.enlarge is not None or not dataset.images:
            return settings
        times = 1
        if settings.pixel_size_um is None:
            short, long = (median(side(image.shape) for image in dataset.images) for side in (min, max))
            times = min(16, max(1, self.enlargement(own, short, long)))
        return settings.model_copy(update={"network_settings": {**settings.network_settings, "enlarge": times}})

    @abstractmethod
    def enlargement(self, settings: P, short_px: float, long_px: float) -> int:
        """How often pictures with these sides are enlarged; less than 1 for none."""

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> PublishedRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.published.recipe import PublishedRecipe

        return PublishedRecipe(
            settings, self.checked(settings.network_settings), dataset, trunk=self.trunk, stride_px=self.coarsest_px,
            decay_steps=self.decay_steps,
        )  # fmt: skip

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> PublishedTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.published.task import PublishedTask

        return PublishedTask(
            card, cast("PublishedDetector", network), device=device, threshold=threshold, stride=self.coarsest_px
        )


class FasterRCNNArchitecture(PublishedDetectors[FasterRCNNSettings]):
    """Faster R-CNN on the stride-16 map of a backbone, or on a pyramid of its maps."""

    decay_steps = 150_000

    def __init__(self, name: str, title: str, trunk: str, settings: type[FasterRCNNSettings]) -> None:
        side, stride = (640, 64) if issubclass(settings, PyramidSettings) else (608, 16)
        super().__init__(name, title, trunk, settings, coarsest_px=stride)
        self.defaults = MappingProxyType({
            "epochs": 100, "batch": 1, "learning_rate": 5e-4, "weight_decay": 1e-4, "patience": 30, "augment": "flip",
            "crop_px": side, "tile_px": side,
        })  # fmt: skip

    def enlargement(self, settings: FasterRCNNSettings, short_px: float, long_px: float) -> int:
        """See :class:`PublishedDetectors`."""
        return round(min(_SHORT_PX / short_px, _LONG_PX / long_px))

    def build(self, settings: FasterRCNNSettings, classes: int) -> PublishedDetector:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.published.faster_rcnn import faster_rcnn

        return faster_rcnn(self.trunk, settings, classes=classes)


class MultiBoxArchitecture(PublishedDetectors[MultiBoxSettings]):
    """The single-shot multi-box detector on two maps of a backbone."""

    decay_steps = 20_000
    defaults = MappingProxyType({
        "epochs": 100, "batch": 16, "learning_rate": 1e-3, "weight_decay": 1e-4, "patience": 30, "augment": "zoom",
        "crop_px": 512, "tile_px": 512,
    })  # fmt: skip

    def __init__(self, name: str, title: str, trunk: str, settings: type[MultiBoxSettings]) -> None:
        super().__init__(name, title, trunk, settings, coarsest_px=64)

    def enlargement(self, settings: MultiBoxSettings, short_px: float, long_px: float) -> int:
        """See :class:`PublishedDetectors`."""
        return int(settings.input_px / long_px)

    def build(self, settings: MultiBoxSettings, classes: int) -> PublishedDetector:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.published.multi_box import multi_box

        return multi_box(self.trunk, settings, classes=classes)


FRCNN_RESNET50 = FasterRCNNArchitecture(
    "faster-rcnn-resnet50", "Faster R-CNN on ResNet-50", "resnet50", SingleMapSettings
)
FRCNN_VGG19 = FasterRCNNArchitecture("faster-rcnn-vgg19", "Faster R-CNN on VGG-19", "vgg19", SingleMapSettings)
FRCNN_FPN = FasterRCNNArchitecture(
    "faster-rcnn-fpn", "Faster R-CNN on a feature pyramid of ResNet-50", "resnet50", PyramidSettings
)
FRCNN_LITE0 = FasterRCNNArchitecture(
    "faster-rcnn-lite0", "Faster R-CNN on EfficientNet-Lite0: starts from ImageNet", "lite0", LiteSingleMapSettings
)
SSD_RESNET50 = MultiBoxArchitecture("ssd-resnet50", "SSD, as published, on ResNet-50", "resnet50", MultiBoxSettings)
SSD_VGG19 = MultiBoxArchitecture("ssd-vgg19", "SSD, as published, on VGG-19", "vgg19", MultiBoxSettings)
SSD_LITE0 = MultiBoxArchitecture(
    "ssd-lite0", "SSD, as published, on EfficientNet-Lite0: starts from ImageNet", "lite0", LiteMultiBoxSettings
)
