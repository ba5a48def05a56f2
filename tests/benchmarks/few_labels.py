"""How much of a drawn slide is found from 20 and from 100 labels, over draws of the labels.

``python -m tests.benchmarks.few_labels [--draws N] [--folder DIR]``. Counted are defects that were not among the
labels; suggestions at labels are left out, as in the program. Limits stand beside the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch

from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_score
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.evaluation.detection import average_precision
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.embedding import embed
from microscope_qc.ml.features.fitting import FitLesson, learn_fit
from microscope_qc.ml.features.grid import FeatureGrid
from microscope_qc.ml.features.learning import learn_with_left_out
from microscope_qc.ml.features.looks import looks_of
from microscope_qc.ml.features.standing import Lesson
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.suggesting import find_places
from microscope_qc.ml.features.trunk import Trunk
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.workflows.samples import synth
from microscope_qc.workflows.samples.demo import DEMO_SEED, DEMO_SIZE_PX
from microscope_qc.workflows.suggestions.judging import free_places
from tests.benchmarks.inference import line

FIRST = 300
LEAST = {20: (0.45, 0.55), 100: (0.70, 0.85)}
"""Any-class average precision at IoU 0.5, and recall among the first suggestions, by number of labels."""
MOST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A slide of which all is known: boxes (n, 4) y0, x0, y1, x1 in pixels and classes (n,), and its features."""

    path: Path
    store: FeatureStore
    boxes: np.ndarray
    classes: np.ndarray

    @contextlib.contextmanager
    def opened(self) -> Iterator[Mosaic]:
        """Its pixels."""
        with open_slide(self.path) as slide:
            yield slide.scene(None)


class Draw(NamedTuple):
    """What was found of one draw of labels, and how long it took.

    Average precision at IoU 0.5 and 0.3, recall among the first, share of right classes of what was found, seconds.
    """

    precision: float
    loose: float
    recall: float
    right_class: float
    learning_s: float
    looking_s: float


def place_of(path: Path, truth: Path, folder: Path) -> KnownPlace:
    """A slide with its truth as COCO; its features are computed into ``folder``."""
    with open_slide(path) as slide:
        mosaic = slide.scene(None)
        store = FeatureStore(folder, FeatureGrid.of(mosaic, mosaic.pixel_size_um), {"slide": path.name})
        if not store.complete:
            run_job(embed(mosaic, store, Trunk(torch.device("cpu"))))
    found = json.loads(truth.read_text(encoding="utf-8"))["annotations"]
    x, y, width, height = np.array([one["bbox"] for one in found], float).T
    boxes = np.stack([y, x, y + height, x + width], axis=1)
    return KnownPlace(path, store, boxes, np.array([one["category_id"] for one in found]))


def demo_place(folder: Path) -> KnownPlace:
    """The slide that the demo draws."""
    path = folder / "slide.ome.zarr"
    if not synth.truth_path(path).exists():
        run_job(synth.make("electrode", path, shape=(DEMO_SIZE_PX,) * 2, seed=DEMO_SEED))
    return place_of(path, synth.truth_path(path), folder)


def one_draw(place: KnownPlace, count: int, seed: int) -> Draw:
    """Label some defects at random, learn, and look for the others."""
    boxes, classes = place.boxes, place.classes
    labelled = np.random.default_rng(seed).choice(len(boxes), count, replace=False)
    left = np.setdiff1d(np.arange(len(boxes)), labelled)
    began = time.perf_counter()
    told = run_job(learn_with_left_out([Lesson(place.store, boxes[labelled])], seed=seed))
    fit = run_job(learn_fit([FitLesson(boxes[labelled], told.left_out[0], place.opened)], seed=seed))
    kind = LinearClasses(looks_of(place.store, boxes[labelled]), classes[labelled])
    learned = time.perf_counter()
    with place.opened() as mosaic:
        found = run_job(find_places(told.head, place.store, fit=partial(fit.fitted, mosaic) if fit else None))
    keep = free_places(found.boxes, boxes[labelled])
    said = kind.labels[kind.shares(looks_of(place.store, found.boxes[keep])).argmax(axis=1)]
    ended = time.perf_counter()
    precisions = []
    for iou in (0.3, 0.5):
        mine, theirs = match_by_score(found.boxes[keep], found.scores[keep], boxes[left], iou=iou)
        hit = np.zeros(len(keep), bool)
        hit[mine] = True
        precisions.append(average_precision(hit, len(left)))
    right = (said[mine] == classes[left][theirs]).mean() if len(mine) else 0.0
    recall = hit[:FIRST].sum() / len(left)
    return Draw(precisions[1], precisions[0], recall, right, learned - began, ended - learned)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keeps the slide and its features")
    args = parser.parse_args()
    use_threads()
    with tempfile.TemporaryDirectory() as name:
        place = demo_place(args.folder or Path(name))
        print(f"{len(place.boxes)} defects, {torch.get_num_threads()} threads, {psutil.cpu_count()} processors")
        for count, (precision, recall) in LEAST.items():
            draws = [one_draw(place, count, seed) for seed in range(args.draws)]
            mean = Draw(*np.array(draws).mean(axis=0).tolist())
            each = ", ".join(f"{draw.precision:.2f}" for draw in draws)
            line(f"{count} labels: any-class AP50", mean.precision, f"{precision}", mean.precision >= precision, each)
            each = ", ".join(f"{draw.recall:.2f}" for draw in draws)
            line(f"{count} labels: recall of the first {FIRST}", mean.recall, f"{recall}", mean.recall >= recall, each)
            print(
                f"{count} labels: AP at IoU 0.3 {mean.loose:.3f}, right class of what was found {mean.right_class:.2f}"
            )
            seconds = mean.learning_s + mean.looking_s
            more = f"learning {mean.learning_s:.1f} s, looking {mean.looking_s:.1f} s"
            line(f"{count} labels: seconds of a round", seconds, f"{MOST_SECONDS:g}", seconds <= MOST_SECONDS, more)


if __name__ == "__main__":
    main()
