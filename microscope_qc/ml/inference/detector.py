"""A model with its weights on a device: pictures in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.errors import ModelError
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.card import WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.devices import autocast, choose_device
from microscope_qc.ml.models import model_folder
from microscope_qc.ml.networks import DETECTORS, build_detector
from microscope_qc.ml.networks.ssd import SSD, candidates
from microscope_qc.ml.weights import load_weights

STRIDE = 64


class Detector:
    """Finds defects in pictures at the model's pixel size.

    Parameters
    ----------
    card : ModelCard
    network : SSD
    device : str
        "auto", "cpu" or "cuda:0".
    """

    def __init__(self, card: ModelCard, network: SSD, *, device: str = "auto") -> None:
        self.card = card
        self.device = choose_device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self._mean = torch.tensor(card.mean, device=self.device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(card.std, device=self.device).view(1, 3, 1, 1) * 255

    @classmethod
    def load(cls, name_or_path: str | Path, *, device: str = "auto") -> Detector:
        """Load a bundled model by name, or a folder.

        Raises
        ------
        ModelError
            When it is no detector, or card and weights do not fit.
        """
        folder = model_folder(name_or_path)
        card = read_card(folder)
        if card.task != "detect" or card.architecture not in DETECTORS:
            raise ModelError(f"The model {card.name} does not find defects (its task is {card.task}).")
        network = build_detector(card.architecture, card.network, classes=len(card.classes))
        load_weights(network, folder / WEIGHTS_NAME)
        return cls(card, network, device=device)

    @torch.inference_mode()
    def find(self, pictures: Sequence[np.ndarray], *, threshold: float = 0.05) -> list[np.ndarray]:
        """Candidates of pictures.

        Parameters
        ----------
        pictures : sequence of ndarray, uint8 (h, w, 3)
            RGB at the model's pixel size; sizes may differ.
        threshold
            Lowest confidence kept.

        Returns
        -------
        list of ndarray of CANDIDATE_DTYPE
            In the pixels of each picture; ``tile`` is 0.
        """
        if not pictures:
            return []
        sizes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
        batch = self._batch(pictures, sizes)
        with autocast(self.device):
            found = candidates(self.network, batch, sizes=sizes, threshold=threshold)
        return [_rows(*parts) for parts in found]

    def _batch(self, pictures: Sequence[np.ndarray], sizes: list[tuple[int, int]]) -> Tensor:
        height = -(-max(size[0] for size in sizes) // STRIDE) * STRIDE
        width = -(-max(size[1] for size in sizes) // STRIDE) * STRIDE
        padded = []
        for picture, (h, w) in zip(pictures, sizes, strict=True):
            tensor = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(2, 0, 1)[None].float()
            normal = (tensor - self._mean) / self._std
            # zero is the mean colour
            padded.append(functional.pad(normal, (0, width - w, 0, height - h)))
        return torch.cat(padded).contiguous(memory_format=torch.channels_last)


def _rows(boxes: Tensor, scores: Tensor, labels: Tensor) -> np.ndarray:
    rows = np.zeros(len(scores), CANDIDATE_DTYPE)
    corners = boxes.double().numpy()
    for column, name in enumerate(("y0", "x0", "y1", "x1")):
        rows[name] = corners[:, column]
    rows["confidence"] = scores.float().numpy()
    rows["label"] = labels.numpy()
    return rows
