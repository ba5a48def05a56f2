"""The training targets of the detector, which default box is responsible for which defect, and the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.ssd.network import decode
from microscope_qc.ml.quick_torchvision import torchvision

CANDIDATES_PER_LEVEL = 9


def assign(default: Tensor, levels: list[int], truth: Tensor) -> Tensor:
    """Choose the default boxes that are responsible for each defect.

    Adaptive training sample selection, Zhang et al., CVPR 2020: of the nearest default boxes of each level, those whose
    overlap is above the mean plus the standard deviation. This suits thin cracks as well as round particles, unlike a
    fixed overlap.

    Returns
    -------
    Tensor of int64, (N,)
        Index of the defect, or -1 for background.
    """
    count, defects = len(default), len(truth)
    owner = torch.full((count,), -1, dtype=torch.int64)
    if defects == 0:
        return owner
    overlap = torchvision.ops.box_iou(truth, default)
    middle = (default[:, :2] + default[:, 2:]) / 2
    truth_middle = (truth[:, :2] + truth[:, 2:]) / 2
    distance = torch.cdist(truth_middle, middle)
    near = torch.zeros(defects, count, dtype=torch.bool)
    start = 0
    for number in levels:
        part = distance[:, start : start + number]
        index = part.topk(min(CANDIDATES_PER_LEVEL, number), dim=1, largest=False).indices
        near[:, start : start + number].scatter_(1, index, True)
        start += number
    picked = overlap.masked_fill(~near, 0)
    number_near = near.sum(1, keepdim=True)
    mean = picked.sum(1, keepdim=True) / number_near
    spread = (((picked - mean) ** 2 * near).sum(1, keepdim=True) / (number_near - 1).clamp(min=1)).sqrt()
    inside = (
        (middle[None, :, 0] > truth[:, None, 0])
        & (middle[None, :, 1] > truth[:, None, 1])
        & (middle[None, :, 0] < truth[:, None, 2])
        & (middle[None, :, 1] < truth[:, None, 3])
    )
    positive = near & inside & (overlap >= mean + spread)
    best = overlap.argmax(1)  # every defect gets at least one box: the best
    positive[torch.arange(defects), best] = True
    value = torch.where(positive, overlap, torch.full_like(overlap, -1.0))
    value[torch.arange(defects), best] += 1.0
    strongest, index = value.max(0)
    return torch.where(strongest >= 0, index, owner)


def detection_loss(
    logits: Tensor,
    offsets: Tensor,
    *,
    default: Tensor,
    levels: list[int],
    targets: list[BoxTarget],
    box_weight: float = 2.0,
) -> dict[str, Tensor]:
    """Focal loss of the classes plus generalised-IoU loss of the boxes, both per positive default box.

    Parameters
    ----------
    logits : Tensor, (B, N, classes)
    offsets : Tensor, (B, N, 4)
    default : Tensor, (N, 4)
    levels : list of int
        Number of default boxes at each level.
    targets : list of BoxTarget
        One for each image.
    box_weight
        Weight of the box loss relative to the class loss.

    Returns
    -------
    dict
        "classify" and "locate", weighted.
    """
    wanted = torch.zeros_like(logits)
    counted = torch.ones(logits.shape[:2], dtype=logits.dtype)
    cpu_default = default.cpu()
    middle = (cpu_default[:, :2] + cpu_default[:, 2:]) / 2
    rows, truths = [], []
    for number, target in enumerate(targets):
        owner = assign(cpu_default, levels, target.boxes)
        positive = torch.nonzero(owner >= 0).flatten()
        if len(target.ignore):
            counted[number, target.ignores(middle) & (owner < 0)] = 0
        wanted[number, positive, target.labels[owner[positive]]] = 1.0
        rows.append(positive + number * len(default))
        truths.append(target.boxes[owner[positive]])
    row = torch.cat(rows).to(logits.device)
    truth = torch.cat(truths).to(logits.device)
    positives = max(1, len(row))
    focal = torchvision.ops.sigmoid_focal_loss(logits, wanted, alpha=0.25, gamma=2.0).sum(2)
    classify = (focal * counted.to(logits.device)).sum() / positives
    boxes = decode(offsets.reshape(-1, 4)[row], default[row % len(default)])
    locate = torchvision.ops.generalized_box_iou_loss(boxes, truth, reduction="sum") / positives
    return {"classify": classify, "locate": box_weight * locate}
