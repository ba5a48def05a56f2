"""How much is found from how many labels: on the drawn slide of the demo, and on real steel surfaces.

``python -m tests.benchmarks.label_curve [--draws N] [--counts N ...] [--only demo|steel] [--data NEU_DET_FOLDER]``. For
each number of labels means over draws of them: any-class average precision at overlaps of 0.5 and of 0.3, recall among
the first 300 suggestions, and the share of right classes of what was found. Counted are defects that were not among the
labels. Below stands what the bundled detector finds on the demo's slide, and of how many labels suggestions are as
good. The steel slide is a mosaic of every fifth picture of each class of NEU-DET, see ``real_steel``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch

from microscope_qc.core.boxes import coordinates
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_score
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.evaluation.detection import average_precision
from microscope_qc.project import Project
from microscope_qc.workflows.detection.run import detect
from microscope_qc.workflows.samples.demo import BUNDLED_DETECTOR
from tests.benchmarks.few_labels import FIRST, KnownPlace, demo_place, one_draw, place_of
from tests.benchmarks.real_steel import lay_out, merge_truth, read_pictures, split

COUNTS = (5, 10, 20, 50, 100)
MORE_COUNTS = (*COUNTS, 200, 400)
STEEL_SEED = 0


def steel_place(folder: Path, data: Path) -> KnownPlace:
    """The mosaic of test pictures."""
    path = folder / "steel-test.ome.tif"
    if not path.exists():
        test = split(read_pictures(data))[1]
        lay_out(
            [test[i] for i in np.random.default_rng(STEEL_SEED).permutation(len(test))], folder, path.name.split(".")[0]
        )
        merge_truth(folder, folder / "annotations.json")
    return place_of(path, folder / "annotations.json", folder)


def curve(name: str, place: KnownPlace, counts: Sequence[int], draws: int) -> dict[int, tuple[float, float]]:
    """Print a table; average precision at 0.5 and recall by number of labels."""
    print(f"{name}: {len(place.boxes)} defects of {len(np.unique(place.classes))} classes, {draws} draws")
    print(
        f"{'labels':>8} {'AP50':>7} {'AP30':>7} {f'recall {FIRST}':>11} {'class':>7} {'seconds':>8}   AP50 of each draw"
    )
    reached = {}
    for count in counts:
        each = [one_draw(place, count, seed) for seed in range(draws)]
        mean = np.array(each).mean(axis=0)
        said = ", ".join(f"{draw.precision:.2f}" for draw in each)
        figures = f"{mean[0]:7.3f} {mean[1]:7.3f} {mean[2]:11.3f} {mean[3]:7.2f} {mean[4] + mean[5]:8.1f}"
        print(f"{count:>8} {figures}   {said}", flush=True)
        reached[count] = (float(mean[0]), float(mean[2]))
    return reached


def bundled(place: KnownPlace, folder: Path) -> tuple[float, float]:
    """Average precision at 0.5 and recall among the first of the bundled detector, any class."""
    path = folder / "bundled.mqc"
    if not path.exists():
        Project.create(path, slides=[place.path]).close()
    with Project.open(path) as project:
        slide = project.slides[0]
        if not any(run.state == "finished" for run in project.runs):
            run_job(detect(project, slide.id, BUNDLED_DETECTOR))
        rows = project.boxes.rows(slide.id, every=True)
    rows = rows[np.argsort(-rows["confidence"], kind="stable")]
    hit = np.zeros(len(rows), bool)
    hit[match_by_score(coordinates(rows), rows["confidence"], place.boxes, iou=0.5)[0]] = True
    return average_precision(hit, len(place.boxes)), float(hit[:FIRST].sum() / len(place.boxes))


def needed(reached: dict[int, tuple[float, float]], which: int, value: float) -> str:
    """In words: the first number of labels of which it is as good."""
    enough = [count for count, figures in reached.items() if figures[which] >= value]
    return f"{enough[0]} labels" if enough else f"not of {max(reached)}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--data", type=Path, help="the NEU-DET folder; else MICROSCOPE_QC_DATA has it")
    parser.add_argument("--folder", type=Path, help="keeps the slides and their features")
    parser.add_argument("--counts", type=int, nargs="+", help="numbers of labels")
    parser.add_argument("--only", choices=("demo", "steel"))
    args = parser.parse_args()
    use_threads()
    print(f"{torch.get_num_threads()} threads, {psutil.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as name:
        folder = args.folder or Path(name)
        if args.only != "steel":
            place = demo_place(folder)
            reached = curve("The demo's drawn slide", place, args.counts or COUNTS, args.draws)
            precision, recall = bundled(place, folder)
            print(f"bundled detector: AP50 {precision:.3f}, reached with {needed(reached, 0, precision)};")
            print(f"its recall of the first {FIRST} {recall:.3f}, reached with {needed(reached, 1, recall)}")
        data = args.data or Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "detection" / "neu-det"
        if args.only != "demo":
            if not (data / "IMAGES").is_dir():
                parser.error("name the NEU-DET folder with --data, or its parent's parent with MICROSCOPE_QC_DATA")
            curve("Steel surfaces (NEU-DET)", steel_place(folder, data), args.counts or MORE_COUNTS, args.draws)


if __name__ == "__main__":
    main()
