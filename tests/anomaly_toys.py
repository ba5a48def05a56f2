"""Normal and anomalous pictures, and an untrained anomaly model that tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.cards import WEIGHTS_NAME, AnomalySettings, ModelCard, WindowSettings, write_card
from microscope_qc.ml.weights import save_weights

WINDOW, STRIDE = 64, 48


def waves(seed: int, *, height: int, width: int, spots: tuple[tuple[int, int], ...] = (), side: int = 14) -> np.ndarray:
    """Soft waves, which are normal, uint8 (h, w, 3), with anomalous squares centred at (y, x)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = 127 + 15 * np.sin(y / 70 + rng.random() * 6) * np.cos(x / 90) + rng.normal(0, 3, (height, width))
    for row, column in spots:
        picture[(np.abs(y - row) < side / 2) & (np.abs(x - column) < side / 2)] = 240
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def blurring_autoencoder(folder: Path) -> Path:
    """A model folder with untrained weights that reconstruct a picture from a sixteenth of its size."""
    settings = {"widths": [3, 3, 3, 3], "slope": 1.0}
    network = build_network("autoencoder", settings, classes=1)
    down, up = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                kernel = down if isinstance(layer, torch.nn.Conv2d) else up
                layer.weight.zero_()
                layer.bias.zero_()
                for colour in range(3):
                    layer.weight[colour, colour] = torch.outer(kernel, kernel)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.state_dict(), folder / WEIGHTS_NAME)
    card = ModelCard(
        name=folder.name, task="anomaly", architecture="autoencoder", network=settings, classes=["ODD"],
        class_names=["Out of the ordinary"], pixel_size_um=0.5, tile_px=WINDOW + 4 * STRIDE, overlap_px=WINDOW - STRIDE,
        mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), confidence=0.5,
        windows=WindowSettings(window_px=WINDOW, stride_px=STRIDE),
        anomaly=AnomalySettings(threshold=0.05, spread=0.008),
    )  # fmt: skip
    write_card(card, folder)
    return folder
