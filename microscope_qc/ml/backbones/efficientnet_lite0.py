"""EfficientNet-Lite0: a network for general pictures that is quick without a graphics card.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), in the variant
without squeeze-and-excitation and with ReLU6 (TensorFlow, "EfficientNet-Lite", 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON, _MOMENTUM = 1e-3, 0.01
"""Of the batch normalisations, as the network was trained."""
_STAGES = (  # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
_STEM = 32
_LAST_OF_A_STRIDE = (2, 3, 5, 7)
"""Stages whose maps are returned; the stem is number 0."""


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


class _Layers(nn.Sequential):
    """Layers in order. A normalisation with fixed statistics is part of the convolution before it.

    That saves two passes over the largest maps; their gradients are the same.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Apply them."""
        layers = list(self)
        for number, layer in enumerate(layers):
            after = layers[number + 1] if number + 1 < len(layers) else None
            if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d) and not after.training:
                features = _convolve_and_normalise(layer, after, features)
            elif not isinstance(layer, nn.BatchNorm2d) or layer.training:
                features = layer(features)
        return features


def _convolve_and_normalise(convolution: nn.Conv2d, norm: nn.BatchNorm2d, features: Tensor) -> Tensor:
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return functional.conv2d(
        features, convolution.weight * gain.view(-1, 1, 1, 1), norm.bias - norm.running_mean * gain,
        convolution.stride, convolution.padding, convolution.dilation, convolution.groups,
    )  # fmt: skip


class InvertedResidual(nn.Module):
    """Widens by a 1x1 convolution, filters every channel by itself, and narrows again."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [_convolution(inputs, inner, 1), _normalisation(inner), nn.ReLU6(inplace=True)]
        layers += [
            _convolution(inner, inner, kernel, stride=stride, groups=inner), _normalisation(inner),
            nn.ReLU6(inplace=True), _convolution(inner, outputs, 1), _normalisation(outputs),
        ]  # fmt: skip
        self.layers = _Layers(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block."""
        change: Tensor = self.layers(features)
        return features + change if self.adds else change


class EfficientNetLite0(nn.Module):
    """The network without its classifier.

    Convolutions pad both sides alike, where TensorFlow's pad an even picture below and on the right only: the features
    are the same, of a picture that is shifted by a few pixels.

    Attributes
    ----------
    strides, channels
        Of the maps that it returns.
    """

    strides = (4, 8, 16, 32)
    channels = (24, 40, 112, 320)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Layers(_convolution(3, _STEM, 3, stride=2), _normalisation(_STEM), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = _STEM
        for expansion, kernel, stride, outputs, count in _STAGES:
            blocks = []
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, expansion=expansion, kernel=kernel, stride=step))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, images: Tensor, *, frozen: int = 0) -> list[Tensor]:
        """Apply the network.

        Parameters
        ----------
        images : Tensor, (B, 3, H, W)
            Normalised; H and W multiples of 32.
        frozen
            The stem and this many stages keep no gradients.

        Returns
        -------
        list of Tensor
            Maps (B, channels, H / stride, W / stride), one for each stride.
        """
        maps = []
        features = images
        for number, stage in enumerate((self.stem, *self.stages)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and (number > frozen or frozen == 0)):
                features = stage(features)
            if number in _LAST_OF_A_STRIDE:
                maps.append(features)
        return maps
