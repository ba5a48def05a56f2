"""How long the project takes: ``python tests/benchmarks/project_speed.py [BOXES] [FOLDER]``.

Prints the median of several runs in milliseconds, each command with its log entry, committed durably; beside it the
processor time, which does not depend on what else the machine is doing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.project import Project


def report(name: str, call: Callable[[], object], *, repeats: int = 1) -> None:
    """Time a call and print a line."""
    took, busy = [], []
    for _ in range(repeats):
        start, start_busy = time.perf_counter(), time.process_time()
        call()
        busy.append((time.process_time() - start_busy) * 1e3)
        took.append((time.perf_counter() - start) * 1e3)
    worst = f"   worst {max(took):8.1f}" if repeats > 1 else ""
    print(f"{name:<36}{statistics.median(took):10.1f} ms   processor {statistics.median(busy):8.1f} ms{worst}")


def main(count: int, folder: Path) -> None:
    """Run everything once on a project of ``count`` boxes."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(folder / "slide.png")
    corner, size = rng.random((2, count)) * 30_000, 3 + rng.random((2, count)) * 60
    rows = make_rows(
        count,
        class_id=rng.integers(1, 11, count),
        confidence=rng.random(count),
        y0=corner[0],
        x0=corner[1],
        y1=corner[0] + size[0],
        x1=corner[1] + size[1],
    )
    project = Project.create(folder / "speed.mqc", slides=[folder / "slide.png"])
    slide = project.slides[0].id
    table = project.boxes.table(slide)
    report(f"add {count} boxes", lambda: project.boxes.add(slide, rows))
    report("undo that", project.history.undo)
    report("redo that", project.history.redo)
    ids = table.rows["id"].copy()
    some = rng.permutation(ids)[: min(10_000, count)]
    report(f"confirm {len(some)} boxes", lambda: project.boxes.edit(some, state=ReviewState.CONFIRMED))
    report("undo that", project.history.undo)
    report("redo that", project.history.redo)
    report("draw one box", lambda: project.boxes.add(slide, rows[:1]), repeats=100)
    picks = iter(rng.permutation(ids)[:200].tolist())
    report("edit one box", lambda: project.boxes.edit([next(picks)], note="seen"), repeats=100)
    report("undo one edit", project.history.undo, repeats=100)
    run = project.runs.start(slide, {"model": "speed"}, {}).id
    report("take 20 finds in", lambda: project.runs.add_findings(run, rows[:20]), repeats=50)
    project.filters.set(BoxFilter(min_confidence=0.5))
    report("all rows that are shown", project.boxes.rows, repeats=10)
    report("200 lines of history", project.history.entries, repeats=10)
    report("check", project.check)
    report("close", project.close)
    megabytes = (project.path / "project.sqlite").stat().st_size / 1e6
    report("open (with the daily backup)", lambda: Project.open(project.path).close())
    report("open", lambda: Project.open(project.path).close(), repeats=5)
    with Project.open(project.path) as again:
        report("read the boxes of the slide", lambda: again.boxes.table(slide))
    print(f"{'project.sqlite':<36}{megabytes:10.1f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, Path(name))
