"""The single-shot multi-box detector.

Liu et al., "SSD: Single Shot MultiBox Detector" (ECCV 2016), on the last two stages of a backbone and four blocks
behind it: for a picture of 512 px six maps of 32, 16, 8, 4, 2 and 1 cells along each side. Head, matching and loss are
those of torchvision.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from microscope_qc.ml.architectures.published.detector import AsTheyAre, Backbone, PublishedDetector
from microscope_qc.ml.architectures.published.settings import MultiBoxSettings
from microscope_qc.ml.backbones.trunks import make_trunk
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.ml.tasks.boxes import MOST

STRIDES_PX = (16, 32, 64, 128, 256, 512)
_RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
"""Beside 1, which comes in two sizes; each with its inverse."""
_SMALLEST, _LARGEST = 0.2, 0.9
_MULTIPLE_PX = 64


class DefaultBoxes(torchvision.models.detection.anchor_utils.DefaultBoxGenerator):  # type: ignore[misc]
    """torchvision's default boxes for pictures of one size, laid out over pictures of any size."""

    def __init__(self, input_px: int) -> None:
        super().__init__(_RATIOS, min_ratio=_SMALLEST, max_ratio=_LARGEST, steps=list(STRIDES_PX))
        self._input_px = input_px

    def forward(self, images: torchvision.models.detection.image_list.ImageList, maps: list[Tensor]) -> list[Tensor]:
        """Default boxes (N, 4) as x0, y0, x1, y1 in pixels, for each image."""
        grids = [list(values.shape[-2:]) for values in maps]
        boxes = self._grid_default_boxes(grids, [self._input_px] * 2).to(maps[0].device) * self._input_px
        corners = torchvision.ops.box_convert(boxes, "cxcywh", "xyxy")
        return [corners for _ in images.image_sizes]


class _Extended(Backbone):
    """A backbone and four blocks behind it, each of which halves the map."""

    def __init__(self, body: nn.Module, inputs: list[int], widths: tuple[int, ...]) -> None:
        super().__init__(body, [*inputs, *widths])
        self.extra = nn.ModuleList()
        before = inputs[-1]
        for width in widths:
            inner = max(1, width // 2)
            self.extra.append(
                nn.Sequential(
                    nn.Conv2d(before, inner, 1), nn.ReLU(inplace=True),
                    nn.Conv2d(inner, width, 3, 2, 1), nn.ReLU(inplace=True),
                )
            )  # fmt: skip
            before = width
        for module in self.extra.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def beyond(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Apply the blocks, one after the other."""
        levels = list(maps.values())
        for block in self.extra:
            levels.append(block(levels[-1]))
        return OrderedDict((str(number), values) for number, values in enumerate(levels))


def multi_box(trunk: str, settings: MultiBoxSettings, *, classes: int) -> PublishedDetector:
    """An untrained detector on a backbone's maps at strides 16 and 32.

    Parameters
    ----------
    trunk
        Name of the backbone.
    classes
        Number of classes, not counting background.
    """
    body, channels = make_trunk(trunk, strides=STRIDES_PX[:2], width=settings.width)
    detector = torchvision.models.detection.ssd.SSD(
        _Extended(body, channels, settings.extras), DefaultBoxes(settings.input_px),
        (settings.input_px, settings.input_px), classes + 1, nms_thresh=0.5, detections_per_img=MOST, iou_thresh=0.5,
        positive_fraction=0.25,  # three hard negatives for each positive
    )  # fmt: skip
    detector.transform = AsTheyAre(multiple_px=_MULTIPLE_PX)
    outputs = {f"head.classification_head.module_list.{number}": 1 for number in range(len(STRIDES_PX))}
    return PublishedDetector(detector, settings, classes=classes, outputs=outputs)
