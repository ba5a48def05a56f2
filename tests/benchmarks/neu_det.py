"""Training on few pictures and on many: ``python -m tests.benchmarks.neu_det --out FOLDER [options]``.

NEU-DET has 1800 pictures of 200 x 200 px with six classes of defects of hot-rolled steel. Every fifth picture of each
class is the test; of the others ``--labelled`` drawn at random are learned from, as many of each class, by the
program's own command line with the recipe as it is, as long as ``--minutes`` says. The test pictures play no part in
any choice: what the training needs to choose its weights and confidences it sets aside from those it was given. Prints
one line for each size: seconds, steps, mAP at an overlap of 0.5 with its interval, and the classes' APs.

``--network ssd`` and ``--backbone random`` compare with other ways.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.real_steel import FOLDERS

SIZES = {60: 6.0, 120: 8.0, 240: 10.0, 480: 14.0, 1440: 20.0}
"""Pictures to learn from, and the minutes they get."""


def pictures(data: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Picture and annotations of each class, by number."""
    found: dict[str, list[tuple[int, Path, Path]]] = {}
    for images, labels in FOLDERS:
        for file in (data / labels).glob("*.xml"):
            picture = data / images / f"{file.stem}.jpg"
            if picture.exists():
                kind, _, number = file.stem.rpartition("_")
                found.setdefault(kind, []).append((int(number), picture, file))
    return {kind: [(picture, file) for _, picture, file in sorted(rows)] for kind, rows in sorted(found.items())}


def write(pairs: list[tuple[Path, Path]], folder: Path) -> Path:
    """Copy pictures and their annotations into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        for file in pair:
            shutil.copy(file, folder / file.name)
    return folder


def command(*words: object) -> str:
    """Run one command of the program; its answer."""
    line = [sys.executable, "-m", "microscope_qc", *map(str, words), "--progress", "none"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(line[3:])} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def measure(train: Path, test: Path, model: Path, args: argparse.Namespace, minutes: float) -> str:
    """Train, measure, and say it in one line."""
    chosen = ["--network", args.network] if args.network else []
    chosen += ["--backbone", args.backbone] if args.backbone else []
    began = time.monotonic()
    card = json.loads(command("train", train, "--out", model, "--minutes", minutes, "--overwrite", "--json", *chosen))
    took = time.monotonic() - began
    report = json.loads(command("evaluate", model, test, "--json"))
    low, high = report["map50_interval"]
    classes = ", ".join(f"{code} {row['ap50']:.2f}" for code, row in sorted(report["per_class"].items()))
    steps = card["training"]["steps"]
    return f"{took:6.0f} s {steps:6} steps   mAP50 {report['map50']:.3f} ({low:.3f} to {high:.3f})   {classes}"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="the NEU-DET folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labelled", type=int, action="append", help="pictures to learn from; default all sizes")
    parser.add_argument("--minutes", type=float, help="instead of those of the size")
    parser.add_argument("--network", default="")
    parser.add_argument("--backbone", default="")
    args = parser.parse_args()
    data = args.data or Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "detection" / "neu-det"
    if not (data / "IMAGES").is_dir():
        sys.exit("Name the NEU-DET folder with --data, or its parent's parent with MICROSCOPE_QC_DATA.")
    by_class = pictures(data)
    test = write([pair for pairs in by_class.values() for pair in pairs[::5]], args.out / "test")
    others = {kind: [pair for number, pair in enumerate(pairs) if number % 5] for kind, pairs in by_class.items()}
    for pairs in others.values():
        random.Random(0).shuffle(pairs)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for count in args.labelled or SIZES:
        share = count // len(others)
        train = write([pair for pairs in others.values() for pair in pairs[:share]], args.out / f"train-{count}")
        minutes = args.minutes or SIZES.get(count, 20.0)
        print(f"{count:5} pictures {measure(train, test, args.out / f'model-{count}', args, minutes)}", flush=True)


if __name__ == "__main__":
    main()
