"""Networks that tell what a window shows: convolutions, one mean over the window, one layer that decides.

Every network has that form (global average pooling; Lin et al., "Network In Network", 2014), so that a class activation
map is the deciding layer applied to every place before the mean is taken (Zhou et al., "Learning Deep Features for
Discriminative Localization", CVPR 2016), and so that the scores of all windows of a large picture come from one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError


class WindowClassifier(nn.Module):
    """A convolutional network whose class scores are the mean of class maps.

    Parameters
    ----------
    features : nn.Module
        Pictures (B, 3, H, W) to maps (B, channels, H / stride, W / stride).
    channels, stride : int
    outputs : int
        Classes, "none of them" included.
    """

    def __init__(self, features: nn.Module, *, channels: int, stride: int, outputs: int) -> None:
        super().__init__()
        self.features = features
        self.stride = stride
        self.decide = nn.Linear(channels, outputs)

    def maps(self, pictures: Tensor) -> Tensor:
        """Class activation maps, (B, outputs, H / stride, W / stride): their means are the logits."""
        weight = self.decide.weight[:, :, None, None]
        return nn.functional.conv2d(self.features(pictures), weight, self.decide.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, outputs) of windows (B, 3, H, W), normalised."""
        logits: Tensor = self.decide(self.features(pictures).mean(dim=(2, 3)))
        return logits


def _light(settings: dict[str, Any]) -> tuple[nn.Module, int, int]:
    """Four strided convolutions with a second one at each size: quick on a processor."""
    widths = [int(width) for width in settings.pop("widths", (16, 32, 64, 96))]
    layers: list[nn.Module] = []
    inputs = 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        inputs = width
    layers += [nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers), inputs, 2 ** len(widths)


def _resnet(name: str) -> Callable[[dict[str, Any]], tuple[nn.Module, int, int]]:
    def build(settings: dict[str, Any]) -> tuple[nn.Module, int, int]:
        from microscope_qc.ml.quick_torchvision import torchvision

        whole = getattr(torchvision.models, name)(weights=None)
        return nn.Sequential(*list(whole.children())[:-2]), int(whole.fc.in_features), 32

    return build


def _vgg19(settings: dict[str, Any]) -> tuple[nn.Module, int, int]:
    from microscope_qc.ml.quick_torchvision import torchvision

    return torchvision.models.vgg19(weights=None).features, 512, 32


_BUILDERS = {"light": _light, "resnet18": _resnet("resnet18"), "resnet50": _resnet("resnet50"), "vgg19": _vgg19}


def build(architecture: str, settings: dict[str, Any], *, outputs: int) -> WindowClassifier:
    """See :func:`microscope_qc.ml.architectures.build_classifier`."""
    rest = dict(settings)
    try:
        features, channels, stride = _BUILDERS[architecture](rest)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The network settings do not fit {architecture}: {error}.") from error
    if rest:
        raise ModelError(f"The network settings do not fit {architecture}: it has no {', '.join(sorted(rest))}.")
    network = WindowClassifier(features, channels=channels, stride=stride, outputs=outputs)
    with torch.no_grad():
        nn.init.xavier_uniform_(network.decide.weight)
        nn.init.zeros_(network.decide.bias)
    return network
