"""A detector of torchvision as this program uses it: batches of normalised images, and boxes in model pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from microscope_qc.ml.architectures.published.settings import PublishedSettings
from microscope_qc.ml.devices import autocast
from microscope_qc.ml.quick_torchvision import torchvision

Found = list[dict[str, Tensor]]
"""For each image "boxes" (n, 4) as x0, y0, x1, y1, "scores" (n,) and "labels" (n,), where 0 is background."""


class Backbone(nn.Module):
    """Maps of images, as torchvision's detectors take them.

    Attributes
    ----------
    body
        The network that makes maps of images; it may have been trained before.
    out_channels
        Channels of the maps; torchvision asks for them.
    """

    def __init__(self, body: nn.Module, channels: int | list[int]) -> None:
        super().__init__()
        self.body, self.out_channels = body, channels

    def beyond(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """What else is made of the body's maps."""
        return maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Apply it, in 16 bits where that is fast; the maps are in 32 bits, as coordinates are made of them."""
        with autocast(images.device):
            maps = self.beyond(self.body(images))
        return OrderedDict((name, values.float()) for name, values in maps.items())


class PublishedDetector(nn.Module):
    """A detector of torchvision.

    Parameters
    ----------
    detector
        ``FasterRCNN`` or ``SSD`` with a :class:`Backbone`, which neither normalises nor resizes images.
    classes
        Number of classes, not counting background.
    outputs
        Its layers with an output for every class, and how many values each gives for a class.
    """

    def __init__(
        self, detector: nn.Module, settings: PublishedSettings, *, classes: int, outputs: dict[str, int]
    ) -> None:
        super().__init__()
        self.detector: Any = detector
        self.settings, self.classes, self.outputs = settings, classes, outputs

    @property
    def body(self) -> nn.Module:
        """The backbone, without what stands on it."""
        body: nn.Module = self.detector.backbone.body
        return body

    @property
    def enlargement(self) -> int:
        """Pixels of the network along a pixel of the model."""
        return self.settings.enlarge or 1

    def train(self, mode: bool = True) -> PublishedDetector:
        """Switch to training; a backbone that has been trained before keeps the statistics of its normalisations."""
        super().train(mode)
        if self.settings.trained_before:
            self.body.eval()
        return self

    def forward(self, images: Tensor, targets: Sequence[dict[str, Tensor]] | None = None) -> Any:
        """Apply the network to a batch.

        Parameters
        ----------
        images : Tensor, (B, 3, H, W)
            Normalised.
        targets
            In training, "boxes" (n, 4) in model pixels and "labels" (n,), from 1 on, of each image.

        Returns
        -------
        Found, or dict of Tensor
            What is found, in model pixels; in training the losses by name.
        """
        times = self.enlargement
        if times > 1:
            images = nn.functional.interpolate(images, scale_factor=times, mode="bilinear", align_corners=False)
        if targets is not None:
            targets = [one | {"boxes": one["boxes"] * times} for one in targets]
        with torch.autocast(images.device.type, enabled=False):  # coordinates need 32 bits
            said = self.detector(list(images), targets)
        return said if self.training else [one | {"boxes": one["boxes"] / times} for one in said]

    def features(self, images: Tensor) -> Tensor:
        """The deepest map (B, channels, h, w) of normalised images."""
        *_, deepest = self.body(images).values()
        return torch.as_tensor(deepest)


class AsTheyAre(torchvision.models.detection.transform.GeneralizedRCNNTransform):  # type: ignore[misc]
    """Takes images as they are, padded to a multiple of a stride, where torchvision's detectors resize them."""

    def __init__(self, *, multiple_px: int) -> None:
        super().__init__(0, 0, [0.0] * 3, [1.0] * 3, size_divisible=multiple_px)

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        """Leave the image and its target alone."""
        return image, target
