"""A classifier of textures, slid over a slide; its boxes are whole windows, as it does not say where in one."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from microscope_qc.core.arrays import Floats
from microscope_qc.ml.architectures.texture.network import TextureClassifier
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.base import Size
from microscope_qc.ml.tasks.sliding import Scores, SlidingTask


class TextureTask(SlidingTask):
    """A classifier of textures as the engine runs it: each window by itself, on the processor.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    def __init__(
        self, card: ModelCard, network: TextureClassifier[Any], *, device: torch.device, threshold: float
    ) -> None:
        super().__init__(card, network, device=device, threshold=threshold, stride=1, place_px=1)

    @property
    def shares(self) -> bool:
        """Never: what describes a window is of all of it."""
        return False

    def maps(self, images: Tensor, size: Size) -> Tensor:
        """Scores of windows as maps of one place."""
        network = cast(TextureClassifier[Any], self._network)
        pixels = (images * self._std + self._mean).round().clamp(0, 255).byte()
        windows = pixels.permute(0, 2, 3, 1)[:, : size[0], : size[1]].cpu().numpy()
        described = np.stack([network.describe(grey_of(window)) for window in windows])
        scores: Tensor = network(torch.from_numpy(described).to(self.device))
        return scores.float()[:, :, None, None]

    def confidences(self, found: Scores, size: Size) -> np.ndarray:
        """Shares of the classes, without the last score, which is that of "none of them"."""
        exp: Floats = np.exp(found.values - found.values.max(axis=0, keepdims=True))
        shares: Floats = exp / exp.sum(axis=0, keepdims=True)
        return shares.astype(np.float32)[:-1]

    def evidence(self, maps: np.ndarray, label: int) -> np.ndarray:
        """The lead of a class over "none of them", the same everywhere."""
        lead: Floats = maps[label] - maps[-1]
        return lead


def grey_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels uint8 (h, w, 3) as uint8 (h, w)."""
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
