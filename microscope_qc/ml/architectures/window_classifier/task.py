"""A classifier of windows, slid over a slide, with boxes from class activation maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from microscope_qc.core.arrays import Floats
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.base import Size
from microscope_qc.ml.tasks.sliding import Scores, SlidingTask


class WindowTask(SlidingTask):
    """A classifier of windows as the engine runs it.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    def __init__(self, card: ModelCard, network: WindowClassifier, *, device: torch.device, threshold: float) -> None:
        folded = cast(WindowClassifier, fused(network))
        stride = folded.stride
        super().__init__(card, folded, device=device, threshold=threshold, stride=stride, place_px=stride)

    @property
    def shares(self) -> bool:
        """See :class:`SlidingTask`."""
        return super().shares and cast(WindowClassifier, self._network).aligned

    def plain(self) -> Callable[[Tensor], object]:
        """Class maps of images."""
        return cast(WindowClassifier, self._network).maps

    def maps(self, images: Tensor, size: Size) -> Tensor:
        """Class maps, whose means are the logits."""
        return cast(Tensor, self.run(images)).float()

    def confidences(self, found: Scores, size: Size) -> np.ndarray:
        """Probabilities of the classes, without the last score, which is that of "none of them"."""
        exp: Floats = np.exp(found.values - found.values.max(axis=0, keepdims=True))
        shares: Floats = exp / exp.sum(axis=0, keepdims=True)
        return shares.astype(np.float32)[:-1]

    def evidence(self, maps: np.ndarray, label: int) -> np.ndarray:
        """Evidence for a class against "none of them"."""
        lead: Floats = maps[label] - maps[-1]
        return lead
