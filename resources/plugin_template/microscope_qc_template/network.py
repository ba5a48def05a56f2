"""The layers of the network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier


def build(widths: Sequence[int], *, outputs: int) -> WindowClassifier:
    """Depthwise separable convolutions, each of which halves the picture (Howard et al., "MobileNets", 2017)."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in widths:
        layers += [
            nn.Conv2d(inputs, inputs, 3, 2, 1, groups=inputs, bias=False),
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        inputs = width
    return WindowClassifier(nn.Sequential(*layers), channels=inputs, stride=1 << len(widths), outputs=outputs)
