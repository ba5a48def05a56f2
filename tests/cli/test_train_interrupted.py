"""Ctrl-C interrupts a training on the command line, and says how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from learning_toys import TINY_TRAINING, judged_project

from microscope_qc.cli import STOPPED, main
from microscope_qc.core.errors import Cancelled
from microscope_qc.core.jobs import Job
from microscope_qc.workflows.learning.asked import train_as_asked
from microscope_qc.workflows.learning.request import TrainingState, ask_for_training, read_training

TINY = ("--network", "ssd-tiny", "--crop", "128", "--tile", "192", "--overlap", "32", "--batch", "2", "--epochs", "2")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_project(tmp_path_factory.mktemp("judged"))


def until_a_step(job: Job[Any], args: object) -> None:
    """As if Ctrl-C was pressed after the first step."""
    while "loss" not in next(job).note:
        pass
    job.close()
    raise Cancelled


def test_an_interrupted_training_goes_on_or_ends_with_the_best(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m"
    command = ["train", str(project), "--out", str(out), *TINY, "--progress", "none"]
    assert main([*command, "--finish"]) == 2
    assert "There is no interrupted training" in capsys.readouterr().err and not out.exists()
    with monkeypatch.context() as patch:
        patch.setattr("microscope_qc.cli.progress.run", until_a_step)
        assert main(command) == STOPPED
    said = capsys.readouterr().err
    assert f"What was learned so far is kept in {out}: the same command goes on" in said and "--finish" in said
    assert main([*command, "--finish"]) == 0
    assert "Continued with the" in capsys.readouterr().err
    assert (out / "model.json").exists() and len((out / "curve.csv").read_text().splitlines()) == 2


def test_one_that_the_window_began_is_continued_with_its_settings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ask_for_training(project, "window", network="ssd-tiny", settings=TINY_TRAINING)
    job = train_as_asked(folder)
    while "loss" not in next(job).note:
        pass
    job.close()
    assert main(["train", str(project), "--out", str(folder), "--finish", "--progress", "none", "--json"]) == 0
    told = read_training(folder)
    assert told.state is TrainingState.FINISHED and told.card is not None
    assert told.card.architecture == "ssd-tiny" and len(told.curve) == 1
    assert '"Continued with the' in capsys.readouterr().out


def test_only_named_slides_are_learned_from(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(project), "--out", str(tmp_path / "m"), *TINY, "--progress", "none"]
    assert main([*command, "--slide", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
    assert main([*command[:2], str(project), *command[2:], "--slide", "S1"]) == 2
    assert "--slide is for one project" in capsys.readouterr().err
