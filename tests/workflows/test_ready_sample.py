"""The sample that comes with the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microscope_qc.cli import main
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.project import Project
from microscope_qc.workflows.detection.coverage import read_scanned_area
from microscope_qc.workflows.detection.places import weights_fingerprint
from microscope_qc.workflows.samples import ready
from microscope_qc.workflows.samples.demo import BUNDLED_DETECTOR, score_against_truth
from microscope_qc.workflows.samples.synth import truth_path


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    (folder / "unfinished.mqc").mkdir()  # of a window that was killed while it unpacked
    (folder / "unfinished.mqc" / "project.sqlite").write_bytes(b"cut off")
    return run_job(ready.ready_sample(folder))


def test_it_has_the_findings_of_a_finished_detection(unpacked: Path) -> None:
    assert sorted(path.name for path in unpacked.parent.iterdir()) == [
        "sample.mqc", "sample.ome.zarr", "sample.truth.json",
    ]  # fmt: skip
    with Project.open(unpacked, write=False) as project:
        (slide,), (run,) = project.slides, project.runs
        assert project.check() == []
        assert (run.state, run.shown, run.plan.title) == ("finished", True, BUNDLED_DETECTOR)
        scanned = read_scanned_area(run)
        assert scanned.region is not None and scanned.region.shape == slide.shape_px and scanned.missing is None
        score = score_against_truth(project, slide.id, truth_path(unpacked.parent / ready.SLIDE_NAME))
    assert score["precision"] > 0.8 and score["recall"] > 0.8


def test_its_detection_is_that_of_the_bundled_detector(unpacked: Path) -> None:
    """Otherwise: python -m tests.make_sample."""
    card = load_card(model_folder(BUNDLED_DETECTOR))
    with Project.open(unpacked, write=False) as project:
        plan = project.runs[0].plan
        codes = {item.code for item in project.classes}
    assert plan.weights == weights_fingerprint(model_folder(BUNDLED_DETECTOR))
    assert (plan.classes, plan.confidence) == (tuple(card.classes), card.confidence)
    assert set(plan.classes) <= codes


def test_a_detection_with_the_same_settings_finds_it_done(unpacked: Path) -> None:
    from microscope_qc.workflows.detection.run import prepare_run

    with Project.open(unpacked) as project:
        run = prepare_run(project, project.slides[0].id, BUNDLED_DETECTOR)
        assert (run.id, run.state) == (project.runs[0].id, "finished")


def test_what_a_user_did_in_it_stays(unpacked: Path) -> None:
    with Project.open(unpacked) as project:
        chosen = project.boxes.rows()["id"][:2].tolist()
        project.boxes.edit(chosen, note="mine")
    before = unpacked.stat().st_ino
    assert run_job(ready.ready_sample(unpacked.parent)) == unpacked
    assert unpacked.stat().st_ino == before
    with Project.open(unpacked, write=False) as project:
        assert [row["note"] for row in project.boxes.rows() if row["id"] in chosen] == ["mine"] * 2


def test_the_command_line_takes_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--ready", "--no-window", "--out", str(tmp_path), "--json", "--progress", "none"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["project"] == str(tmp_path / "sample.mqc") and told["precision"] > 0.8
    assert (tmp_path / "coco.json").exists()
    assert main([*command, "--size", "4096"]) == 2
    assert "Leave out --ready, or --size" in capsys.readouterr().err
