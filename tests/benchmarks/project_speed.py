"""How long the project takes: ``python tests/benchmarks/project_speed.py [BOXES] [FOLDER]``.

Prints the median of several runs in milliseconds, each command with its log entry, committed durably; beside it the
processor time, which does not depend on what else the machine is doing.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.scenes import SceneFacts

MANY = 1000
"""Slides of the second project, with 300 findings each."""


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
    run = project.runs.start(slide, RunPlan(model="speed")).id
    report("take 20 findings in", lambda: project.runs.add_findings(run, rows[:20]), repeats=50)
    project.filters.set(BoxFilter(min_confidence=0.5))
    report("all rows that are shown", partial(project.boxes.rows, shown=True), repeats=10)
    report("200 lines of history", project.history.entries, repeats=10)
    report("check", project.check)
    report("close", project.close)
    megabytes = (project.path / "project.sqlite").stat().st_size / 1e6
    report("open (with the daily backup)", lambda: Project.open(project.path).close())
    report("open", lambda: Project.open(project.path).close(), repeats=5)
    with Project.open(project.path) as again:
        report("read the boxes of the slide", lambda: again.boxes.table(slide))
    print(f"{'project.sqlite':<36}{megabytes:10.1f} MB")


def many_slides(folder: Path) -> None:
    """The same on a project of many slides: an edit must not take longer because there are others."""
    rng = np.random.default_rng(0)
    project = Project.create(folder / "many.mqc")
    facts = [SceneFacts(folder / "slide.png", f"S{n}", f"{n:032x}", (4000, 4000), (0.3, 0.3)) for n in range(MANY)]
    report(f"add {MANY} slides", lambda: [project.slides.add_scenes([scene]) for scene in facts])
    numbers = [slide.id for slide in project.slides]
    corner = rng.random((2, 300)) * 3900
    rows = make_rows(
        300, class_id=rng.integers(1, 11, 300), y0=corner[0], x0=corner[1], y1=corner[0] + 9, x1=corner[1] + 9
    )
    report(f"add 300 boxes to each of {MANY}", lambda: project.boxes.add_many(dict.fromkeys(numbers, rows)))
    for number in numbers:
        project.runs.finish(project.runs.start(number, RunPlan(model="speed")).id, "finished")
    run = project.runs.start(numbers[-1], RunPlan(model="speed")).id
    report("take 20 findings in", lambda: project.runs.add_findings(run, rows[:20]), repeats=50)
    last = iter(range(1, 300 * MANY)[::-1])  # the newest boxes lie on the last slide
    report("edit one box, nothing in memory", lambda: project.boxes.edit([next(last)], note="seen"))
    report("edit one box", lambda: project.boxes.edit([next(last)], note="seen"), repeats=50)
    report("read the boxes of all slides", project.boxes.rows)
    report("edit one box, everything in memory", lambda: project.boxes.edit([next(last)], note="seen"), repeats=50)
    report("undo one edit", project.history.undo, repeats=50)
    shown = itertools.cycle([False, True])
    report("switch a run", lambda: project.runs.show(run, next(shown)), repeats=10)
    report("delete a class with its boxes", lambda: project.classes.delete(3))
    report("undo that", project.history.undo)
    project.close()
    report("open", lambda: Project.open(project.path).close(), repeats=5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, Path(name))
        print(f"\nA project of {MANY} slides")
        many_slides(Path(name))
