"""Faster R-CNN: a first stage proposes places, a second one looks at each.

Ren et al., "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks" (NeurIPS 2015), and with a
feature pyramid Lin et al., "Feature Pyramid Networks for Object Detection" (CVPR 2017). Its parts and losses are those
of torchvision.
"""

from __future__ import annotations

from torch import Tensor, nn

from microscope_qc.ml.architectures.published.detector import AsTheyAre, Backbone, PublishedDetector
from microscope_qc.ml.architectures.published.settings import FasterRCNNSettings, PyramidSettings, SingleMapSettings
from microscope_qc.ml.backbones.trunks import make_trunk
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.ml.tasks.boxes import MOST

_STRIDE_PX = 16
_PYRAMID_STRIDES_PX = (4, 8, 16, 32)
_RATIOS = (0.5, 1.0, 2.0)
_POOLED = 7
_LEARNED_PROPOSALS = 2000
_BEFORE_SUPPRESSION = 12_000, 6000
"""Most confident anchors that compete to be proposals, in training and in detection."""
_OUTPUTS = {"roi_heads.box_predictor.cls_score": 1, "roi_heads.box_predictor.bbox_pred": 4}


class _MaxPool(torchvision.ops.MultiScaleRoIAlign):  # type: ignore[misc]
    """The largest values in 7 x 7 parts of each proposal, of a single map.

    torchvision's detector takes only this class; it aligns instead (He et al., ICCV 2017), which came later.
    """

    def __init__(self) -> None:
        super().__init__(["0"], _POOLED, 0)

    def forward(self, maps: dict[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
        """Apply it."""
        pooled: Tensor = torchvision.ops.roi_pool(maps["0"], boxes, self.output_size, 1 / _STRIDE_PX)
        return pooled


class _Pyramid(Backbone):
    """A backbone with a feature pyramid, in the names of torchvision."""

    def __init__(self, body: nn.Module, inputs: list[int], width: int) -> None:
        super().__init__(body, width)
        self.fpn = torchvision.ops.FeaturePyramidNetwork(
            inputs, width, extra_blocks=torchvision.ops.feature_pyramid_network.LastLevelMaxPool()
        )

    def beyond(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Apply the pyramid."""
        levels: dict[str, Tensor] = self.fpn(maps)
        return levels


def faster_rcnn(trunk: str, settings: FasterRCNNSettings, *, classes: int) -> PublishedDetector:
    """An untrained Faster R-CNN.

    Parameters
    ----------
    trunk
        Name of the backbone; its map at stride 16 is looked at, or as the settings say a pyramid of four maps and a
        fifth one, with one size of anchors each.
    classes
        Number of classes, not counting background.
    """
    parts, ops = torchvision.models.detection, torchvision.ops
    pyramid = isinstance(settings, PyramidSettings)
    strides = _PYRAMID_STRIDES_PX if pyramid else (_STRIDE_PX,)
    body, channels = make_trunk(trunk, strides=strides, width=settings.width)
    if isinstance(settings, PyramidSettings):
        backbone: Backbone = _Pyramid(body, channels, settings.pyramid)
        sizes: tuple[tuple[float, ...], ...] = tuple((side,) for side in settings.anchors)
        pool = ops.MultiScaleRoIAlign([str(number) for number in range(len(strides))], _POOLED, 2)
    else:
        backbone, sizes, pool = Backbone(body, channels[-1]), (settings.anchors,), _MaxPool()
    width = backbone.out_channels
    assert isinstance(width, int)
    rpn = settings.rpn if isinstance(settings, SingleMapSettings) else width
    anchors = parts.anchor_utils.AnchorGenerator(sizes, (_RATIOS,) * len(sizes))
    detector = parts.FasterRCNN(
        backbone,
        rpn_anchor_generator=anchors,
        rpn_head=_proposing(width, rpn, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=_LEARNED_PROPOSALS if pyramid else _BEFORE_SUPPRESSION[0],
        rpn_pre_nms_top_n_test=max(1000, settings.proposals) if pyramid else _BEFORE_SUPPRESSION[1],
        rpn_post_nms_top_n_train=_LEARNED_PROPOSALS,
        rpn_post_nms_top_n_test=settings.proposals,
        rpn_nms_thresh=0.7,
        rpn_fg_iou_thresh=0.7,
        rpn_bg_iou_thresh=0.3,
        rpn_batch_size_per_image=256,
        rpn_positive_fraction=0.5,
        box_roi_pool=pool,
        box_head=parts.faster_rcnn.TwoMLPHead(width * _POOLED**2, settings.head),
        box_predictor=parts.faster_rcnn.FastRCNNPredictor(settings.head, classes + 1),
        box_fg_iou_thresh=0.5,
        box_bg_iou_thresh=0.5,
        box_batch_size_per_image=128,
        box_positive_fraction=0.25,
        box_nms_thresh=0.5,
        box_detections_per_img=MOST,
    )
    detector.transform = AsTheyAre(multiple_px=2 * _STRIDE_PX)
    return PublishedDetector(detector, settings, classes=classes, outputs=_OUTPUTS)


def _proposing(inputs: int, width: int, anchors: int) -> nn.Module:
    """torchvision's first stage, whose convolution may have another width than the map."""
    head = torchvision.models.detection.rpn.RPNHead(width, anchors)
    if inputs != width:
        first = torchvision.ops.misc.Conv2dNormActivation(inputs, width, norm_layer=None)
        nn.init.normal_(first[0].weight, std=0.01)
        nn.init.zeros_(first[0].bias)
        head.conv = nn.Sequential(first)
    assert isinstance(head, nn.Module)
    return head
