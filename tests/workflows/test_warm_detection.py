"""The real child process for models, kept between detections."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import psutil
import pytest
from learning_toys import draw, untrained_classifier, untrained_model

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, run_job
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_journal
from microscope_qc.workflows import kept_child
from microscope_qc.workflows.detection.following import DetectionFailed
from microscope_qc.workflows.detection.run import DetectResult, detect
from microscope_qc.workflows.kept_child import KeptChild

pytestmark = pytest.mark.timeout(900)

NAMES = ("y0", "x0", "y1", "x1", "confidence", "class_id", "state")
VIEW = Region(900, 700, 1100, 1000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy", bias=-14.0)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    cv2.imwrite(str(tmp_path / "slide.png"), cv2.resize(draw(3, size=600, count=16)[0], (2400, 2400)))
    with Project.create(tmp_path / "p", slides=[tmp_path / "slide.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
        yield made


@pytest.fixture(scope="module")
def kept() -> Iterator[KeptChild]:
    made = KeptChild()
    yield made
    made.close()


def found(project: Project, run_id: int) -> list[tuple]:
    """The findings of a run as they are written, to the last bit."""
    rows = project.boxes.table(project.slides[0].id).rows
    return sorted(tuple(row[name].item() for name in NAMES) for row in rows if row["run_id"] == run_id)


def journal(run: RunRecord) -> dict[int, list]:
    tiles, _ = read_journal(run.folder)
    assert len({tile for tile, _ in tiles}) == len(tiles), "a tile was done twice"
    return {tile: candidates.tolist() for tile, candidates in tiles}


def begun(project: Project, kept: KeptChild, job: Job[DetectResult]) -> tuple[RunRecord, psutil.Process]:
    """Let a detection begin; its child is held after a few tiles, so that it cannot finish meanwhile."""
    while not (project.runs and project.runs[-1].state == "running" and kept._child and kept._child.busy):
        next(job)
    child, journal_file = psutil.Process(kept._child.pid), project.runs[-1].folder / JOURNAL_NAME
    while not (journal_file.exists() and journal_file.read_bytes().count(b"\n") > 3):
        assert kept._child.busy, "it has ended"
        time.sleep(0.002)
    child.suspend()
    return project.runs[-1], child


def held(pid: int, folder: Path) -> list[str]:
    """Files in a folder that a process has open or mapped."""
    process = psutil.Process(pid)
    paths = [file.path for file in process.open_files()]
    if hasattr(process, "memory_maps"):
        paths += [mapped.path for mapped in process.memory_maps()]
    return [path for path in paths if path.startswith(str(folder))]


def test_a_kept_child_finds_what_one_of_its_own_finds_and_lets_go_of_every_file(
    project: Project, model: Path, kept: KeptChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = project.slides[0].id
    alone = run_job(detect(project, slide, model, device="cpu"))
    whole, expected = journal(project.runs.by_id(alone.run_id)), found(project, alone.run_id)
    assert alone.state == "finished" and len(whole) > 150 and len(expected) > 20
    project.runs.delete(alone.run_id)

    # begun in view, stopped, and continued from elsewhere
    monkeypatch.setattr(kept_child, "ANSWER_S", 120.0)  # the computer may have others to serve
    job = detect(project, slide, model, device="cpu", first=VIEW, children=kept)
    run, process = begun(project, kept, job)
    child = kept._child
    assert child is not None
    process.resume()
    job.close()
    assert kept.free and kept.running and not child.busy, "it was stopped, not ended"
    assert project.runs.by_id(run.id).state == "stopped" and len(journal(run)) < len(whole)
    assert held(child.pid, tmp_path) == []
    result = run_job(detect(project, slide, model, device="cpu", children=kept))
    assert (result.run_id, result.state, kept._child) == (run.id, "finished", child)
    assert journal(project.runs.by_id(run.id)) == whole and found(project, run.id) == expected
    order = [tile for tile, _ in read_journal(run.folder)[0]]
    assert order[:3] != sorted(order)[:3], "what was in view came first"

    # another model, with a map of scores, and one that fails
    classifier = untrained_classifier(tmp_path / "classifier")
    part = Region(0, 0, 300, 300)
    assert run_job(detect(project, slide, classifier, region=part, device="cpu", children=kept)).state == "finished"
    assert held(child.pid, tmp_path) == []
    shutil.copytree(model, tmp_path / "bad")
    (tmp_path / "bad" / "weights.safetensors").write_bytes(b"nothing of use")
    with pytest.raises(DetectionFailed, match="cannot be read"):
        run_job(detect(project, slide, tmp_path / "bad", device="cpu", children=kept))
    assert held(child.pid, tmp_path) == [] and kept._child is child and kept.running


def test_a_kept_child_that_is_killed_is_said_and_the_next_one_continues(
    project: Project, model: Path, kept: KeptChild
) -> None:
    slide = project.slides[0].id
    job = detect(project, slide, model, device="cpu", children=kept)
    run, process = begun(project, kept, job)
    child = kept._child
    process.kill()
    with pytest.raises(DetectionFailed, match=r"ended early.*start it again to continue"):
        run_job(job)
    assert project.runs.by_id(run.id).state == "failed" and kept.free
    again: DetectResult = run_job(detect(project, slide, model, device="cpu", children=kept))
    assert (again.run_id, again.state) == (run.id, "finished")
    assert kept._child is not child


PARENT = """
import sys, time
from pathlib import Path
from microscope_qc.project import Project
from microscope_qc.workflows.detection.run import detect
from microscope_qc.workflows.kept_child import KeptChild

kept = KeptChild()
with Project.open(Path(sys.argv[1])) as project:
    for _ in detect(project, project.slides[0].id, sys.argv[2], device="cpu", children=kept):
        if kept._child is not None and len(project.runs) and list((project.runs[-1].folder).glob("journal.jsonl")):
            print(kept._child.pid, flush=True)
            time.sleep(600)
"""


def test_it_ends_when_the_window_is_killed(project: Project, model: Path) -> None:
    project.close()
    window = subprocess.Popen([sys.executable, "-c", PARENT, str(project.path), str(model)], stdout=subprocess.PIPE)
    assert window.stdout is not None
    child = psutil.Process(int(window.stdout.readline()))
    assert child.is_running()
    window.kill()
    window.wait()
    window.stdout.close()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(30)
    assert not child.is_running()
