"""A detection looks at the plane that was chosen, and says which it was."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from detection_toys import ChildHere
from learning_toys import draw, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.box_rows import make_rows
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan, read_plan
from microscope_qc.slides.plane import Plane, StackPlace
from microscope_qc.slides.plane_choice import PlaneChoice
from microscope_qc.workflows.detection import following
from microscope_qc.workflows.detection.many import detect_many
from microscope_qc.workflows.detection.run import prepare_run
from microscope_qc.workflows.scenes import chosen_plane

PLANES, DETECTORS = 3, ("SE2", "BSE")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def pictures() -> np.ndarray:
    """z, c, y, x: a drawing of its own on every plane of both detectors."""
    grey = [cv2.cvtColor(draw(number, size=400, count=16)[0], cv2.COLOR_BGR2GRAY) for number in range(2 * PLANES)]
    return np.stack(grey).reshape(PLANES, 2, 400, 400)


@pytest.fixture
def project(tmp_path: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """A stack of two detectors, and the BSE picture of its last focus plane as an ordinary slide."""
    monkeypatch.setattr(following, "Child", ChildHere)
    names = {"axes": "ZCYX", "Channel": {"Name": list(DETECTORS), "Color": [-1, -1]}}
    tifffile.imwrite(tmp_path / "stack.ome.tif", pictures, metadata=names)
    cv2.imwrite(str(tmp_path / "one.png"), pictures[2, 1])
    with Project.create(tmp_path / "p", slides=[tmp_path / "stack.ome.tif", tmp_path / "one.png"]) as made:
        for slide in made.slides:
            made.slides.set_pixel_size(slide.id, 0.5)
        yield made


def found(project: Project, slide_id: int) -> list[tuple]:
    rows = project.boxes.table(slide_id).rows
    return sorted((row["y0"].item(), row["x0"].item(), row["confidence"].item()) for row in rows)


def test_the_chosen_plane_is_looked_at(project: Project, model: Path) -> None:
    stack, one = (slide.id for slide in project.slides)
    choice = PlaneChoice(channels=("BSE",), z=3)
    plane_of = {stack: Plane(StackPlace(z=2), (1,)), one: None}
    assert chosen_plane(project.slides.by_id(stack), choice) == plane_of[stack]
    done = run_job(detect_many(project, model, device="cpu", plane_of=lambda slide: plane_of[slide.id]))
    assert not done.left_out
    assert found(project, stack) == found(project, one) != []
    assert done.slides[0].result.status["looked_at"] == "channel BSE, focus plane 3 of 3"
    assert done.slides[1].result.status["looked_at"] == ""
    run = next(run for run in project.runs if run.slide_id == stack)
    assert read_plan(run.folder).chosen_plane() == plane_of[stack]
    assert run.settings["plane"] == {"z": 2, "channels": [1]}


def test_without_a_choice_it_is_the_first_picture_and_channel(
    project: Project, model: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    stack = next(iter(project.slides))
    done = run_job(detect_many(project, model, slide_ids=[stack.id], device="cpu"))
    assert done.slides[0].result.status["looked_at"] == "channel SE2, focus plane 1 of 3"
    cv2.imwrite(str(tmp_path / "first.png"), pictures[0, 0])
    with Project.create(tmp_path / "q", slides=[tmp_path / "first.png"]) as other:
        other.slides.set_pixel_size(1, 0.5)
        run_job(detect_many(other, model, device="cpu"))
        assert found(project, stack.id) == found(other, 1)


def test_other_planes_are_other_runs(project: Project, model: Path) -> None:
    stack = next(iter(project.slides)).id
    first = prepare_run(project, stack, model)
    assert "plane" not in first.settings, "runs of older projects are continued"
    second = prepare_run(project, stack, model, plane=Plane(StackPlace(z=1)))
    assert second.id != first.id
    assert prepare_run(project, stack, model).id == first.id
    assert prepare_run(project, stack, model, plane=Plane(StackPlace(z=1))).id == second.id
    assert chosen_plane(project.slides.by_id(stack), PlaneChoice(z=1)) is None, "the first is what it takes anyway"


def test_planes_on_the_command_line(project: Project, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project.close()
    command = ["detect", str(project.path), "--model", str(model), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--slide", "stack", "--channel", "bse", "--z", "2"]) == 0
    assert "looked at: channel BSE, focus plane 2 of 3" in capsys.readouterr().out
    assert main([*command, "--slide", "stack", "--z", "4"]) == 2
    assert "has 3 focus planes; focus plane 4 does not exist" in capsys.readouterr().err
    assert main([*command, "--z", "2", "--json"]) == 2, "the picture has no second focus plane"
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert [slide["looked_at"] for slide in answer["slides"]] == ["channel SE2, focus plane 2 of 3"]
    assert "one.png has 1 focus plane; focus plane 2 does not exist" in said.err


def test_a_plane_that_the_slide_no_longer_has(project: Project, model: Path, tmp_path: Path) -> None:
    stack = next(iter(project.slides)).id
    plane = Plane(StackPlace(z=7))
    done = run_job(detect_many(project, model, slide_ids=[stack], device="cpu", plane_of=lambda slide: plane))
    assert "focus plane 8 does not exist" in str(done.left_out[0].error)


@pytest.mark.parametrize("stored", [{"z": -1}, {"channels": []}, {"z": "x"}])
def test_a_damaged_plan_is_refused(stored: dict) -> None:
    with pytest.raises((ProjectError, ValueError)):
        RunPlan.model_validate({"plane": stored}).chosen_plane()


def test_settings_of_runs_without_a_choice_are_as_they_were() -> None:
    assert RunPlan().chosen_plane() is None
    assert set(RunPlan().settings) == {"model", "weights", "region", "scale"}


def test_training_pictures_and_overview_of_a_plane(
    project: Project, pictures: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = next(iter(project.slides))
    project.boxes.add(stack.id, make_rows(1, y0=180, x0=180, y1=220, x1=220, class_id=project.classes[0].id))
    project.slides.remove(2)
    project.close()
    make = ["dataset", "make", str(project.path), "--tile", "64", "--background", "0", "--progress", "none"]
    for name, chosen, expected in (
        ("first", [], pictures[0, 0]),
        ("chosen", ["--channel", "BSE", "--z", "3"], pictures[2, 1]),
    ):
        assert main([*make, "--out", str(tmp_path / name), *chosen]) == 0
        cut = cv2.imread(str(next((tmp_path / name / "images").iterdir())), cv2.IMREAD_GRAYSCALE)
        x, y = cv2.minMaxLoc(cv2.matchTemplate(expected, cut, cv2.TM_SQDIFF))[2]
        np.testing.assert_array_equal(expected[y : y + 64, x : x + 64], cut, f"{name}: cut from that plane, unchanged")
        out = tmp_path / f"{name}.png"
        assert main(["overview", str(project.path), str(out), "--progress", "none", *chosen]) == 0
    capsys.readouterr()
    first, chosen = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("first", "chosen"))
    assert first.shape == chosen.shape and (first != chosen).mean() > 0.1
    assert main(["overview", str(project.path), str(out), "--t", "2"]) == 2
    assert "has 1 time point; time point 2 does not exist" in capsys.readouterr().err
