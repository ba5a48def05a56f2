"""A classifier of windows, trained for a few steps on drawn squares and discs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning_toys import CLASSES, draw

from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, WindowSettings, write_card
from microscope_qc.ml.weights import save_weights

WINDOW, STRIDE = 64, 16


def patches(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised windows (N, 3, 64, 64) and their classes; the last class shows nothing."""
    rng = np.random.default_rng(seed)
    pictures, labels = [], []
    for number in range(count):
        picture, objects = draw(seed * 1000 + number // 8, size=192)
        code, (y0, x0, y1, x1) = objects[int(rng.integers(len(objects)))]
        label = CLASSES.index(code)
        y, x = (int((a + b) / 2 - WINDOW / 2 + rng.integers(-18, 19)) for a, b in ((y0, y1), (x0, x1)))
        if number % 3 == 0:
            label, picture = len(CLASSES), np.clip(rng.normal(120, 6, (192, 192, 3)), 0, 255).astype(np.uint8)
        y, x = min(max(y, 0), 128), min(max(x, 0), 128)
        pictures.append(picture[y : y + WINDOW, x : x + WINDOW])
        labels.append(label)
    values = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return (values / 255 - 0.5) / 0.2, torch.tensor(labels)


def trained_classifier(folder: Path, *, steps: int = 60, **changes: Any) -> Path:
    """A model folder."""
    torch.manual_seed(3)
    network = build_network("light", {"widths": [12, 16, 24, 32]}, classes=len(CLASSES))
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    network.train()
    pictures, labels = patches(1, 480)
    for _ in range(steps):
        chosen = torch.randperm(len(labels))[:48]
        loss = torch.nn.functional.cross_entropy(network(pictures[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.eval().state_dict(), folder / WEIGHTS_NAME)
    windows = WindowSettings(window_px=WINDOW, stride_px=STRIDE, **changes)
    overlap = round((WINDOW - STRIDE) * max(windows.scales))
    card = ModelCard(
        name=folder.name, task="classify", architecture="light", network={"widths": [12, 16, 24, 32]},
        classes=CLASSES, class_names=["Square", "Disc"], pixel_size_um=0.5, tile_px=WINDOW + 12 * STRIDE,
        overlap_px=overlap, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), confidence=0.5, windows=windows,
    )  # fmt: skip
    write_card(card, folder)
    return folder


def changed(model: Path, folder: Path, *, card: dict | None = None, **windows: Any) -> Path:
    """A copy of the model with other window settings."""
    folder.mkdir()
    data = json.loads((model / "model.json").read_text()) | (card or {})
    data["windows"] |= windows
    (folder / "model.json").write_text(json.dumps(data))
    (folder / "weights.safetensors").write_bytes((model / "weights.safetensors").read_bytes())
    return folder
