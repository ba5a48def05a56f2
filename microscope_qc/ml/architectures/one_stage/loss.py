"""Which places are responsible for which defect, and the loss of the one-stage detector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.one_stage.network import OneStage
from microscope_qc.ml.quick_torchvision import torchvision

CANDIDATES = 13
"""Places that a defect gets at most."""
_FIT_POWER = 6.0
_NEAR = 0.75
"""Places this close to the middle of a defect, in strides, may find it even where it is thinner than a cell."""
_NEGATIVE_SHARE = 0.75


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, places: Tensor, target: BoxTarget) -> tuple[Tensor, Tensor]:
    """Choose the places that are responsible for each defect: those which find it best already.

    Task alignment learning, Feng et al., "TOOD: Task-aligned One-stage Object Detection" (ICCV 2021), with alpha 1 and
    beta 6.

    Parameters
    ----------
    scores : Tensor, (N, classes)
        Probabilities.
    boxes : Tensor, (N, 4)
        x0, y0, x1, y1 in model pixels.
    places : Tensor, (N, 3)
        From :meth:`OneStage.places`.

    Returns
    -------
    (Tensor of int64 (N,), Tensor (N,))
        Index of the defect, or -1 for background; and the score that the place should give it.
    """
    count = len(places)
    if len(target.boxes) == 0:
        return torch.full((count,), -1, dtype=torch.int64), torch.zeros(count)
    corners = target.boxes
    points, strides = places[:, :2], places[:, 2]
    inside = ((points[None] > corners[:, None, :2]) & (points[None] < corners[:, None, 2:])).all(2)
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    away = ((points[None] - middle[:, None]) / strides[None, :, None]).abs().amax(2)
    allowed = inside | (away < _NEAR)
    overlap = torchvision.ops.box_iou(corners, boxes).nan_to_num(0).clamp(min=0)
    fit = scores[:, target.labels].T * overlap**_FIT_POWER * allowed
    best, index = fit.topk(min(CANDIDATES, count), dim=1)
    mine = torch.zeros_like(allowed).scatter_(1, index, best > 0)
    for number in torch.nonzero(~mine.any(1)).flatten().tolist():  # nothing overlaps it yet: the nearest place
        mine[number, away[number].masked_fill(~allowed[number], torch.inf).argmin()] = True
    strongest, owner = torch.where(mine, overlap, torch.full_like(overlap, -1.0)).max(0)
    owner = torch.where(strongest >= 0, owner, torch.full_like(owner, -1))
    mine &= owner[None] == torch.arange(len(corners))[:, None]
    fit, overlap = fit * mine, overlap * mine
    wanted = fit / fit.amax(1, keepdim=True).clamp(min=1e-9) * overlap.amax(1, keepdim=True)
    return owner, wanted.amax(0)


def detection_loss(
    network: OneStage,
    logits: Tensor,
    distances: Tensor,
    *,
    places: Tensor,
    targets: list[BoxTarget],
    box_weight: float = 2.0,
) -> dict[str, Tensor]:
    """Varifocal loss of the classes plus generalised-IoU loss of the boxes, both weighted by how well a place fits.

    Parameters
    ----------
    logits : Tensor, (B, N, classes)
    distances : Tensor, (B, N, 4)
    places : Tensor, (N, 3)
    targets : list of BoxTarget
        One for each image.
    box_weight
        Weight of the box loss relative to the class loss.

    Returns
    -------
    dict
        "classify" and "locate", weighted.
    """
    boxes = network.boxes(distances, places)
    known, found, here = (tensor.detach().cpu() for tensor in (logits.sigmoid(), boxes, places))
    wanted = torch.zeros(logits.shape)
    counted = torch.ones(logits.shape[:2])
    rows, truths, weights = [], [], []
    for number, target in enumerate(targets):
        owner, score = assign(known[number], found[number], here, target)
        if len(target.ignore):
            counted[number, target.ignores(here[:, :2]) & (owner < 0)] = 0
        positive = torch.nonzero(owner >= 0).flatten()
        wanted[number, positive, target.labels[owner[positive]]] = score[positive]
        rows.append(positive + number * len(here))
        truths.append(target.boxes[owner[positive]])
        weights.append(score[positive])
    device = logits.device
    row, truth, weight = (torch.cat(parts).to(device) for parts in (rows, truths, weights))
    wanted, total = wanted.to(device), weight.sum().clamp(min=1)
    share = torch.where(wanted > 0, wanted, _NEGATIVE_SHARE * logits.detach().sigmoid().square())
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * share
    classify = (loss.sum(2) * counted.to(device)).sum() / total
    miss = torchvision.ops.generalized_box_iou_loss(boxes.reshape(-1, 4)[row], truth)
    return {"classify": classify, "locate": box_weight * (miss * weight).sum() / total}
