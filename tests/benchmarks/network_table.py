"""The table of networks on NEU-DET: ``python -m tests.benchmarks.network_table --out FOLDER [options]``.

Test and training pictures are those of :mod:`tests.benchmarks.neu_det`; all else is the program's own command ``study
networks``, which trains, measures and times every network on the same pictures and writes the table into FOLDER. With
``--epochs 1 --labelled 24`` and all networks it says how long each takes for a picture, and nothing of how good it is.
``--task classify`` lays the pictures out in a folder for each class, for the classifiers of whole pictures.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.neu_det import pictures, write


def write_classes(pairs: list[tuple[Path, Path]], folder: Path) -> Path:
    """Copy pictures into a folder for each class."""
    for picture, _ in pairs:
        target = folder / picture.stem.rpartition("_")[0]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target / picture.name)
    return folder


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="the NEU-DET folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labelled", type=int, default=240, help="pictures to learn from")
    parser.add_argument("--tested", type=int, default=360, help="pictures to measure on, at most")
    parser.add_argument("--task", choices=("detect", "classify"), default="detect")
    parser.add_argument("--network", action="append", default=[], help="as of the command; default all of the task")
    parser.add_argument("--minutes", help="for each network")
    parser.add_argument("--epochs", help="instead of minutes")
    parser.add_argument("--share", action="append", default=[], help="of the pictures, for a curve")
    args = parser.parse_args()
    data = args.data or Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "detection" / "neu-det"
    if not (data / "IMAGES").is_dir():
        sys.exit("Name the NEU-DET folder with --data, or its parent's parent with MICROSCOPE_QC_DATA.")
    by_class = pictures(data)
    tested, labelled = args.tested // len(by_class), args.labelled // len(by_class)
    lay_out = write_classes if args.task == "classify" else write
    test = lay_out([pair for pairs in by_class.values() for pair in pairs[::5][:tested]], args.out / "test")
    learned = []
    for pairs in by_class.values():
        others = [pair for number, pair in enumerate(pairs) if number % 5]
        random.Random(0).shuffle(others)
        learned += others[:labelled]
    train = lay_out(learned, args.out / f"train-{args.labelled}")
    line = [sys.executable, "-m", "microscope_qc", "study", "networks", str(train), "--test", str(test)]
    line += ["--out", str(args.out / "table"), "--task", args.task]
    for flag, values in (("--network", args.network), ("--share", args.share)):
        for value in values:
            line += [flag, value]
    for flag, value in (("--minutes", args.minutes), ("--epochs", args.epochs)):
        line += [flag, value] if value is not None else []
    sys.exit(subprocess.run(line, check=False).returncode)


if __name__ == "__main__":
    main()
