"""A run split over the workers of a cluster: equal to the single run, also when a worker is killed."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import cv2
import dask
import distributed
import numpy as np
import psutil
import pytest
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import Familiar, write_card
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.library import load_card
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import LEFT_OUT, read_journal, read_status
from microscope_qc.project.runs.speed import notes_of
from microscope_qc.workflows.detection.batch import _connected, batch
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import prepare_run

NAMES = ("y0", "x0", "y1", "x1", "confidence", "class_id")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy", bias=-12.0)


def make_project(folder: Path, name: str) -> Path:
    rows = [np.hstack([draw(6 * row + column)[0] for column in range(7)]) for row in range(7)]
    cv2.imwrite(str(folder / f"{name}.png"), np.vstack(rows))
    with Project.create(folder / name, slides=[folder / f"{name}.png"]) as project:
        project.slides.set_pixel_size(project.slides[0].id, 0.5)
    return project.path


def found(path: Path) -> list[tuple]:
    with Project.open(path) as project:
        rows = project.boxes.table(project.slides[0].id).rows
        assert project.check() == []
        return sorted(tuple(row[name].item() for name in NAMES) for row in rows)


@pytest.fixture
def quick_workers() -> Iterator[None]:
    """Workers that begin as copies of a process in which everything is loaded, instead of each loading it again."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    multiprocessing.set_forkserver_preload(
        ["distributed.nanny", "microscope_qc.ml.engine.remote", "microscope_qc.ml.tasks.detect"]
    )
    forkserver.ensure_running()  # with these, not with what dask would have it load
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield
    forkserver._forkserver._stop()


def kill_one_worker() -> int:
    """Kill the youngest worker process; return how many there were."""

    def told(process: psutil.Process) -> str:
        return " ".join(process.cmdline())

    everybody = [
        process for process in psutil.Process().children(recursive=True)
        if "multiprocessing" in told(process) and "resource_tracker" not in told(process)
    ]  # fmt: skip
    workers = [process for process in everybody if not process.children()]  # one with children only starts the others
    workers[-1].kill()
    return len(workers)


def test_three_workers_find_what_one_process_finds_though_one_is_killed(
    model: Path, tmp_path: Path, quick_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microscope_qc.workflows.detection.batch.BATCHES_AT_ONCE", 1)
    single = make_project(tmp_path, "single")
    with Project.open(single) as project:
        run = prepare_run(project, project.slides[0].id, model, device="cpu")
        intake = RunIntake(project, run)
        assert run_job(run_model(run.folder))["state"] == "finished"
        intake.finish("finished")
    expected = found(single)
    assert len(expected) > 50

    path = make_project(tmp_path, "shared")
    job = batch([path], model, workers=3, device="cpu")
    killed = 0
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            result = stop.value
            break
        if not killed and progress.done > 8:
            killed = kill_one_worker()
    assert killed >= 3 and result.workers == 3
    assert found(path) == expected
    with Project.open(path) as project:
        (run,) = project.runs
        assert run.state == "finished"
        tiles = [tile for tile, _ in read_journal(run.folder)[0]]
        assert len(tiles) == len(set(tiles)) == result.slides[0][2].tiles, "every tile once"
        assert read_status(run.folder)["state"] == "finished"
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None, set_as_default=False) as client:
        again = run_job(batch([path], model, client=client, device="cpu"))
    assert again.slides[0][2].findings == len(expected), "a finished run is not repeated"


def test_a_slide_unlike_the_training_data_is_said_before_its_results(tmp_path: Path) -> None:
    folder = untrained_model(tmp_path / "toy", bias=-12.0)
    learned_from = Familiar(brightness=(230, 240), contrast=(1, 2))
    write_card(load_card(folder).model_copy(update={"familiar": learned_from}), folder)
    path = make_project(tmp_path, "p")
    told = []
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None, set_as_default=False) as client:
        job = batch([path], folder, client=client, device="cpu")
        for progress in job:
            told.append(progress)
            if "unlike" in progress.note:
                (run,) = (path / "runs").iterdir()
                assert [found for _, found in read_journal(run)[0] if found is not LEFT_OUT] == []
    assert sum("This slide is unlike what toy learned from: it is darker" in one.note for one in told) == 1
    with Project.open(path, write=False) as project:
        (run,) = project.runs
        (note,) = notes_of(read_status(run.folder))
    assert "it is darker" in note and read_status(run.folder)["state"] == "finished"


def test_another_cluster_on_this_computer_is_no_matter_for_a_warning() -> None:
    with socket.socket() as other, warnings.catch_warnings():
        with contextlib.suppress(OSError):  # somebody has it already
            other.bind(("127.0.0.1", 8787))
            other.listen()
        warnings.simplefilter("error")
        with _connected(None, 1) as client:
            assert client.submit(abs, -3).result() == 3


def test_a_scheduler_that_cannot_be_reached_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microscope_qc.workflows.detection.batch.CONNECT_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"no dask scheduler at tcp://127\.0\.0\.1:1"):
        run_job(batch([tmp_path], model, scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match="No project"):
        run_job(batch([], model))


def test_the_help_says_what_a_scheduler_may_do() -> None:
    command = [sys.executable, "-m", "microscope_qc", "batch", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "can run programs on its workers" in " ".join(said.split())


@pytest.mark.long
def test_the_command(model: Path, tmp_path: Path) -> None:
    path = make_project(tmp_path, "p")
    command = [
        sys.executable,
        "-m",
        "microscope_qc",
        "batch",
        str(path),
        "--model",
        str(model),
        "--device",
        "cpu",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["workers"] == 1 and answer["slides"][0]["finds"] == len(found(path)) > 50
