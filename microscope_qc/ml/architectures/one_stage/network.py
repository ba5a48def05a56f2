"""One-stage detector without default boxes, on a backbone that has seen many pictures.

Every place of a feature pyramid says how far the sides of a box are from it, as in Tian et al., "FCOS: Fully
Convolutional One-Stage Object Detection" (ICCV 2019); its class scores say how well the box will fit, as in Zhang et
al., "VarifocalNet" (CVPR 2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.ml.architectures.dense.detector import PRIOR, DenseDetector, head_tower
from microscope_qc.ml.architectures.one_stage.settings import OneStageSettings
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.quick_torchvision import torchvision

FeaturePyramidNetwork = torchvision.ops.FeaturePyramidNetwork


class OneStage(DenseDetector):
    """The network: from images to class logits and distances of the sides for every place.

    Parameters
    ----------
    settings : OneStageSettings
    classes : int
        Number of classes, not counting background (each class has its own sigmoid).
    """

    strides = (8, 16, 32, 64)

    def __init__(self, settings: OneStageSettings, *, classes: int) -> None:
        super().__init__()
        self.settings, self.classes = settings, classes
        self.stride_px = settings.stride_px
        width = settings.pyramid
        self.trunk = EfficientNetLite0()
        self.pyramid = FeaturePyramidNetwork(list(self.trunk.channels[1:]), width)
        self.coarsest = nn.Conv2d(width, width, 3, 2, 1)
        self.class_tower, self.box_tower = head_tower(width, settings.tower), head_tower(width, settings.tower)
        self.classify = nn.Conv2d(width, classes, 3, 1, 1)
        self.locate = nn.Conv2d(width, 4, 3, 1, 1)
        self.level_scale = nn.Parameter(torch.ones(len(self.strides)))
        self._initialise()

    def _initialise(self) -> None:
        for part in (self.pyramid, self.coarsest, self.class_tower, self.box_tower):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        for output in (self.classify, self.locate):
            nn.init.normal_(output.weight, std=0.01)
        assert self.classify.bias is not None and self.locate.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - PRIOR) / PRIOR))
        nn.init.ones_(self.locate.bias)

    def train(self, mode: bool = True) -> OneStage:
        """Switch to training; a backbone that has been trained before keeps the statistics of its normalisations."""
        super().train(mode)
        if self.settings.backbone != "random":
            self.trunk.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the network to a batch.

        Parameters
        ----------
        images : Tensor, (B, 3, H, W)
            Normalised; H and W multiples of 64, or any where the network enlarges them.

        Returns
        -------
        (Tensor, Tensor)
            Class logits (B, N, classes), and distances (B, N, 4) of the sides x0, y0, x1, y1 in model pixels, in
            float32, for the N places of :meth:`places`.
        """
        height, width = images.shape[2:]
        seen, (down, across) = self._seen(height, width)
        _, *maps = self.trunk(_resized(images, seen), frozen=self.settings.frozen)
        levels = list(self.pyramid({str(number): features for number, features in enumerate(maps)}).values())
        levels.append(self.coarsest(levels[-1]))
        logits, distances = [], []
        for number, (features, stride) in enumerate(zip(levels, self.strides, strict=True)):
            logits.append(self.classify(self.class_tower(features)).flatten(2).transpose(1, 2))
            away = (
                functional.softplus(self.locate(self.box_tower(features)).float()) * self.level_scale[number] * stride
            )
            distances.append(away.flatten(2).transpose(1, 2))
        sides = torch.cat(distances, 1)
        if seen != (height, width):
            sides = sides / sides.new_tensor([across, down, across, down])
        return torch.cat(logits, 1).float(), sides

    def _seen(self, height: int, width: int) -> tuple[tuple[int, int], tuple[float, float]]:
        """Size at which the network sees images of a size, and how many times larger that is (down, across)."""
        step = self.strides[-1]
        rows, columns = (max(1, round(side * self.settings.enlarge / step)) * step for side in (height, width))
        return (rows, columns), (rows / height, columns / width)

    def places(self, height: int, width: int) -> Tensor:
        """Middles of the cells and their stride (N, 3): x, y, stride in model pixels."""
        device = self.classify.weight.device
        (rows, columns), (down, across) = self._seen(height, width)
        parts = []
        for stride in self.strides:
            y, x = torch.meshgrid(
                torch.arange(rows // stride, device=device),
                torch.arange(columns // stride, device=device),
                indexing="ij",
            )
            middle = (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride
            parts.append(torch.cat([middle, torch.full_like(middle[:, :1], stride)], dim=1))
        return torch.cat(parts) / torch.tensor([across, down, math.sqrt(across * down)], device=device)

    def features(self, images: Tensor) -> Tensor:
        """See :class:`DenseDetector`."""
        maps = self.trunk(_resized(images, self._seen(*images.shape[2:])[0]))
        deepest: Tensor = maps[-1]
        return deepest

    def boxes(self, values: Tensor, places: Tensor) -> Tensor:
        """See :class:`DenseDetector`."""
        return torch.cat([places[..., :2] - values[..., :2], places[..., :2] + values[..., 2:]], dim=-1)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)
