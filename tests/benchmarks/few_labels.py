"""How much of a drawn slide is found from 20 and from 100 labels, over draws of the labels.

``python -m tests.benchmarks.few_labels [--draws N] [--folder DIR]``. Counted are defects that were not among the
labels; suggestions at labels are left out, as in the program. Limits stand beside the figures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch

from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_score
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.evaluation.detection import average_precision
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.embedding import embed
from microscope_qc.ml.features.grid import FeatureGrid
from microscope_qc.ml.features.learning import learn_head
from microscope_qc.ml.features.looks import looks_of
from microscope_qc.ml.features.standing import Lesson
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.suggesting import find_places
from microscope_qc.ml.features.trunk import Trunk
from microscope_qc.slides import open_slide
from microscope_qc.workflows.samples import synth
from microscope_qc.workflows.samples.demo import DEMO_SEED, DEMO_SIZE_PX
from microscope_qc.workflows.suggestions.judging import free_places
from tests.benchmarks.inference import line

FIRST = 300
LEAST = {20: (0.45, 0.55), 100: (0.70, 0.85)}
"""Any-class average precision at IoU 0.5, and recall among the first suggestions, by number of labels."""
MOST_SECONDS = 20.0


def demo_slide(folder: Path) -> tuple[FeatureStore, np.ndarray, np.ndarray]:
    """Features, boxes y0, x0, y1, x1 and classes of the slide that the demo draws."""
    path = folder / "slide.ome.zarr"
    if not synth.truth_path(path).exists():
        run_job(synth.make("electrode", path, shape=(DEMO_SIZE_PX,) * 2, seed=DEMO_SEED))
    with open_slide(path) as slide:
        mosaic = slide.scene(None)
        store = FeatureStore(folder, FeatureGrid.of(mosaic, mosaic.pixel_size_um), {"slide": "demo"})
        if not store.complete:
            run_job(embed(mosaic, store, Trunk(torch.device("cpu"))))
    found = json.loads(synth.truth_path(path).read_text(encoding="utf-8"))["annotations"]
    x, y, width, height = np.array([one["bbox"] for one in found], float).T
    return store, np.stack([y, x, y + height, x + width], axis=1), np.array([one["category_id"] for one in found])


def one_draw(store: FeatureStore, boxes: np.ndarray, classes: np.ndarray, count: int, seed: int) -> tuple[float, ...]:
    """Average precision, recall among the first, share of right classes of what was found, and seconds."""
    labelled = np.random.default_rng(seed).choice(len(boxes), count, replace=False)
    left = np.setdiff1d(np.arange(len(boxes)), labelled)
    began = time.perf_counter()
    head = run_job(learn_head([Lesson(store, boxes[labelled])], seed=seed))
    learned = time.perf_counter()
    found = run_job(find_places(head, store))
    kind = LinearClasses(looks_of(store, boxes[labelled]), classes[labelled])
    keep = free_places(found.boxes, boxes[labelled])
    said = kind.labels[kind.shares(looks_of(store, found.boxes[keep])).argmax(axis=1)]
    ended = time.perf_counter()
    mine, theirs = match_by_score(found.boxes[keep], found.scores[keep], boxes[left], iou=0.5)
    hit = np.zeros(len(keep), bool)
    hit[mine] = True
    right = (said[mine] == classes[left][theirs]).mean() if len(mine) else 0.0
    return average_precision(hit, len(left)), hit[:FIRST].sum() / len(left), right, learned - began, ended - learned


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keeps the slide and its features")
    args = parser.parse_args()
    use_threads()
    with tempfile.TemporaryDirectory() as name:
        store, boxes, classes = demo_slide(args.folder or Path(name))
        print(f"{len(boxes)} defects, {torch.get_num_threads()} threads, {psutil.cpu_count()} processors")
        for count, (precision, recall) in LEAST.items():
            figures = np.array([one_draw(store, boxes, classes, count, seed) for seed in range(args.draws)])
            mean = figures.mean(axis=0)
            each = ", ".join(f"{value:.2f}" for value in figures[:, 0])
            line(f"{count} labels: any-class AP50", mean[0], f"{precision}", mean[0] >= precision, each)
            each = ", ".join(f"{value:.2f}" for value in figures[:, 1])
            line(f"{count} labels: recall of the first {FIRST}", mean[1], f"{recall}", mean[1] >= recall, each)
            print(f"{count} labels: right class of what was found {mean[2]:.2f}")
            seconds = mean[3] + mean[4]
            more = f"learning {mean[3]:.1f} s, looking {mean[4]:.1f} s"
            line(f"{count} labels: seconds of a round", seconds, f"{MOST_SECONDS:g}", seconds <= MOST_SECONDS, more)


if __name__ == "__main__":
    main()
