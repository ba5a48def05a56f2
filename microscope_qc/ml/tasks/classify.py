"""A classifier of windows slid over a slide, with boxes from class activation maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures import CLASSIFIERS, build_classifier
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.architectures.window_classifier import WindowClassifier
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.devices import choose_device
from microscope_qc.ml.library import model_folder
from microscope_qc.ml.tasks.base import Size
from microscope_qc.ml.tasks.sliding import Scores, SlidingTask
from microscope_qc.ml.weights import load_weights


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

    @classmethod
    def load(cls, name_or_path: str | Path, *, device: str = "auto", threshold: float = 0.05) -> WindowTask:
        """Load a bundled model by name, or a folder.

        Raises
        ------
        ModelError
            When it is no classifier of windows, or card and weights do not fit.
        """
        folder = model_folder(name_or_path)
        card = read_card(folder)
        if card.task != "classify" or card.architecture not in CLASSIFIERS:
            raise ModelError(f"The model {card.name} does not classify windows (its task is {card.task}).")
        network = build_classifier(card.architecture, card.network, classes=len(card.classes))
        load_weights(network, folder / WEIGHTS_NAME)
        return cls(card, network, device=choose_device(device), threshold=threshold)

    def plain(self) -> Any:
        """Class maps of pictures."""
        return cast(WindowClassifier, self._network).maps

    def maps(self, pictures: Tensor, size: Size) -> Tensor:
        """Class maps: their means are logits."""
        found: Tensor = self.answers(pictures).float()
        return found

    def confidences(self, found: Scores, size: Size) -> np.ndarray:
        """Shares of the classes; the last score is that of "none of them"."""
        exp: Floats = np.exp(found.values - found.values.max(axis=0, keepdims=True))
        shares: Floats = exp / exp.sum(axis=0, keepdims=True)
        return shares.astype(np.float32)[:-1]

    def evidence(self, maps: np.ndarray, label: int) -> np.ndarray:
        """Evidence for a class against "none of them"."""
        lead: Floats = maps[label] - maps[-1]
        return lead
