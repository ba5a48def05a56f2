"""What "Find what is unusual" finds on drawn magnets without any label: defects found, and findings where none is.

Each slide is learned from by itself, or all from good ones with --good. A defect is found when a finding that counts
touches its box; a finding is false when it touches none.

    python -m tests.benchmarks.drawn_magnets [--seeds 11 12 13 14] [--side 4096] [--defects 20] [--good 21 22]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc import api
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import intersections
from microscope_qc.project import Project
from microscope_qc.workflows.samples.synth import make, truth_path

LIMITS = (0.05, 0.2, 0.5, 0.7)
"""Confidences from which findings count."""


def one_slide(folder: Path, *, seed: int, side: int, defects: int, good: Sequence[Path]) -> dict[str, Any]:
    """Draw a slide, look at it, and compare with what was drawn."""
    out = folder / f"magnet-{seed}.ome.zarr"
    run_job(make("magnet", out, shape=(side, side), seed=seed, defects=defects))
    boxes = [note["bbox"] for note in json.loads(truth_path(out).read_text(encoding="utf-8"))["annotations"]]
    x, y, width, height = np.array(boxes, float).reshape(-1, 4).T
    truth = np.stack([y, x, y + height, x + width], 1)
    with Project.create(folder / f"{seed}.mqc", slides=[out, *good]) as project:
        name, *others = [slide.name for slide in project.slides]
    began = time.monotonic()
    table = api.unusual(folder / f"{seed}.mqc", slides=[name], good=others, device="cpu")
    seconds = time.monotonic() - began
    found = table[["y0", "x0", "y1", "x1"]].to_numpy(float).reshape(-1, 4)
    touch = intersections(found[:, None], truth[None]) > 0
    rows = {}
    for limit in LIMITS:
        counts = (table["confidence"] >= limit).to_numpy()
        rows[limit] = (int(touch[counts].any(0).sum()), int((~touch[counts].any(1)).sum()))
    return {"seed": seed, "defects": len(truth), "seconds": seconds, "at": rows}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14])
    arguments.add_argument("--side", type=int, default=4096, help="of the slides, in pixels of 0.3 um")
    arguments.add_argument("--defects", type=int, default=20)
    arguments.add_argument("--good", type=int, nargs="*", default=[], help="seeds of slides without a defect")
    args = arguments.parse_args()
    total = {limit: np.zeros(2) for limit in LIMITS}
    drawn = 0
    with tempfile.TemporaryDirectory() as folder:
        good = [Path(folder) / f"good-{seed}.ome.zarr" for seed in args.good]
        for seed, out in zip(args.good, good, strict=True):
            run_job(make("magnet", out, shape=(args.side, args.side), seed=seed, defects=0))
        for seed in args.seeds:
            found = one_slide(Path(folder), seed=seed, side=args.side, defects=args.defects, good=good)
            drawn += found["defects"]
            said = []
            for limit, row in found["at"].items():
                total[limit] += row
                said.append(f"from {limit:.2f} on {row[0]} found, {row[1]} false")
            print(f"seed {seed}, {found['defects']} defects, {found['seconds']:.0f} s: {'; '.join(said)}", flush=True)
    for limit, (right, false) in total.items():
        print(f"from {limit:.2f} on: {right:.0f} of {drawn} found, {false:.0f} false")


if __name__ == "__main__":
    main()
