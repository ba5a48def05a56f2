"""Losses of classifiers: cross-entropy, weighted by class, and focal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.errors import ModelError

NONE = "none"
"""Name of windows that show no defect, among the weights of classes."""


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


def class_weights(
    alpha: float | Mapping[str, float] | None, classes: Sequence[str], counts: np.ndarray, *, weighted: bool
) -> list[float]:
    """Weight of every class and of "none of them".

    Parameters
    ----------
    alpha
        Weight of every class of defects, where windows that show none have 1; or weights by code, with
        :data:`NONE` for these windows, and 1 for what is not named. None: where ``weighted``, how much rarer a class is
        than the most frequent one.
    counts : ndarray of int, (classes + 1,)
        Examples of each class and of none.

    Raises
    ------
    ModelError
        When there is no such class.
    """
    if isinstance(alpha, Mapping):
        unknown = [code for code in alpha if code not in (*classes, NONE)]
        if unknown:
            raise ModelError(
                f"There is a weight for {unknown[0]}, of which there is nothing to learn from.",
                hint=f"There is: {', '.join([*classes, NONE])}.",
            )
        return [float(alpha.get(code, 1.0)) for code in (*classes, NONE)]
    if alpha is not None:
        return [float(alpha)] * len(classes) + [1.0]
    if not weighted:
        return [1.0] * (len(classes) + 1)
    return [float(counts.max() / count) if count else 1.0 for count in counts]
