"""Single-shot detector for small, often elongated defects.

Default boxes on a feature pyramid as in Liu et al., "SSD: Single Shot MultiBox Detector" (ECCV 2016) and Lin et al.,
"Focal Loss for Dense Object Detection" (ICCV 2017), on a light residual backbone that trains from scratch without a
graphics card.
One head is shared by all levels, so that every defect teaches every size.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from microscope_qc.ml.quick_torchvision import torchvision

AnchorGenerator = torchvision.models.detection.anchor_utils.AnchorGenerator
BasicBlock = torchvision.models.resnet.BasicBlock
FeaturePyramidNetwork = torchvision.ops.FeaturePyramidNetwork

PRIOR = 0.01  # share of default boxes that hold a defect at the start: keeps the first steps of the focal loss calm
MOST_COMPARED = 2000
"""Strongest boxes of a picture among which overlapping ones are dropped."""
_LARGEST_LOG_RATIO = math.log(1000.0 / 16)


@dataclass(frozen=True)
class SSDSettings:
    """Size of the network.

    Attributes
    ----------
    stem, widths, depths
        Channels of the first convolution, channels and residual blocks at strides 4, 8, 16 and 32.
    pyramid
        Channels of the feature pyramid (strides 8, 16, 32, 64) and of the head.
    tower
        Convolutions of the head before its two outputs.
    sizes
        Side of the square default box at each level, model pixels.
    aspect_ratios
        Height over width of the default boxes at each place.
    """

    stem: int = 16
    widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    depths: tuple[int, int, int, int] = (1, 2, 2, 1)
    pyramid: int = 64
    tower: int = 1
    sizes: tuple[float, float, float, float] = (20.0, 40.0, 80.0, 160.0)
    aspect_ratios: tuple[float, ...] = (0.33, 1.0, 3.0)

    @classmethod
    def tiny(cls) -> SSDSettings:
        """Small enough for tests and for a first try on a slow machine."""
        return cls(stem=8, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), pyramid=16, tower=1)

    def updated(self, changes: dict[str, Any]) -> SSDSettings:
        """Return a copy with some fields replaced (lists, as JSON has them, become tuples)."""
        values: dict[str, Any] = {}
        for name, value in changes.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        return dataclasses.replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """All fields, as JSON gives them back."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


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


class SSD(nn.Module):
    """The network: pictures in, class logits and box offsets for every default box out.

    Parameters
    ----------
    settings : SSDSettings
    classes : int
        Number of classes, background not counted (each class has its own sigmoid).
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
        # group normalisation, because the statistics of the levels that share this head differ
        tower: list[nn.Module] = []
        for _ in range(settings.tower):
            tower += [
                nn.Conv2d(settings.pyramid, settings.pyramid, 3, 1, 1, bias=False),
                nn.GroupNorm(8, settings.pyramid),
                nn.ReLU(inplace=True),
            ]
        self.tower = nn.Sequential(*tower)
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
        for block in self.modules():  # residual branches start as nothing: deep nets from scratch learn sooner
            if isinstance(block, BasicBlock):
                nn.init.zeros_(block.bn2.weight)
        for output in (self.classify, self.locate):
            nn.init.normal_(output.weight, std=0.01)
        assert self.classify.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Parameters
        ----------
        pictures : Tensor, (B, 3, H, W)
            Normalised; H and W multiples of 64.

        Returns
        -------
        (Tensor, Tensor)
            Class logits (B, N, classes) and box offsets (B, N, 4) in float32 for the N boxes of :meth:`default_boxes`.
        """
        first = self.stage2(self.stage1(self.stem(pictures)))
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

    def default_boxes(self, height: int, width: int) -> tuple[Tensor, list[int]]:
        """Default boxes (N, 4) as x0, y0, x1, y1 in model pixels, and how many of them each level has."""
        grids = [[height // stride, width // stride] for stride in self.strides]
        device = self.classify.weight.device
        steps = [[torch.tensor(s, device=device), torch.tensor(s, device=device)] for s in self.strides]
        self._default_boxes.set_cell_anchors(torch.float32, device)
        boxes = self._default_boxes.grid_anchors(grids, steps)
        # grid_anchors puts the boxes on the corners of the cells; the features stand for their middles
        boxes = [level + stride / 2 for level, stride in zip(boxes, self.strides, strict=True)]
        return torch.cat(boxes), [len(level) for level in boxes]


def decode(offsets: Tensor, default: Tensor) -> Tensor:
    """Boxes x0, y0, x1, y1 from offsets (..., 4) to default boxes (..., 4), as in Girshick et al. (CVPR 2014)."""
    size = default[..., 2:] - default[..., :2]
    middle = default[..., :2] + 0.5 * size + offsets[..., :2] * size
    half = 0.5 * size * torch.exp(offsets[..., 2:].clamp(max=_LARGEST_LOG_RATIO))
    return torch.cat([middle - half, middle + half], dim=-1)


@torch.inference_mode()
def candidates(
    network: SSD,
    pictures: Tensor,
    *,
    sizes: list[tuple[int, int]],
    threshold: float = 0.05,
    iou: float = 0.5,
    most: int = 300,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Find defects in a batch.

    Parameters
    ----------
    pictures : Tensor, (B, 3, H, W)
        Normalised and padded to multiples of 64.
    sizes : list of (height, width)
        Part of each picture that is not padding: boxes are clipped to it.
    threshold
        Lowest confidence kept.
    iou
        Within a class the weaker of two boxes overlapping by more is dropped.
    most
        Most boxes kept in a picture.

    Returns
    -------
    list of (boxes (n, 4) as y0, x0, y1, x1, confidence (n,), label (n,))
        One entry for each picture, strongest first, on the CPU.
    """
    logits, offsets = network(pictures)
    default, _ = network.default_boxes(int(pictures.shape[2]), int(pictures.shape[3]))
    found = []
    for logit, offset, size in zip(logits, offsets, sizes, strict=True):
        scores = logit.sigmoid().flatten()
        # NaN compares false: a broken picture gives no candidates instead of nonsense
        index = torch.nonzero(scores > threshold).flatten()
        index = index[torch.argsort(scores[index], descending=True, stable=True)[:MOST_COMPARED]]
        place = index // network.classes
        answer = choose(
            decode(offset[place], default[place]), scores[index], index % network.classes, size=size, iou=iou, most=most
        )
        found.append((answer[0].cpu(), answer[1].cpu(), answer[2].cpu()))
    return found


def choose(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, size: tuple[int, int], iou: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Clip boxes (n, 4) as x0, y0, x1, y1 to a picture of ``size`` and drop the weaker of those that overlap.

    Returns
    -------
    (boxes (m, 4) as y0, x0, y1, x1, confidence (m,), label (m,))
        Strongest first.
    """
    height, width = size
    boxes = torch.stack(
        [
            boxes[:, 0].clamp(0, width), boxes[:, 1].clamp(0, height),
            boxes[:, 2].clamp(0, width), boxes[:, 3].clamp(0, height),
        ], dim=1
    )  # fmt: skip
    large = ((boxes[:, 2:] - boxes[:, :2]) >= 1.0).all(dim=1)
    boxes, labels, scores = boxes[large], labels[large], scores[large]
    keep = torchvision.ops.batched_nms(boxes, scores, labels, iou)[:most]
    return boxes[keep][:, [1, 0, 3, 2]], scores[keep], labels[keep]
