"""Whatever is being done when the process is killed: what was acknowledged is there, and no file is half written."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from project_support import assert_memory_is_stored, edit_at_random, some_rows
from small_slides import write_slide

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.slides import open_slide
from microscope_qc.workflows.conversion.convert import convert
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.exchange.importing import import_annotations

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a child that is a copy of this process")

EACH = 40
"""Boxes that an import or a detection brings at once."""
LONGEST_S = 0.03
WHOLE = Region(0, 0, 80, 120)


def edit(place: Path) -> Iterator[int]:
    """Edits of all kinds."""
    with Project.open(place / "cell.mqc") as project:
        chance = random.Random(os.getpid())
        while True:
            edit_at_random(project, chance)
            yield len(project.history.entries(None))


def take_in(place: Path) -> Iterator[int]:
    """Imports, one file after the other."""
    with Project.open(place / "cell.mqc") as project:
        for number in range(1000):
            run_job(import_annotations(project, place / f"in{number % 8}.json", skip_duplicates=False))
            yield len(project.boxes.rows())


def detect(place: Path) -> Iterator[int]:
    """Results of a detection, portion by portion."""
    with Project.open(place / "cell.mqc") as project:
        run = project.runs.start(1, RunPlan(model="m"))
        for number in range(1000):
            rows = some_rows(EACH, seed=number, confidence=0.5)
            for side in ("y0", "y1"):
                rows[side] += 2000 * number  # each at places of their own
            project.runs.add_findings(run.id, rows)
            yield len(project.boxes.rows())


def export(place: Path) -> Iterator[int]:
    """Exports, each over the one before."""
    with Project.open(place / "cell.mqc", write=False) as project:
        for number in range(1000):
            run_job(export_boxes(project, place / "out" / "boxes.json", "coco"))
            yield number + 1


def turn_into_pyramids(place: Path) -> Iterator[int]:
    """Conversions of a slide."""
    for number in range(1000):
        run_job(convert(place / "a.png", place / "out" / f"{number}.ome.zarr"))
        yield number + 1


Work = Callable[[Path], Iterator[int]]


def killed(work: Work, place: Path, chance: random.Random) -> int:
    """Do the work in another process and kill that at any moment; return the last number it acknowledged."""
    reading, writing = os.pipe()
    child = begin(work, place, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        lines = [said.readline() for _ in range(chance.randint(0, 4))]
        time.sleep(chance.random() * LONGEST_S)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"
        lines += said.read().splitlines(keepends=True)
    return max((int(line) for line in lines if line.endswith(b"\n")), default=0)


def begin(work: Work, place: Path, writing: int) -> int:
    """Start the work in a copy of this process, or in a new one where the writer of pyramids cannot be copied."""
    if work is turn_into_pyramids:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, __file__, str(place)]
        return os.posix_spawn(sys.executable, command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which do nothing here
        child = os.fork()
    if child == 0:
        try:
            say_all(work, place, writing)
        finally:
            os._exit(3)
    return child


def say_all(work: Work, place: Path, writing: int) -> None:
    """Acknowledge every step."""
    for number in work(place):
        os.write(writing, b"%d\n" % number)


def look_after(work: Work, place: Path, acknowledged: int, before: int) -> None:
    """What must hold after the kill."""
    out = place / "out"
    visible = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if work is export:
        assert acknowledged == 0 or visible == ["boxes.json"]
        for name in visible:
            assert len(json.loads((out / name).read_text(encoding="utf-8"))["annotations"]) == before
    elif work is turn_into_pyramids:
        assert {f"{number}.ome.zarr" for number in range(acknowledged)} <= set(visible)
        with open_slide(place / "a.png") as slide:
            expected = slide.scenes[0].read(WHOLE)
        for name in visible:
            with open_slide(out / name) as slide:
                assert np.array_equal(slide.scenes[0].read(WHOLE), expected), name
    else:
        assert visible == []
        with Project.open(place / "cell.mqc") as project:
            assert project.check() == []
            assert_memory_is_stored(project)
            found = len(project.boxes.rows())
            if work is edit:
                assert len(project.history.entries(None)) >= acknowledged
            else:  # the next portion may have been stored without being acknowledged; none is there in part
                assert found in (max(before, acknowledged), max(before, acknowledged) + EACH)


@pytest.mark.timeout(3600)
def test_kills_at_any_moment(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kills = 1000 if request.config.getoption("--long") else 15
    fresh = tmp_path / "fresh"
    (fresh / "out").mkdir(parents=True)
    with Project.create(fresh / "cell.mqc", slides=[write_slide(fresh / "a.png", seed=1)]) as project:
        for number in range(8):
            places = np.arange(EACH) * 1.9  # inside the slide
            project.boxes.add(1, make_rows(EACH, class_id=1, y0=places, x0=number, y1=places + 1, x1=number + 9))
            run_job(export_boxes(project, fresh / f"in{number}.json", "coco"))
            project.history.undo()
        before = len(project.boxes.add(1, some_rows(25)))
    works: list[Work] = [edit, take_in, detect, export, turn_into_pyramids]
    for number in range(kills):
        chance = random.Random(number)
        work = works[number % len(works)]
        place = tmp_path / f"{number}"
        shutil.copytree(fresh, place)
        acknowledged = killed(work, place, chance)
        try:
            look_after(work, place, acknowledged, before)
        except Exception as error:
            raise AssertionError(f"kill {number} of {work.__name__}, {acknowledged} acknowledged") from error
        shutil.rmtree(place)
    print(f"{kills} kills of {', '.join(work.__name__ for work in works)}: nothing acknowledged lost, no half file")


if __name__ == "__main__":
    say_all(turn_into_pyramids, Path(sys.argv[1]), 1)
