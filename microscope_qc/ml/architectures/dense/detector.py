"""Networks that say for every place of a grid which defect is there: what the task and the recipe need of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from microscope_qc.ml.architectures.dense.settings import NORM_GROUPS, STRIDE_PX
from microscope_qc.ml.evaluation.calibration import Calibration

PRIOR = 0.01
"""Initial probability of a defect, which keeps the first steps of a focal loss stable."""


class DenseDetector(nn.Module, ABC):
    """A network whose output is class logits (B, N, classes) and values (B, N, 4) from which boxes are decoded.

    Attributes
    ----------
    settings
        Those of its architecture.
    classes
        Number of classes, not counting background; each has its own sigmoid.
    classify
        The layer whose output are the logits, ordered by kind of box, then by class.
    stride_px
        The sides of images are multiples of it.
    """

    settings: Any
    classes: int
    classify: nn.Conv2d
    stride_px: int = STRIDE_PX

    @abstractmethod
    def places(self, height: int, width: int) -> Tensor:
        """The N places (N, ...) of an image of this size in model pixels: what :meth:`boxes` starts from."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """The deepest map (B, channels, h, w) of normalised images, before the layers that tell defects apart."""

    @abstractmethod
    def boxes(self, values: Tensor, places: Tensor) -> Tensor:
        """Boxes (..., 4) as x0, y0, x1, y1 in model pixels, of the network's values (..., 4) at places (..., k)."""


def head_tower(width: int, convolutions: int) -> nn.Sequential:
    """Convolutions of a head that all levels share: their statistics differ, so groups of channels are normalised."""
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.GroupNorm(NORM_GROUPS, width)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


@torch.no_grad()
def apply_calibration(network: DenseDetector, calibration: Calibration) -> None:
    """Fold a calibration into the network's last layer."""
    assert network.classify.bias is not None
    bias = network.classify.bias
    offsets = torch.tensor(calibration.offsets, dtype=bias.dtype, device=bias.device)
    network.classify.weight.mul_(calibration.slope)
    bias.mul_(calibration.slope).add_(offsets.repeat(len(bias) // len(offsets)))
