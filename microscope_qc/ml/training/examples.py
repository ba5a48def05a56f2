"""A few places of the validation part, and what the network finds there after each epoch. No torch at import."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from microscope_qc.core.files import atomic_write
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.ml.datasets.scaled import load_scaled

if TYPE_CHECKING:
    from torch import nn

    from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings

EXAMPLES_NAME = "examples.json"
FOLDER = "examples"
MOST = 6
SIDE_PX = 320
MOST_BOXES = 40
"""Boxes of one example, the most confident ones."""


@dataclass(frozen=True, slots=True)
class Example:
    """One place: its pixels, uint8 (h, w, 3), and the defects there, (n, 4) in its pixels, with their labels."""

    name: str
    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


class Examples:
    """Written beside the model: ``examples/0.jpg``, and ``examples.json`` with truth and the newest findings.

    ``{"classes": [...], "epoch": 3, "confidence": 0.4, "pictures": [{"file": "examples/0.jpg", "name": "slide",
    "truth": [[y0, x0, y1, x1, label], ...], "found": [[y0, x0, y1, x1, label, confidence], ...]}]}``
    """

    def __init__(self, out: Path, dataset: Dataset, settings: TrainSettings) -> None:
        self._out, self._dataset, self._settings = out, dataset, settings
        self._chosen: list[Example] | None = None

    def show(self, recipe: Recipe[Any], network: nn.Module, *, epoch: float, confidence: float) -> None:
        """Find in the examples, and write what was found; nothing where the network finds no boxes."""
        if self._chosen is None:
            self._chosen = choose(self._dataset, self._settings.pixel_size_um)
        found = recipe.find(network, [example.pixels for example in self._chosen]) if self._chosen else []
        if not found:
            return
        pictures = []
        for number, (example, rows) in enumerate(zip(self._chosen, found, strict=True)):
            file = self._out / FOLDER / f"{number}.jpg"
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                atomic_write(file, cv2.imencode(".jpg", example.pixels[..., ::-1])[1].tobytes())
            truth = np.column_stack([np.round(example.boxes, 1), example.labels])
            pictures.append({
                "file": f"{FOLDER}/{number}.jpg", "name": example.name, "truth": truth.tolist(),
                "found": _rows(rows, confidence),
            })  # fmt: skip
        document = {
            "classes": self._dataset.classes, "epoch": epoch, "confidence": confidence, "pictures": pictures,
        }  # fmt: skip
        atomic_write(self._out / EXAMPLES_NAME, json.dumps(document, ensure_ascii=False))


def _rows(found: np.ndarray, confidence: float) -> list[list[float]]:
    shown = found[found["confidence"] >= confidence]
    shown = shown[np.argsort(-shown["confidence"], kind="stable")][:MOST_BOXES]
    names = ("y0", "x0", "y1", "x1", "label", "confidence")
    return [[round(float(row[name]), 3) for name in names] for row in shown]


def choose(dataset: Dataset, model_um: float | None) -> list[Example]:
    """Places around defects of every class in turn, the rarest first; none shows a defect that another shows."""
    waiting = [
        [(image, int(row)) for image in dataset.images for row in np.flatnonzero(image.labels == label)]
        for label in range(len(dataset.classes))
    ]
    waiting.sort(key=len)
    chosen: list[Example] = []
    seen: set[tuple[int, int]] = set()
    while len(chosen) < MOST and any(waiting):
        for places in waiting:
            while places and len(chosen) < MOST:
                image, row = places.pop(0)
                if (id(image), row) not in seen:
                    example, visible = _cut(image, row, model_um)
                    seen.update((id(image), index) for index in visible)
                    chosen.append(example)
                    break
    return chosen


def _cut(image: AnnotatedImage, row: int, model_um: float | None) -> tuple[Example, Sequence[int]]:
    """The place around a defect, and which defects are visible there."""
    loaded = load_scaled(image, model_um, in_memory=False)
    middle = (loaded.boxes[row, :2] + loaded.boxes[row, 2:]) / 2
    sides = np.minimum(SIDE_PX, loaded.shape)
    y0, x0 = (int(value) for value in np.clip(middle - sides / 2, 0, loaded.shape - sides))
    pixels = loaded.read(y0, x0, y0 + int(sides[0]), x0 + int(sides[1]))
    boxes = np.clip(loaded.boxes - [y0, x0, y0, x0], 0, np.tile(sides, 2))
    visible = np.flatnonzero(((boxes[:, 2:] - boxes[:, :2]) > 1).all(axis=1))
    return Example(image.path.name, pixels, boxes[visible], image.labels[visible]), visible.tolist()
