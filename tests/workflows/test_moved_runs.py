"""An interrupted detection can be continued wherever its project, slide and model are now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.engine import run_model
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import JOURNAL_NAME
from microscope_qc.project.runs.plan import PLAN_NAME, RunPlan, plan_of, read_plan
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import prepare_run, resume_run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a slide, a model of a user, and a project of the slide with a stopped detection."""
    here = tmp_path / "here"
    here.mkdir()
    cv2.imwrite(str(here / "slide.png"), draw(3, size=600, count=16)[0])
    untrained_model(here / "models" / "toy")
    with Project.create(here / "p", slides=[here / "slide.png"]) as project:
        slide = project.slides[0].id
        project.slides.set_pixel_size(slide, 0.25)
        run = prepare_run(project, slide, here / "models" / "toy", device="cpu")
        run_job(run_model(run.folder))
        journal = run.folder / JOURNAL_NAME
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:4]))
        assert RunIntake(project, run).finish("stopped").state == "stopped"
    return here


def gone_on(project: Project) -> RunRecord:
    """Continue the run to its end and return it."""
    run = resume_run(project, 1)
    assert run_job(run_model(run.folder))["tiles_done"] == 9
    return RunIntake(project, run).finish("finished")


def move(place: Path, *, leave: str = "") -> Path:
    """Move everything to another folder, except ``leave``."""
    away = place.parent / "away" / "deep"
    shutil.copytree(place, away)
    for entry in place.iterdir():
        if entry.name != leave:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if leave:
        kept = away / leave
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    return away


def older(project: Path) -> None:
    """Make the run one of version 0.1, which stored no path from the project to the model."""
    import sqlite3

    connection = sqlite3.connect(project / "project.sqlite")
    (card,) = connection.execute("SELECT card FROM runs").fetchone()
    text = json.dumps({name: value for name, value in json.loads(card).items() if name != "model_relative"})
    connection.execute("UPDATE runs SET card = ?", (text,))
    connection.commit()
    connection.close()
    (project / "runs" / "1" / PLAN_NAME).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("leave", ["", "slide.png", "models"])
def test_a_stopped_detection_continues_where_its_project_is_now(place: Path, leave: str) -> None:
    away = move(place, leave=leave)
    with Project.open(away / "p.mqc") as project:
        before = project.boxes.table(project.slides[0].id).rows.copy()
        run = gone_on(project)
        after = project.boxes.table(project.slides[0].id).rows
    assert run.found == len(after) > len(before)
    assert after[: len(before)].tolist() == before.tolist()
    plan = read_plan(away / "p.mqc" / "runs" / "1")
    assert plan.slide is not None and Path(plan.slide.path) == (place if leave == "slide.png" else away) / "slide.png"
    assert Path(plan.model) == (place if leave == "models" else away) / "models" / "toy"


def test_so_does_one_of_version_0_1_moved_with_slide_and_model(place: Path) -> None:
    away = move(place)
    older(away / "p.mqc")
    with Project.open(away / "p.mqc") as project:
        assert project.runs[0].plan.model_relative == ""
        assert gone_on(project).state == "finished"


def test_the_same_settings_continue_it_too(place: Path) -> None:
    away = move(place)
    with Project.open(away / "p.mqc") as project:
        run = prepare_run(project, project.slides[0].id, away / "models" / "toy", device="cpu")
    assert run.id == 1 and run.state == "running" and Path(run.plan.model).is_relative_to(away)


def test_the_weights_tell_which_of_two_models_it_was(place: Path) -> None:
    away = move(place)
    other = untrained_model(place / "models" / "toy", bias=-1.0)  # another model where it used to be
    with Project.open(away / "p.mqc") as project:
        assert Path(resume_run(project, 1).plan.model) == away / "models" / "toy"
        shutil.rmtree(away / "models")
        with pytest.raises(ModelError, match="trained again"):
            resume_run(project, 1)
        shutil.rmtree(other)
        with pytest.raises(ModelError, match=r"The model toy is no longer at .*toy\. Put it back"):
            resume_run(project, 1)
        (away / "slide.png").unlink()
    with Project.open(away / "p.mqc") as project, pytest.raises(InputError, match="slide is no longer at"):
        resume_run(project, 1)


def test_a_plan_survives_what_another_version_wrote() -> None:
    stored = json.dumps({"model": "m", "region": [0, 0, 5, 6], "to_come": {"a": [1]}})
    plan = plan_of(stored)
    assert plan.document() == json.loads(stored) and plan.title == "m"
    assert plan_of("{") == plan_of("[]") == plan_of('{"region": "everywhere"}') == RunPlan()
    assert RunPlan().title == "a model" and RunPlan(model="C:\\models\\own\\").title == "own"
    assert RunPlan(model="m", model_name="Mine").settings == {
        "model": "Mine", "weights": "", "region": None, "scale": [1.0, 1.0],
    }  # fmt: skip
