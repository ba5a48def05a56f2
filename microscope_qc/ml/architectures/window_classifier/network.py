"""Networks that classify windows: convolutions, the mean over the window, one linear layer.

Every network has that form (global average pooling; Lin et al., "Network In Network", 2014), so that a class activation
map is the linear layer applied to every place before the mean is taken (Zhou et al., "Learning Deep Features for
Discriminative Localization", CVPR 2016), and the scores of all windows of a large image come from one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WindowClassifier(nn.Module):
    """A convolutional network whose class scores are the mean of class maps.

    Parameters
    ----------
    features : nn.Module
        Images (B, 3, H, W) to maps (B, channels, H / stride, W / stride).
    channels, stride : int
    outputs : int
        Number of classes, including "none of them".
    """

    def __init__(self, features: nn.Module, *, channels: int, stride: int, outputs: int) -> None:
        super().__init__()
        self.features = features
        self.stride = stride
        self.decide = nn.Linear(channels, outputs)

    def maps(self, images: Tensor) -> Tensor:
        """Class activation maps, (B, outputs, H / stride, W / stride): their means are the logits."""
        weight = self.decide.weight[:, :, None, None]
        return nn.functional.conv2d(self.features(images), weight, self.decide.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, outputs) of windows (B, 3, H, W), normalised."""
        logits: Tensor = self.decide(self.features(images).mean(dim=(2, 3)))
        return logits


def light(widths: Sequence[int], *, outputs: int) -> WindowClassifier:
    """Strided convolutions with the given channels, and a second one at the last size: fast on a CPU."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        inputs = width
    layers += [nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
    return _classifier(nn.Sequential(*layers), channels=inputs, stride=2 ** len(widths), outputs=outputs)


def published(name: str, *, outputs: int) -> WindowClassifier:
    """A ResNet or VGG of torchvision, untrained, without the layers after its convolutions."""
    from microscope_qc.ml.quick_torchvision import torchvision

    whole = getattr(torchvision.models, name)(weights=None)
    if name.startswith("vgg"):
        return _classifier(whole.features, channels=512, stride=32, outputs=outputs)
    features = nn.Sequential(*list(whole.children())[:-2])
    return _classifier(features, channels=int(whole.fc.in_features), stride=32, outputs=outputs)


def _classifier(features: nn.Module, *, channels: int, stride: int, outputs: int) -> WindowClassifier:
    network = WindowClassifier(features, channels=channels, stride=stride, outputs=outputs)
    with torch.no_grad():
        nn.init.xavier_uniform_(network.decide.weight)
        nn.init.zeros_(network.decide.bias)
    return network
