"""How well boxes from class activation maps fit: ``python -m tests.benchmarks.activation_boxes --out DIR``.

Synthetic cross-sections are drawn, a classifier is trained on some of them, and boxes are compared with the truth of
another one: those of windows around each defect ("explain"), those that the classifier finds when it is slid over the
slide ("detect"), and those of the bundled detector. Printed are the mean IoU with the defects (0 where nothing of the
class is found), how many are met with an IoU of at least 0.1, 0.3 and 0.5, and seconds.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.evaluation.on_slides import find_in_image
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tasks.images import TaskFinder
from microscope_qc.workflows.learning.reading import read_dataset
from microscope_qc.workflows.learning.train import train
from microscope_qc.workflows.models.evidence import show_evidence
from microscope_qc.workflows.samples.synth import make

LIMITS = (0.1, 0.3, 0.5)
DETECTOR = "li-ion"


def ious(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """IoU of boxes (n, 4) with one box."""
    shared = np.prod(np.maximum(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    best: np.ndarray = shared / np.maximum(areas - shared, 1e-9)
    return best


def say(what: str, best: list[float], seconds: float) -> None:
    """Print one line."""
    found = "  ".join(f">= {limit:g}: {np.mean(np.array(best) >= limit):.2f}" for limit in LIMITS)
    print(f"{what:<44} mean IoU {np.mean(best):.3f}  {found}  {seconds:.0f} s", flush=True)


def measured(model: str | Path, data: Dataset, what: str) -> None:
    """Run a model over the slide."""
    card = load_card(model)
    data, begun = data.with_classes(card.classes), time.perf_counter()
    task = open_task(model, device="cpu", threshold=card.confidence)
    best: list[float] = []
    for image in data.images:
        found, _ = find_in_image(TaskFinder(task), image)
        corners = np.stack([found[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        for box, label in zip(image.boxes, image.labels, strict=True):
            best.append(float(ious(corners[found["label"] == label], box).max(initial=0.0)))
    say(f"{what}: {card.name}", best, time.perf_counter() - begun)


def explained(model: Path, data: Dataset) -> None:
    """Look at a window around each defect, whose class is not told."""
    card = load_card(model)
    data, begun = data.with_classes(card.classes), time.perf_counter()
    best: list[float] = []
    right = 0
    for image in data.images:
        for box, label in zip(image.boxes, image.labels, strict=True):
            y, x = (box[:2] + box[2:]) / 2
            assert card.windows is not None and card.pixel_size_um is not None and image.pixel_size_um is not None
            side = max(
                card.windows.window_px * card.pixel_size_um / image.pixel_size_um[0], 1.5 * max(box[2:] - box[:2])
            )
            region = Region(round(y - side / 2), round(x - side / 2), round(y + side / 2), round(x + side / 2))
            seen = run_job(show_evidence(model, image.path, region=region, device="cpu")).document()["classes"][0]
            right += seen["code"] == card.classes[label]
            best.append(float(ious(np.array([seen["box"]]), box)[0]))
    say(f"explain: {card.name}, class right {right / len(best):.2f}", best, time.perf_counter() - begun)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="activation_boxes", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--network", default="lite0-classifier")
    parser.add_argument("--slides", type=int, default=6)
    parser.add_argument("--pixel-size", type=float, default=0.6)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--rate", type=float)
    wanted = parser.parse_args()
    use_threads()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for number in range(wanted.slides):
        slide = wanted.out / "data" / f"s{number}.ome.zarr"
        if not slide.exists():
            run_job(make("electrode", slide, shape=(4096, 4096), seed=1100 + number, defects=200))
    test = wanted.out / "test" / "s.ome.zarr"
    if not test.exists():
        run_job(make("electrode", test, shape=(4096, 4096), seed=31, defects=60))
    model, begun = wanted.out / f"{wanted.network}-{wanted.window}", time.perf_counter()
    if not (model / "model.json").exists():
        card = run_job(train(
            wanted.out / "data", model, task="classify", network=wanted.network, minutes=wanted.minutes, seed=1,
            pixel_size_um=wanted.pixel_size, crop_px=wanted.window, learning_rate=wanted.rate, device="cpu",
        ))  # fmt: skip
        figures = {name: round(float(str(card.metrics[name])), 3) for name in ("accuracy", "f1", "auroc")}
        print(f"{card.name}: {figures}, trained in {time.perf_counter() - begun:.0f} s")
    data = run_job(read_dataset(wanted.out / "test"))
    explained(model, data)
    measured(model, data, "detect")
    measured(DETECTOR, data, "detect")


if __name__ == "__main__":
    main()
