"""Single-shot detector for small, often elongated defects.

Default boxes on a feature pyramid as in Liu et al., "SSD: Single Shot MultiBox Detector" (ECCV 2016) and Lin et al.,
"Focal Loss for Dense Object Detection" (ICCV 2017), on a light residual backbone that trains from scratch without a
graphics card.
All levels share one head, so that it learns from defects of every size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from microscope_qc.ml.architectures.dense.detector import PRIOR, DenseDetector, head_tower
from microscope_qc.ml.architectures.ssd.settings import SSDSettings
from microscope_qc.ml.quick_torchvision import torchvision

AnchorGenerator = torchvision.models.detection.anchor_utils.AnchorGenerator
BasicBlock = torchvision.models.resnet.BasicBlock
FeaturePyramidNetwork = torchvision.ops.FeaturePyramidNetwork

_LARGEST_LOG_RATIO = math.log(1000.0 / 16)


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _stage(inputs: int, outputs: int, *, blocks: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    layers = [BasicBlock(inputs, outputs, stride, shortcut)]
    layers += [BasicBlock(outputs, outputs) for _ in range(blocks - 1)]
    return nn.Sequential(*layers)


class SSD(DenseDetector):
    """The network: from images to class logits and box offsets for every default box.

    Parameters
    ----------
    settings : SSDSettings
    classes : int
        Number of classes, not counting background (each class has its own sigmoid).
    """

    strides = (8, 16, 32, 64)

    def __init__(self, settings: SSDSettings, *, classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        one, two, three, four = settings.widths
        self.stem = nn.Sequential(_conv(3, settings.stem, stride=2), _conv(settings.stem, one, stride=2))
        self.stage1 = _stage(one, one, blocks=settings.depths[0], stride=1)
        self.stage2 = _stage(one, two, blocks=settings.depths[1], stride=2)
        self.stage3 = _stage(two, three, blocks=settings.depths[2], stride=2)
        self.stage4 = _stage(three, four, blocks=settings.depths[3], stride=2)
        self.pyramid = FeaturePyramidNetwork([two, three, four], settings.pyramid)
        self.coarsest = _conv(settings.pyramid, settings.pyramid, stride=2)
        self.tower = head_tower(settings.pyramid, settings.tower)
        self.kinds = len(settings.aspect_ratios)
        self.classify = nn.Conv2d(settings.pyramid, self.kinds * classes, 3, 1, 1)
        self.locate = nn.Conv2d(settings.pyramid, self.kinds * 4, 3, 1, 1)
        self._default_boxes = AnchorGenerator(
            tuple((size,) for size in settings.sizes), (settings.aspect_ratios,) * len(settings.sizes)
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in self.modules():  # residual branches start at zero: deep networks learn sooner from scratch
            if isinstance(block, BasicBlock):
                nn.init.zeros_(block.bn2.weight)
        for output in (self.classify, self.locate):
            nn.init.normal_(output.weight, std=0.01)
        assert self.classify.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the network to a batch.

        Parameters
        ----------
        images : Tensor, (B, 3, H, W)
            Normalised; H and W multiples of 64.

        Returns
        -------
        (Tensor, Tensor)
            Class logits (B, N, classes) and box offsets (B, N, 4) in float32 for the N boxes of :meth:`default_boxes`.
        """
        first = self.stage2(self.stage1(self.stem(images)))
        second = self.stage3(first)
        third = self.stage4(second)
        levels = list(self.pyramid({"8": first, "16": second, "32": third}).values())
        levels.append(self.coarsest(levels[-1]))
        logits, offsets = [], []
        for level in levels:
            features = self.tower(level)
            logits.append(self._flat(self.classify(features), self.classes))
            offsets.append(self._flat(self.locate(features), 4))
        return torch.cat(logits, 1).float(), torch.cat(offsets, 1).float()

    def _flat(self, maps: Tensor, values: int) -> Tensor:
        batch, _, height, width = maps.shape
        flat = maps.view(batch, self.kinds, values, height, width).permute(0, 3, 4, 1, 2)
        return flat.reshape(batch, height * width * self.kinds, values)

    def places(self, height: int, width: int) -> Tensor:
        """The default boxes, see :class:`DenseDetector`."""
        return self.default_boxes(height, width)[0]

    def features(self, images: Tensor) -> Tensor:
        """See :class:`DenseDetector`."""
        for part in (self.stem, self.stage1, self.stage2, self.stage3, self.stage4):
            images = part(images)
        return images

    def boxes(self, values: Tensor, places: Tensor) -> Tensor:
        """See :class:`DenseDetector`."""
        return decode(values, places)

    def default_boxes(self, height: int, width: int) -> tuple[Tensor, list[int]]:
        """Default boxes (N, 4) as x0, y0, x1, y1 in model pixels, and how many of them each level has."""
        grids = [[height // stride, width // stride] for stride in self.strides]
        device = self.classify.weight.device
        steps = [[torch.tensor(s, device=device), torch.tensor(s, device=device)] for s in self.strides]
        self._default_boxes.set_cell_anchors(torch.float32, device)
        boxes = self._default_boxes.grid_anchors(grids, steps)
        # grid_anchors puts the boxes on the corners of the cells; the features belong to their centres
        boxes = [level + stride / 2 for level, stride in zip(boxes, self.strides, strict=True)]
        return torch.cat(boxes), [len(level) for level in boxes]


def decode(offsets: Tensor, default: Tensor) -> Tensor:
    """Boxes x0, y0, x1, y1 from offsets (..., 4) to default boxes (..., 4), as in Girshick et al. (CVPR 2014).

    torchvision's ``BoxCoder`` is private and takes only flat lists.
    """
    size = default[..., 2:] - default[..., :2]
    middle = default[..., :2] + 0.5 * size + offsets[..., :2] * size
    half = 0.5 * size * torch.exp(offsets[..., 2:].clamp(max=_LARGEST_LOG_RATIO))
    return torch.cat([middle - half, middle + half], dim=-1)
