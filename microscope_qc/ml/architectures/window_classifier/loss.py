"""Losses of classifiers: cross-entropy, weighted by class, and focal."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def classification_loss(logits: Tensor, labels: Tensor, *, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """Mean of ``-weight (1 - p)^gamma log p`` of the true classes, where p is their probability.

    With ``gamma`` 0 this is weighted cross-entropy; all weights 1 make it plain. With more, examples that are easy
    count less (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017).

    Parameters
    ----------
    logits : Tensor, (n, classes)
    labels : Tensor of int, (n,)
    weights : Tensor, (classes,)
    """
    likely = functional.log_softmax(logits.float(), dim=1).gather(1, labels[:, None])[:, 0]
    easy = (1 - likely.exp()).clamp_min(0) ** gamma if gamma else 1.0
    return (-weights[labels] * easy * likely).mean()
