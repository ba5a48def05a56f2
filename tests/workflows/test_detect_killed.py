"""The program is killed during a detection: its child must not continue to write beside the next one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from filelock import FileLock
from learning_toys import draw

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.library import model_folder
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import JOURNAL_NAME, JournalWriter, read_journal, read_status
from microscope_qc.project.runs.run_lock import LOCK_NAME, RunLock
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import detect, prepare_run

TILES = 144
NAMES = ("y0", "x0", "y1", "x1", "confidence", "class_id", "state")
TORN = b'{"tile":143,"candidates":[[1.5,2.25,'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled detector, with tiles small enough for a small slide to have many."""
    folder = tmp_path_factory.mktemp("models") / "small-tiles"
    shutil.copytree(model_folder("li-ion-ssd"), folder)
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**card, "tile_px": 128, "overlap_px": 32}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed project of one slide without any detection."""
    folder = tmp_path_factory.mktemp("slides")
    rows = [np.hstack([draw(6 * row + column)[0] for column in range(6)]) for row in range(6)]
    cv2.imwrite(str(folder / "slide.png"), np.vstack(rows))
    with Project.create(folder / "untouched", slides=[folder / "slide.png"]) as project:
        project.slides.set_pixel_size(project.slides[0].id, 0.9)
    return project.path


@pytest.fixture(scope="module")
def expected(untouched: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Findings of an uninterrupted run."""
    path = shutil.copytree(untouched, tmp_path_factory.mktemp("whole") / "whole.mqc")
    with Project.open(path) as project:
        run = prepare_run(project, project.slides[0].id, model, device="cpu")
        run_job(run_model(run.folder))
        RunIntake(project, run).finish("finished")
        boxes = sorted(found(project).values())
    assert len(boxes) > 50
    return boxes


class Nursery:
    """Starts workers as copies of a process with the program loaded: loading it takes longer than a run."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("nursery.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._worker: psutil.Process | None = None

    def start(self, run_folder: Path) -> psutil.Process:
        """Begin a worker."""
        print(run_folder, file=self._process.stdin, flush=True)
        self._worker = psutil.Process(int(self._process.stdout.readline()))
        return self._worker

    def wait(self) -> None:
        """Wait until the worker has ended in any way."""
        assert self._process.stdout.readline() == "ended\n"

    def close(self) -> None:
        """End all workers, also one that is held."""
        if self._worker is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._worker.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def nursery():
    if not hasattr(os, "fork"):
        pytest.skip("workers are forked here")
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
def project(untouched: Path, tmp_path: Path):
    with Project.open(shutil.copytree(untouched, tmp_path / "p.mqc")) as opened:
        yield opened


def start(project: Path, model: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "microscope_qc", "detect", str(project), "--model", str(model), "--device", "cpu"]
    return subprocess.Popen(
        [*command, "--progress", "json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(project: Path, model: Path) -> None:
    process = start(project, model)
    _, said = process.communicate()
    assert process.returncode == 0, said


def hold(process: psutil.Process) -> None:
    """Suspend a process; the system takes a moment to do so."""
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        assert process.status() != psutil.STATUS_ZOMBIE, "it has ended"
        pause(process)


def kill_after_findings(process: subprocess.Popen[str], project: Path, tiles: int) -> None:
    """Kill it as soon as it has reported that it has taken in so many tiles.

    Its child is held in the meantime: on any computer neither of them finishes before.
    """
    assert process.stderr is not None
    while lines_of(project) < tiles:
        assert process.poll() is None, process.stderr.read()
        pause(process)
    (worker,) = psutil.Process(process.pid).children()
    hold(worker)
    for line in process.stderr:
        if json.loads(line)["done"] >= tiles:
            break
    process.kill()
    _, rest = process.communicate()
    assert process.returncode < 0, rest
    worker.resume()


def kill_after_lines(process: subprocess.Popen[str], project: Path, lines: int) -> None:
    """Kill it as soon as its child has written so many tiles, whatever it is doing itself."""
    while process.poll() is None and lines_of(project) < lines:
        pause(process)
    process.kill()
    _, rest = process.communicate()
    assert process.returncode < 0, rest


def lines_of(project: Path) -> int:
    """Number of tiles in the journal of a project's only run."""
    return sum(journal.read_bytes().count(b"\n") for journal in project.glob(f"runs/*/{JOURNAL_NAME}"))


def pause(process: subprocess.Popen[str] | psutil.Process) -> None:
    """Let a process continue for a moment, or to its end."""
    with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
        process.wait(0.005)


def found(project: Project) -> dict[int, tuple]:
    rows = project.boxes.table(project.slides[0].id).rows
    return {int(row["id"]): tuple(row[name].item() for name in NAMES) for row in rows}


def judge_one(project: Project, chance: random.Random) -> tuple[tuple, tuple]:
    """Confirm a finding and enlarge its box; return its row before and after."""
    chosen = chance.choice([box for box, row in found(project).items() if row[-1] == ReviewState.UNREVIEWED])
    before = found(project)[chosen]
    project.boxes.edit([chosen], state=int(ReviewState.CONFIRMED), y0=before[0] - 3.25, x1=before[3] + 5.5)
    return before, found(project)[chosen]


@pytest.mark.timeout(3600)
def test_a_killed_program_leaves_a_run_that_is_continued_to_the_same_result(
    untouched: Path, model: Path, expected: list[tuple], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(4)
    for number in range(10 if request.config.getoption("--long") else 1):
        path = shutil.copytree(untouched, tmp_path / f"killed{number}.mqc")
        after = list(expected)

        kill_after_findings(start(path, model), path, chance.randint(30, 60))
        with Project.open(path) as project:
            (run,) = project.runs
            assert run.state == "stopped" and 0 < run.found == len(found(project)), "what was reported is there"
            assert project.check() == []
            before, now = judge_one(project, chance)
            after.remove(before)
            after.append(now)
        # the child holds the lock until it ends, which it must do without being asked
        with FileLock(run.folder / LOCK_NAME, timeout=120), (run.folder / JOURNAL_NAME).open("ab") as journal:
            lines = len(read_journal(run.folder)[0])
            assert lines < TILES, "the child has ended too late to be an orphan that was noticed"
            journal.write(TORN)

        # well before the last tile, after which it would end by itself unnoticed
        kill_after_lines(start(path, model), path, chance.randint(lines, 100))
        with Project.open(path) as project:
            assert project.runs[0].state == "stopped" and now in found(project).values()
            before, now = judge_one(project, chance)
            after.remove(before)
            after.append(now)
        finish(path, model)  # at once: the child of the killed one may still be there

        tiles = [tile for tile, _ in read_journal(run.folder)[0]]
        assert sorted(tiles) == list(range(TILES)), "every tile once"
        assert (run.folder / JOURNAL_NAME).read_bytes().count(b"\n") == TILES, "no line of two writers"
        with Project.open(path) as project:
            assert [(run.state, run.found) for run in project.runs] == [("finished", len(expected))]
            assert sorted(found(project).values()) == sorted(after)
            assert project.check() == []


@pytest.mark.timeout(3600)
def test_a_run_killed_repeatedly_ends_with_the_same_boxes(
    untouched: Path,
    model: Path,
    expected: list[tuple],
    nursery: Nursery,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    chance = random.Random(11)
    kills = 50 if request.config.getoption("--long") else 5

    def work(folder: Path, *, until: int) -> bool:
        """Let a worker continue until the journal has so many lines, then kill it; whether it had ended by itself."""
        worker = nursery.start(folder)
        journal = folder / JOURNAL_NAME
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end, and be forgotten, at any moment
            while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
                if journal.exists() and journal.read_bytes().count(b"\n") >= until:
                    for _ in range(chance.randint(0, 200)):  # at any later moment
                        worker.is_running()
                    worker.kill()
                    break
                pause(worker)
        nursery.wait()
        return read_status(folder).get("state") == "finished"

    with Project.open(shutil.copytree(untouched, tmp_path / "killed")) as project:
        run = prepare_run(project, project.slides[0].id, model, device="cpu")
        killed = 0
        for number in range(kills):
            killed += not work(run.folder, until=number * TILES // (kills + 1) + chance.randint(0, 2))
        assert killed >= 0.9 * kills
        assert work(run.folder, until=TILES + 1)
        tiles = [tile for tile, _ in read_journal(run.folder)[0]]
        assert sorted(tiles) == list(range(TILES)), "every tile once"
        RunIntake(project, run).finish("finished")
        assert sorted(found(project).values()) == expected


def test_a_worker_waits_for_the_previous_one_but_not_for_ever(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model, device="cpu")
    other = RunLock(run.folder)
    run_job(other.acquire())
    with pytest.raises(ProjectError, match="Another detection is still writing here"):
        run_job(run_model(run.folder, patience_s=0.3))
    assert read_status(run.folder) == {}, "the other one's status was not touched"
    waiting = run_model(run.folder)
    assert "waiting" in next(waiting).note
    other.release()
    while "waiting" in (progress := next(waiting)).note:
        pass
    assert progress.total == TILES
    waiting.close()
    run_job(RunLock(run.folder).acquire(patience_s=0))


def test_a_detection_waits_for_an_orphan_that_does_not_notice(project: Project, model: Path, nursery: Nursery) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model, device="cpu")
    journal = run.folder / JOURNAL_NAME
    orphan = nursery.start(run.folder)
    while orphan.is_running() and lines_of(project.path) <= 8:
        pause(orphan)
    hold(orphan)
    lines = lines_of(project.path)
    assert lines < TILES

    waited = False
    for progress in detect(project, slide, model, device="cpu"):
        if "waiting" in progress.note and not waited:
            waited = True
            assert journal.read_bytes().count(b"\n") == lines
            orphan.kill()  # the system releases its lock
            nursery.wait()
    assert waited
    assert sorted(tile for tile, _ in read_journal(run.folder)[0]) == list(range(TILES))
    assert [(run.state, run.found) for run in project.runs] == [("finished", len(found(project)))]


def test_a_worker_whose_parent_is_gone_ends(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model, device="cpu")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    # its output is not read, so that a closed pipe cannot be what ends it
    command = [sys.executable, "-m", "microscope_qc", "worker", str(run.folder), "--parent", str(gone.pid)]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 130
    assert read_journal(run.folder)[0] == []


def test_a_line_cut_by_a_kill_is_ignored_and_does_no_harm(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    write(run, range(30))
    intake = RunIntake(project, run)
    taken = len(intake.poll())
    assert 0 < taken < 30 == len(intake.tiles_done)
    with (run.folder / JOURNAL_NAME).open("ab") as journal:
        journal.write(TORN)
    assert len(intake.poll()) == 0
    project.close()

    with Project.open(project.path) as reopened:
        assert reopened.runs[0].state == "stopped"
        again = prepare_run(reopened, reopened.slides[0].id, model)
        assert (again.id, again.state, again.found) == (run.id, "running", taken)
        later = RunIntake(reopened, again)
        assert len(later.poll()) == 0 and later.tiles_done == set(range(30))
        write(run, range(30, TILES))
        assert later.finish("finished").found == len(found(reopened)) == TILES
        assert later.tiles_done == set(range(TILES))


def write(run: RunRecord, tiles: range) -> None:
    """One finding in each tile, where the tile below matters too."""
    grid = run.plan.grid()
    writer = JournalWriter(run.folder)
    for tile in tiles:
        rows = np.zeros(1, CANDIDATE_DTYPE)
        rows["y0"], rows["x0"] = grid[tile].y0 + 110, grid[tile].x0 + 50
        rows["y1"], rows["x1"], rows["confidence"], rows["tile"] = rows["y0"] + 9, rows["x0"] + 9, 0.5, tile
        writer.tile(tile, rows)
    writer.close()
