"""A folder that a microscope writes into: what is complete is added and scanned once, and the rest is named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detection_toys import ChildHere
from learning_toys import draw, untrained_model

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.detection import following
from microscope_qc.workflows.watching import Watched, WatchedFolder, signature_of, watch_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "Child", ChildHere)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "scans").mkdir()
    with Project.create(tmp_path / "cell.mqc", slides=[]) as made:
        yield made


def scan(project: Project, name: str, *, seed: int = 1, age_s: float = 3600) -> Path:
    """A slide with a pixel size in the folder, last changed so long ago."""
    path = project.path.parent / "scans" / name
    path.parent.mkdir(exist_ok=True)
    import tifffile

    tifffile.imwrite(
        path, draw(seed, size=200)[0], resolution=(1e4, 1e4), resolutionunit="CENTIMETER", software="ImageJ"
    )
    _touch(path, age_s)
    return path


def _touch(path: Path, age_s: float) -> None:
    when = time.time() - age_s
    os.utime(path, (when, when))


class Clock:
    """A clock that goes on when somebody sleeps, and does what is to be done meanwhile."""

    def __init__(self, *events: tuple[float, Callable[[], object]]) -> None:
        self.now = 0.0
        self.events = list(events)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()


def watch(project: Project, model: Path, clock: Clock, **options: Any) -> WatchedFolder:
    folder = project.path.parent / "scans"
    time_goes: dict[str, Any] = {"clock": lambda: clock.now, "sleep": clock.sleep}
    return run_job(watch_folder(project, folder, str(model), device="cpu", **time_goes, **options))


class Enough(Exception):
    """Ends a watch."""


def stop() -> None:
    raise Enough


def test_everything_that_is_there_is_added_and_scanned_once(project: Project, model: Path) -> None:
    paths = [scan(project, f"S{number}.tif", seed=number) for number in range(2)]
    said: list[Watched] = []
    done = watch(project, model, Clock(), once=True, tell=said.append)
    assert [one.path for one in done.done] == paths and done.done == said and not done.failed
    assert all(one.findings is not None for one in said)
    assert [run.state for run in project.runs] == ["finished"] * 2
    again = watch(project, model, Clock(), once=True)
    assert again.done == [] and len(project.slides) == 2 and len(project.runs) == 2


def test_what_still_grows_is_not_taken_until_it_rests(project: Project, model: Path) -> None:
    path = scan(project, "S1.tif", age_s=0)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    looked: list[int] = []

    def grow(share: float) -> Callable[[], object]:
        return lambda: (path.write_bytes(whole[: int(len(whole) * share)]), looked.append(len(project.slides)))

    clock = Clock(
        (4, grow(0.3)), (12, grow(0.7)), (20, grow(1)), (29, lambda: looked.append(len(project.slides))), (60, stop)
    )
    with pytest.raises(Enough):
        watch(project, model, clock, settled_s=10)
    assert looked == [0, 0, 0, 0]
    assert len(project.slides) == 1 and project.slides[0].shape_px == (200, 200)


def test_once_waits_for_what_still_grows(project: Project, model: Path) -> None:
    scan(project, "S1.tif", age_s=0)
    clock = Clock()
    assert len(watch(project, model, clock, once=True, settled_s=10).done) == 1
    assert clock.now >= 10


def test_a_file_that_cannot_be_read_is_named_and_tried_again_once_it_has_changed(project: Project, model: Path) -> None:
    good = scan(project, "good.tif")
    bad = project.path.parent / "scans" / "bad.tif"
    bad.write_bytes(b"II*\0 no picture")
    _touch(bad, 3600)

    def mend() -> None:
        bad.write_bytes(scan(project, "other.tif", seed=5).read_bytes())
        (project.path.parent / "scans" / "other.tif").unlink()
        _touch(bad, 60)

    said: list[Watched] = []
    with pytest.raises(Enough):
        watch(project, model, Clock((30, mend), (100, stop)), tell=said.append)
    assert [one.path for one in said] == [bad, good, bad]
    assert said[0].why_not and "bad.tif" in said[0].why_not and not said[1].why_not and not said[2].why_not


def test_the_same_picture_under_another_name_is_said_once(project: Project, model: Path) -> None:
    first = scan(project, "S1.tif")
    said: list[Watched] = []

    def copy() -> None:
        (first.parent / "S2.tif").write_bytes(first.read_bytes())
        _touch(first.parent / "S2.tif", 60)

    with pytest.raises(Enough):
        watch(project, model, Clock((10, copy), (100, stop)), tell=said.append)
    assert [bool(one.why_not) for one in said] == [False, True] and "same picture" in said[1].why_not


def test_what_was_added_but_not_scanned_is_scanned_at_the_next_start(project: Project, model: Path) -> None:
    path = scan(project, "S1.tif")
    assert main(["slides", str(project.path), "list", "--json"]) == 0
    with pytest.raises(Enough):
        run_job(
            watch_folder(project, path.parent, str(model), device="cpu", clock=lambda: 0.0, sleep=lambda _: None),
            lambda progress: stop() if len(project.slides) else None,
        )
    assert len(project.slides) == 1 and not [run for run in project.runs if run.state == "finished"]
    assert len(watch(project, model, Clock(), once=True).done) == 1
    assert [run.state for run in project.runs][-1] == "finished"


def test_the_report_is_written_anew(project: Project, model: Path) -> None:
    report = project.path.parent / "report.json"
    scan(project, "S1.tif")
    watch(project, model, Clock(), once=True, report=report)
    assert len(json.loads(report.read_text())["slides"]) == 1
    scan(project, "S2.tif", seed=2)
    watch(project, model, Clock(), once=True, report=report)
    assert len(json.loads(report.read_text())["slides"]) == 2


def test_a_report_that_cannot_be_written_is_told_and_the_watch_goes_on(project: Project, model: Path) -> None:
    scan(project, "S1.tif")
    report = project.path.parent / "report.json"
    report.mkdir()  # nothing can be written over it

    def one_more() -> None:
        report.rmdir()
        scan(project, "S2.tif", seed=2)

    said: list[Watched] = []
    with pytest.raises(Enough):
        watch(project, model, Clock((30, one_more), (100, stop)), report=report, tell=said.append)
    assert [one.name for one in said] == ["S1", "report.json", "S2"] and said[1].why_not and not said[2].why_not
    assert len(json.loads(report.read_text())["slides"]) == 2


def test_a_folder_that_is_away_for_a_while_is_waited_for(project: Project, model: Path) -> None:
    first = scan(project, "S1.tif")
    away = first.parent.with_name("away")

    def back() -> None:
        away.rename(first.parent)
        scan(project, "S2.tif", seed=2)

    said: list[Watched] = []
    events = Clock((30, lambda: first.parent.rename(away)), (60, back), (100, stop))
    with pytest.raises(Enough):
        watch(project, model, events, tell=said.append)
    assert [one.name for one in said] == ["S1", "S2"] and not any(one.why_not for one in said)


def test_a_folder_that_is_a_slide_changes_with_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "0").write_bytes(b"1")
    before = signature_of(folder)
    (folder / "0" / "1").write_bytes(b"22")
    after = signature_of(folder)
    assert before is not None and after is not None and (before[:2], after[:2]) == ((1, 1), (2, 3))
    assert signature_of(tmp_path / "gone") is None


def test_no_folder_is_said(project: Project, model: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        run_job(watch_folder(project, project.path.parent / "gone", str(model)))


def test_the_command_makes_the_project_and_says_what_became_of_each(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    cv2.imwrite(str(folder / "no_size.png"), np.zeros((64, 64), np.uint8))
    _touch(folder / "no_size.png", 3600)
    line = ["watch", str(folder), "--model", str(model), "--once", "--json", "--device", "cpu"]
    assert main(line) == 2  # the model needs a pixel size
    said = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [one["slide"] for one in said] == ["no_size"] and "pixel size" in said[0]["why_not"]
    assert main(["slides", str(tmp_path / "scans.mqc"), "set-pixel-size", "1"]) == 0
    capsys.readouterr()
    assert main(line) == 0
    said = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [(one["slide"], one["why_not"]) for one in said] == [("no_size", None)] and said[0]["findings"] is not None
    again = api.watch(folder, str(model), device="cpu")
    assert again.empty and again.columns.tolist() == ["slide", "path", "findings", "seconds", "why_not"]
    cv2.imwrite(str(folder / "no_size_either.png"), np.ones((64, 64), np.uint8))
    _touch(folder / "no_size_either.png", 3600)
    more: list[Watched] = []
    row = api.watch(folder, str(model), device="cpu", on_slide=more.append).iloc[0]
    assert row["slide"] == more[0].name == "no_size_either" and "pixel size" in row["why_not"]
    assert main(["watch", str(tmp_path / "gone"), "--model", str(model)]) == 2
    assert main(["watch", str(folder), "--model", str(model), "--report", "report.odt", "--once"]) == 2
