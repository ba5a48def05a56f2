"""Small pictures with drawn squares and discs, and small models, for the tests of learning and detection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets import Dataset
from microscope_qc.workflows.learning.reading import read_dataset

CLASSES = ["SQ", "DI"]


def draw(
    seed: int, *, size: int = 192, count: int = 6, cells: int = 4, radii: tuple[int, int] = (8, 15)
) -> tuple[np.ndarray, list[tuple[str, list[float]]]]:
    """Grey noise with dark squares and bright discs: uint8 (size, size, 3), and (code, [y0, x0, y1, x1])."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(120, 6, (size, size, 3))
    objects: list[tuple[str, list[float]]] = []
    places = rng.permutation(cells**2)[:count]
    for number, cell in enumerate(places):
        radius = int(rng.integers(*radii))
        pitch = size // cells
        y, x = (int(v) * pitch + pitch // 2 for v in divmod(int(cell), cells))
        if number % 2:
            cv2.circle(picture, (x, y), radius, (210, 215, 220), -1)
            objects.append(("DI", [y - radius, x - radius, y + radius + 1, x + radius + 1]))
        else:
            picture[y - radius : y + radius, x - radius : x + radius] = (40, 45, 50)
            objects.append(("SQ", [y - radius, x - radius, y + radius, x + radius]))
    return np.clip(picture, 0, 255).astype(np.uint8), objects


def load_dataset(path: Path) -> Dataset:
    """Read a data set at once."""
    return run_job(read_dataset(path))


def coco_folder(folder: Path, *, pictures: int = 4, size: int = 192, **drawn: Any) -> Path:
    """Write pictures and a COCO file beside them; ``drawn`` is for :func:`draw`."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(pictures):
        picture, objects = draw(number, size=size, **drawn)
        cv2.imwrite(str(folder / f"p{number}.png"), picture[..., ::-1])
        images.append({"id": number, "file_name": f"p{number}.png", "width": size, "height": size})
        for code, (y0, x0, y1, x1) in objects:
            box = [x0, y0, x1 - x0, y1 - y0]
            entry = {"id": len(annotations), "image_id": number, "category_id": CLASSES.index(code), "bbox": box}
            annotations.append(entry)
    categories = [{"id": index, "name": code} for index, code in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


def untrained_model(
    folder: Path, *, classes: tuple[str, ...] = ("ACP", "NEW"), tile_px: int = 128, bias: float = -2.0
) -> Path:
    """A model with fixed random weights that has findings everywhere (the lower ``bias``, the fewer)."""
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
    from microscope_qc.ml.weights import save_weights

    torch.manual_seed(7)
    network = build_network("ssd-tiny", {}, classes=len(classes))
    with torch.no_grad():
        network.classify.weight.normal_(std=0.4)
        network.classify.bias.fill_(bias)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.state_dict(), folder / WEIGHTS_NAME)
    card = ModelCard(
        name=folder.name, task="detect", architecture="ssd-tiny", classes=list(classes), class_names=list(classes),
        pixel_size_um=0.5, tile_px=tile_px, overlap_px=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), confidence=0.3,
    )  # fmt: skip
    write_card(card, folder)
    return folder


def untrained_classifier(folder: Path, *, classes: tuple[str, ...] = ("ACP", "NEW")) -> Path:
    """A classifier of windows of 64 px, every 16 px, with fixed random weights, so that its map is reproducible."""
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, WindowSettings, write_card
    from microscope_qc.ml.weights import save_weights

    torch.manual_seed(7)
    widths = {"widths": [8, 8, 12, 16]}
    network = build_network("light", widths, classes=len(classes))
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0  # one batch of noise sets its statistics
        network.train()(torch.randn(8, 3, 64, 64))
        network.decide.weight.normal_(std=2.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.eval().state_dict(), folder / WEIGHTS_NAME)
    card = ModelCard(
        name=folder.name, task="classify", architecture="light", network=widths, classes=list(classes),
        class_names=list(classes), pixel_size_um=0.5, tile_px=256, overlap_px=48, mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2), confidence=0.5, windows=WindowSettings(window_px=64, stride_px=16),
    )  # fmt: skip
    write_card(card, folder)
    return folder


TINY_TRAINING = {
    "crop_px": 128, "tile_px": 192, "overlap_px": 32, "batch": 2, "seed": 4, "epochs": 2, "device": "cpu",
}  # fmt: skip
"""Settings with which the network ``ssd-tiny`` learns a little from :func:`judged_project` in a second."""


def judged_project(folder: Path, *, slides: int = 5, size: int = 192) -> Path:
    """A project ``cell.mqc`` with small slides on which every square and disc was drawn."""
    from microscope_qc.core.boxes import make_rows
    from microscope_qc.core.defect_class import DefectClass
    from microscope_qc.project import Project

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for number in range(slides):
        picture, objects = draw(number, size=size)
        path = folder / f"S{number}.png"
        cv2.imwrite(str(path), picture[..., ::-1])
        drawn[path.stem] = objects
    classes = [DefectClass(code, code) for code in CLASSES]
    with Project.create(folder / "cell.mqc", slides=sorted(folder.glob("S*.png")), classes=classes) as project:
        ids = {known.code: known.id for known in project.classes}
        for slide in project.slides:
            project.slides.set_pixel_size(slide.id, 0.5)
            corners = np.array([corner for _, corner in drawn[slide.name]])
            names = ("y0", "x0", "y1", "x1")
            sides = {name: corners[:, column] for column, name in enumerate(names)}
            rows = make_rows(len(corners), class_id=[ids[code] for code, _ in drawn[slide.name]], **sides)
            project.boxes.add(slide.id, rows)
        return Path(project.path)
