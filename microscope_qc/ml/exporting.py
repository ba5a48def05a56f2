"""Writes a detector as ONNX and compares it with the original."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.dense.detector import DenseDetector
from microscope_qc.ml.architectures.loading import open_network
from microscope_qc.ml.cards import ModelCard

MOST_AT_ONCE = 256
_SHOWN = 0.05
_SEED = 5


class _Whole(nn.Module):
    """From pixels (n, 3, side, side), 0 to 255, to scores (n, places, classes) and boxes (n, places, 4)."""

    mean: Tensor
    std: Tensor
    places: Tensor

    def __init__(self, card: ModelCard, detector: DenseDetector) -> None:
        super().__init__()
        self.detector = detector
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1) * 255)
        self.register_buffer("places", detector.places(card.tile_px, card.tile_px))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, apply the network, and decode the boxes."""
        logits, values = self.detector((pixels - self.mean) / self.std)
        return logits.sigmoid(), self.detector.boxes(values, self.places)


class Exporter:
    """A detector that is to be written as ONNX.

    Attributes
    ----------
    side_px
        Side of the pictures, in model pixels.

    Raises
    ------
    ModelError
        When its network has no scores for fixed places, but chooses its boxes itself.
    """

    def __init__(self, folder: Path) -> None:
        card, network = open_network(folder)
        if not isinstance(network, DenseDetector):
            raise ModelError(
                f"{card.name} is not exported: its network, {architecture(card.architecture).title}, chooses its boxes "
                "itself.",
                hint="Export a one-stage detector.",
            )
        self.side_px = card.tile_px
        self._network = _Whole(card, network).eval()

    def write(self, path: Path, about: Mapping[str, object]) -> None:
        """Write it for any number of pictures at once; ``about`` says in the file what its numbers mean."""
        import onnx

        torch.onnx.export(
            self._network, (torch.from_numpy(self._pictures(2)),), str(path), input_names=["pixels"],
            output_names=["scores", "boxes"], dynamic_shapes=({0: torch.export.Dim("n", min=1, max=MOST_AT_ONCE)},),
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        model = onnx.load(str(path))
        texts = {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}
        onnx.helper.set_model_props(model, texts)
        onnx.save(model, str(path))

    def differences(self, path: Path) -> tuple[float, float]:
        """Largest differences of scores, and of sides of boxes with some score, for one picture and for three."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        most = most_px = 0.0
        for count in (1, 3):
            pixels = self._pictures(count)
            with torch.inference_mode():
                scores, boxes = (tensor.numpy() for tensor in self._network(torch.from_numpy(pixels)))
            said, places = session.run(None, {"pixels": pixels})
            most = max(most, float(np.abs(said - scores).max()))
            shown = scores.max(-1) > _SHOWN
            most_px = max(most_px, float(np.abs(places - boxes)[shown].max(initial=0.0)))
        return most, most_px

    def _pictures(self, count: int) -> np.ndarray:
        shape = count, 3, self.side_px, self.side_px
        return np.random.default_rng(_SEED).integers(0, 256, shape).astype(np.float32)
