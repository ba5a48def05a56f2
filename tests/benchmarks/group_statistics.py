"""How long numbers of groups take: ``python tests/benchmarks/group_statistics.py [FINDINGS [SLIDES [FOLDER]]]``.

By default 1,000,000 findings of one model over 1,000 slides of ten batches, a tenth of them judged. Prints the median
of several runs in seconds, in turns with the way slide by slide and class by class that ``stats`` without groups takes
(without sizes), and checks that both count the same. A project in FOLDER is made once and used again.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.detection import coverage
from microscope_qc.workflows.results.grouping import CountedSlides, count_slides, grouped_statistics
from microscope_qc.workflows.results.statistics import numbers_together, slide_findings, slide_numbers

SIDE, TILE = 40_000, 4096
LIMITS_S = {"columns in memory": 1.0, "from disk": 4.0, "group-by": 0.2}
TURNS = 3


def make(place: Path, findings: int, slides: int) -> None:
    """A project whose slides were scanned, each by one run."""
    rng = np.random.default_rng(0)
    picture = place.with_name("slide.png")
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(picture)
    region = Region(0, 0, SIDE, SIDE)
    plan = RunPlan(model="m", model_name="m", region=region, tile_px=TILE, overlap_px=256)
    per_slide = findings // slides
    with Project.create(place) as project:
        facts = [SceneFacts(picture, None, f"{n:016x}", (SIDE, SIDE), (0.3, 0.3)) for n in range(slides)]
        for slide in project.slides.add_many([facts]):
            run = project.runs.start(slide.id, plan)
            project.runs.know_classes(run.id, {label: label + 1 for label in range(10)})
            writer = JournalWriter(run.folder)
            for tile in range(len(TileGrid(region, TILE, 256))):
                writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
            writer.close()
            y, x = rng.random((2, per_slide)) * (SIDE - 60)
            side = rng.lognormal(3, 0.5, per_slide)
            rows = make_rows(
                per_slide, class_id=rng.integers(1, 11, per_slide), y0=y, x0=x, y1=y + side, x1=x + side,
                confidence=rng.uniform(0.1, 1, per_slide),
            )  # fmt: skip
            ids = np.unique(project.runs.add_findings(run.id, rows))
            project.runs.finish(run.id, "finished")
            project.boxes.edit(ids[::20], state=ReviewState.CONFIRMED)
            project.boxes.edit(ids[1::20], state=ReviewState.REJECTED, reason="false positive")
        project.fields.set({s.id: {"batch": f"B{n % 10}"} for n, s in enumerate(project.slides)})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def naive(project: Project) -> dict[str, Any]:
    """Slide by slide and class by class."""
    numbers = [slide_numbers(slide_findings(project, slide.id), sizes=False) for slide in project.slides]
    return numbers_together(numbers, [number["slide_area_mm2"] for number in numbers])


def forget() -> None:
    """Let nothing be known of the folders of runs, as in a new process."""
    coverage._RUNS.clear()
    coverage._COVERAGES.clear()


def from_disk(place: Path, way: Callable[[Project], Any]) -> Any:
    forget()
    with Project.open(place, write=False) as project:
        return way(project)


def grouped(project: Project) -> dict[str, Any]:
    counted: CountedSlides = run_job(count_slides([project]))
    return grouped_statistics(counted, ["batch"])


def main(findings: int, slides: int, folder: Path) -> None:
    """Time both ways in turns."""
    place = folder / f"{findings}_{slides}.mqc"
    if not place.exists():
        print(f"making {place.name}: {timed(lambda: make(place, findings, slides))[0]:.0f} s")
    took: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, way in (("from disk", grouped), ("from disk, class by class", naive)):
            took.setdefault(name, []).append(timed(lambda way=way: from_disk(place, way))[0])
    with Project.open(place, write=False) as project:
        counted = run_job(count_slides([project]))
        for _ in range(TURNS):
            for name, way in (("columns in memory", grouped), ("columns in memory, class by class", naive)):
                seconds, found = timed(lambda way=way: way(project))
                took.setdefault(name, []).append(seconds)
                kept = found["total"]["kept"] if way is grouped else found["kept"]
                assert kept == counted_kept(counted), name
            took.setdefault("group-by", []).append(timed(lambda: grouped_statistics(counted, ["batch"]))[0])
    for name, seconds in took.items():
        limit = LIMITS_S.get(name)
        mark = "" if limit is None else f"  (limit {limit} s){' !' if statistics.median(seconds) > limit else ''}"
        print(f"{name:<36}{statistics.median(seconds):7.2f} s  {min(seconds):.2f} to {max(seconds):.2f}{mark}")


def counted_kept(counted: CountedSlides) -> int:
    """Kept findings of all slides."""
    return int(sum(slide.section.tally.states[:, :2].sum() for slide in counted.slides))


if __name__ == "__main__":
    given = sys.argv[1:]
    sizes = [int(text) for text in given[:2]] + [1_000_000, 1_000][len(given[:2]) :]
    with tempfile.TemporaryDirectory() as made:
        main(*sizes, Path(given[2] if len(given) > 2 else made))
