"""The mask that a user painted in the window is used on the command line too."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detection_toys import ChildHere
from learning_toys import draw, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import Cancelled, InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.mask_files import read_mask
from microscope_qc.workflows.detection import following, many
from microscope_qc.workflows.detection.area import (
    CHANGED,
    DRAWN,
    NothingToScan,
    area_setting,
    chosen_scan_area,
    masks_to_dict,
)
from microscope_qc.workflows.detection.batch import batch

SIDE = 600


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project of two slides."""
    for seed, name in enumerate(("S1", "S2"), start=3):
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw(seed, size=SIDE, count=16)[0])
    with Project.create(tmp_path / "p", slides=[tmp_path / "S1.png", tmp_path / "S2.png"]) as made:
        for slide in made.slides:
            made.slides.set_pixel_size(slide.id, 0.25)
        return made.path


def cells(*, rows: int = 0, columns: int = 0, side: int = SIDE) -> AreaMask:
    """The first rows and columns of 6 x 6 cells."""
    scan = np.zeros((6, 6), bool)
    scan[:rows] = True
    scan[:, :columns] = True
    return AreaMask(Region(0, 0, side, side), (side / 6, side / 6), scan)


def store(path: Path, *, slide: int = 0, **masks: AreaMask) -> None:
    with Project.open(path) as project:
        project.settings.set(area_setting(project.slides[slide].id), masks_to_dict(masks))


def scan(path: Path, **options: Any) -> Any:
    with Project.open(path) as project:
        return chosen_scan_area(project, project.slides[0], **options)


def test_what_a_user_painted_is_the_scan_area(place: Path) -> None:
    assert scan(place, kind=CHANGED) == scan(place, kind=None)
    assert scan(place, kind=CHANGED).mask is None and scan(place, kind=CHANGED).words == ""
    with pytest.raises(NothingToScan, match="No regions are drawn on S1"):
        scan(place, kind=DRAWN)
    store(place, changed=cells(rows=4))
    found = scan(place, kind=CHANGED)
    assert found.mask.fingerprint == cells(rows=4).fingerprint and found.share == pytest.approx(2 / 3)
    assert found.words == "Scans only where the project's mask says: 67 % of the slide."
    assert scan(place, kind=None).words == "The project's mask is not used." and scan(place, kind=None).mask is None

    store(place, changed=cells(rows=4), drawn=cells(columns=1))
    assert scan(place, kind=CHANGED).words.endswith("--drawn on the command line scans only them.")
    drawn = scan(place, kind=DRAWN, region=Region(0, 0, SIDE, 200))
    assert drawn.kind == DRAWN and drawn.words == (
        "Scans only the regions drawn in the project: 50 % of the region. The project's mask is not used."
    )
    with pytest.raises(NothingToScan, match="nothing of the region to scan on S1"):
        scan(place, kind=DRAWN, region=Region(0, 300, SIDE, SIDE))
    store(place, changed=cells(rows=6))
    assert "says: all of the slide." in scan(place, kind=CHANGED).words


def test_a_mask_that_cannot_be_used_is_reported(place: Path) -> None:
    store(place, changed=cells(rows=4, side=SIDE + 6))
    found = scan(place, kind=CHANGED)
    assert found.mask is None and "slide of another size; it is not used" in found.words
    with Project.open(place) as project:
        project.settings.set(area_setting(project.slides[0].id), {"drawn": "nonsense"})
    with pytest.raises(InputError, match="cannot be read"):
        scan(place, kind=DRAWN)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detections run in this process: loading a child takes seconds."""
    monkeypatch.setattr(following, "Child", ChildHere)


def middles(project: Project, run_id: int, slide: int = 0) -> np.ndarray:
    rows = project.opinions.of_run(run_id)
    return (rows["y0"] + rows["y1"]) / 2


def test_the_command_scans_only_there(place: Path, model: Path, here: None, capsys: Any) -> None:
    store(place, changed=cells(rows=2))
    command = ["detect", str(place), "--slide", "S1", "--model", str(model), "--device", "cpu", "--progress", "none"]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "S1: Scans only where the project's mask says: 33 % of the slide."
    assert "  33 % of the tiles lie outside of the scan area and were left out" in said
    assert main([*command, "--no-mask"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "S1: The project's mask is not used." and not any("left out" in line for line in said)
    assert main([*command, "--drawn"]) == 2
    assert "No regions are drawn on S1" in capsys.readouterr().err
    assert main([*command, "--everything", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looks"] == {"mask": None, "share": None}
    assert main([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["looks"] == {"mask": "changed", "share": 0.3333} and again["run"] == 1, "the finished one"
    assert main([*command, "--drawn", "--no-mask"]) == 2
    with Project.open(place) as project:
        masked, free, everything = project.runs
        assert read_mask(masked.folder).fingerprint == cells(rows=2).fingerprint == masked.settings["area"]
        assert "area" not in free.settings and everything.settings["area"] == "everything"
        assert 0 < len(middles(project, masked.id)) < len(middles(project, free.id))
        assert middles(project, masked.id).max() < 300 < middles(project, free.id).max()


class OneWorker:
    """A cluster whose only worker is this process."""

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": {"here": {}}}

    def submit(self, work: Any, *arguments: Any, pure: bool, **options: Any) -> Any:
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **options))
        return done


def test_a_batch_uses_the_mask_of_every_slide(place: Path, model: Path, tmp_path: Path) -> None:
    store(place, slide=1, changed=cells(rows=2), drawn=cells(columns=1))
    said: list[Progress] = []
    done = run_job(batch([place], model, device="cpu", client=OneWorker()), said.append)
    assert {step.note.split(":")[0] for step in said[1:]} == {"S1, slide 1 of 2", "S2, slide 2 of 2"}
    assert {(step.note[:2], step.total) for step in said[1:]} == {("S1", 0), ("S1", 9), ("S2", 0), ("S2", 6)}
    assert [scan.kind for scan in done.areas] == [None, CHANGED] and done.left_out == []
    assert done.slides[0][2].share_skipped == 0 and done.slides[1][2].share_skipped == pytest.approx(1 / 3, abs=1e-3)
    status = done.slides[0][2].status
    assert len(status["starts"]) == 1 and status["starts"][0]["tiles"] == 9 and status["device_name"]
    assert status["mm2_per_min"] > 0 and status["seconds"] >= status["starts"][0]["working_s"] > 0
    again = run_job(batch([place], model, device="cpu", client=OneWorker()))
    assert again.slides[1][2].run_id == done.slides[1][2].run_id, "a finished one is not repeated"
    assert again.slides[1][2].seconds_before == pytest.approx(done.slides[1][2].status["seconds"])

    drawn = run_job(batch([place], model, device="cpu", area=DRAWN, client=OneWorker()))
    assert [(name, scan.kind) for (_, name, _), scan in zip(drawn.slides, drawn.areas, strict=True)] == [("S2", DRAWN)]
    (left,) = drawn.left_out
    assert left.wanted and left.words.startswith("p.mqc, S1: left out. No regions are drawn on S1.")
    free = run_job(batch([place], model, device="cpu", everything=True, client=OneWorker()))
    assert [scan.mask for scan in free.areas] == [None, None]


def test_a_batch_continues_without_what_cannot_be_scanned(
    place: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "S1.png").rename(tmp_path / "moved.png")
    monkeypatch.setattr(
        "microscope_qc.workflows.detection.batch._connected", lambda *_: contextlib.nullcontext(OneWorker())
    )
    done = run_job(batch([tmp_path / "none.mqc", place], model, device="cpu", client=OneWorker()))
    assert [name for _, name, _ in done.slides] == ["S2"]
    assert [(left.project.name, left.slide, left.wanted) for left in done.left_out] == [
        ("none.mqc", "", False), ("p.mqc", "S1", False),
    ]  # fmt: skip
    store(place, slide=1, changed=cells(rows=2))
    assert main(["batch", str(place), "--model", str(model), "--device", "cpu", "--progress", "none"]) == 2
    said = capsys.readouterr()
    first, second, *_ = said.out.splitlines()
    assert first == "p.mqc, S2: Scans only where the project's mask says: 33 % of the slide." and "findings" in second
    assert said.err.startswith("p.mqc, S1: left out. The slide S1 is no longer at")
    (tmp_path / "S2.png").rename(tmp_path / "moved too.png")
    with pytest.raises(InputError, match="S1 is no longer at"):
        run_job(batch([place], model, device="cpu", fresh=True, client=OneWorker()))


def test_two_detections_are_compared_where_both_scanned(place: Path, model: Path, here: None, capsys: Any) -> None:
    command = ["compare", str(place)]
    assert main(command) == 2 and "There are no two detections on S1." in capsys.readouterr().err
    store(place, changed=cells(rows=3))
    detect = ["detect", str(place), "--slide", "S1", "--model", str(model), "--device", "cpu", "--progress", "none"]
    detect.append("--json")
    assert main([*detect, "--no-mask"]) == 0 and main(detect) == 0
    capsys.readouterr()
    assert main([*command, "--json", "--confidence", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    with Project.open(place) as project:
        # what both found at the border is in both
        twice = np.isin(project.opinions.of_run(1)["finding_id"], project.opinions.of_run(2)["finding_id"])
        upper = int(((middles(project, 1) < 300) | twice).sum())
        lower = int(((middles(project, 1) >= 300) & ~twice).sum())
    assert told["both"] + told["only_first"] == pytest.approx(upper, abs=2) and told["both"] > 5
    assert told["beside_first"] == pytest.approx(lower, abs=2) and told["beside_second"] == 0
    assert main([*command, "2", "1", "--confidence", "0"]) == 0
    said = capsys.readouterr().out
    assert f"not compared: 0 of A and {told['beside_first']} of B lie where the other did not scan" in said
    for wrong in (["1"], ["1", "9"], ["1", "2", "--iou", "0"]):
        assert main([*command, *wrong]) == 2


def test_a_user_who_stops_a_detection_is_told_that_it_can_continue(
    place: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def detect(*_: Any, **__: Any) -> Job[Any]:
        raise Cancelled
        yield

    monkeypatch.setattr(many, "detect_many", detect)
    assert main(["detect", str(place), "--model", str(model), "--progress", "none"]) == 130
    said = capsys.readouterr().err
    assert said == "Stopped. What was found so far is kept; the same command without --fresh continues.\n"
