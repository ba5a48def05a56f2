"""A training that a project asked for is killed anywhere, and ends as if it had not been."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from learning_toys import TINY_TRAINING, judged_project
from safetensors.torch import load_file

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError, ModelError, ProjectError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, read_card
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.project import Project
from microscope_qc.project.runs.run_lock import RunLock
from microscope_qc.workflows.learning.asked import train_as_asked
from microscope_qc.workflows.learning.request import (
    TrainingState,
    ask_for_training,
    discard,
    end_with_best,
    free_name,
    go_on,
    read_training,
    trainings,
)
from microscope_qc.workflows.learning.train import DATA_NAME

PLACES = ("reading", "loading", "first-step", "validation", "second-epoch", "finish", "before-card", "after-card")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With small crops more of them would wait for each other on a busy computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


class Nursery:
    """See :mod:`training_nursery`."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("training_nursery.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def train(self, folder: Path, *, die: str = "never") -> str:
        """How a process ended that dies at a place."""
        print(die, folder, file=self._process.stdin, flush=True)
        return str(self._process.stdout.readline()).strip()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    if not hasattr(os, "fork"):
        pytest.skip("workers are forked here")
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_project(tmp_path_factory.mktemp("judged"))


@pytest.fixture
def project(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untouched.parent, tmp_path / "there") / "cell.mqc")


def asked(project: Path, name: str = "first") -> Path:
    return ask_for_training(project, name, network="ssd-tiny", settings=TINY_TRAINING)


@pytest.fixture(scope="module")
def whole(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = Path(shutil.copytree(untouched.parent, tmp_path_factory.mktemp("whole") / "there"))
    folder = asked(there / "cell.mqc")
    run_job(train_as_asked(folder))
    return folder


def test_one_that_is_killed_anywhere_ends_in_the_same_model(project: Path, whole: Path, nursery: Nursery) -> None:
    folder = asked(project)
    for place in PLACES:
        assert nursery.train(folder, die=place) == "killed", place
        assert (folder / CARD_NAME).exists() == (place == "after-card")
    assert (folder / CHECKPOINT_NAME).exists(), "it was killed before this was deleted"
    assert nursery.train(folder) == "ended"
    assert not (folder / CHECKPOINT_NAME).exists() and not (folder / DATA_NAME).exists()
    told, expected = read_training(folder), read_training(whole)
    assert told.state is TrainingState.FINISHED and told.card is not None and expected.card is not None
    for name, tensor in load_file(whole / WEIGHTS_NAME).items():
        torch.testing.assert_close(tensor, load_file(folder / WEIGHTS_NAME)[name], rtol=0, atol=1e-3)
    assert told.card.metrics["map50"] == pytest.approx(expected.card.metrics["map50"], abs=0.02)
    assert [row["epoch"] for row in told.curve] == [1, 2] and told.curve[0]["loss"] == expected.curve[0]["loss"]
    assert told.examples and told.examples_epoch == 2 and told.classes == ["SQ", "DI"]
    assert all(example.file.exists() and example.truth for example in told.examples)


def test_it_goes_on_with_what_it_began_with_where_it_was_moved_and_more_was_judged(
    project: Path, nursery: Nursery, tmp_path: Path
) -> None:
    folder = asked(project)
    assert nursery.train(folder, die="second-epoch") == "killed"
    began = read_training(folder)
    assert began.state is TrainingState.RUNNING and began.has_learned and len(began.curve) == 1
    with Project.open(project) as opened:
        code = opened.classes[0].id
        opened.boxes.add(opened.slides[0].id, make_rows(1, class_id=[code], y0=[1.0], x0=[1.0], y1=[20.0], x1=[20.0]))
    moved = Path(shutil.move(project.parent, tmp_path / "elsewhere")) / "cell.mqc"
    card = run_job(train_as_asked(moved / "models" / folder.name))
    assert sum(card.training["boxes"].values()) < 30, "what was drawn since then was not learned"
    (ended,) = trainings(moved)
    (said,) = [note for note in ended.notes if note.startswith("Continued with the")]
    assert "defects that it began with; what was judged since then is not among them" in said
    assert ended.minutes > 0 and ended.share == 1


def test_one_that_is_closed_is_paused_and_one_that_is_to_end_keeps_the_best(project: Path) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    while "loss" not in next(job).note:
        pass
    job.close()
    told = read_training(folder)
    assert told.state is TrainingState.PAUSED and told.has_learned and 0 < told.share < 1
    end_with_best(folder)
    card = run_job(train_as_asked(folder))
    assert read_training(folder).state is TrainingState.FINISHED and card.training["best_epoch"] == 1
    assert len(read_training(folder).curve) == 1
    with pytest.raises(InputError, match="finished by now"):
        discard(folder)


def test_slides_of_the_scope_alone_are_learned_from(project: Path) -> None:
    with Project.open(project, write=False) as opened:
        ids = [slide.id for slide in opened.slides]
    folder = ask_for_training(project, "some", slide_ids=ids[:3], network="ssd-tiny", settings=TINY_TRAINING)
    done = run_job(train_as_asked(folder)).training
    assert done["pictures"] >= 1 and done["pictures"] + done["validation_images"] <= 3, "the other slides are left out"
    none = ask_for_training(project, "none", slide_ids=[999], network="ssd-tiny", settings=TINY_TRAINING)
    with pytest.raises(ModelError, match="Nothing is confirmed or drawn on"):
        run_job(train_as_asked(none))
    failed = read_training(none)
    assert failed.state is TrainingState.FAILED and "Nothing is confirmed or drawn" in failed.message
    assert not failed.has_learned
    discard(none)
    assert [training.name for training in trainings(project)] == ["some"]


def test_two_do_not_train_in_one_folder(project: Path) -> None:
    folder = asked(project)
    other = RunLock(folder, what="training")
    run_job(other.acquire())
    with pytest.raises(ProjectError, match="Another training is still writing here"):
        run_job(train_as_asked(folder, patience_s=0.2))
    assert read_training(folder).state is TrainingState.ASKED
    with pytest.raises(ProjectError, match="Another training is still writing here"):
        discard(folder)
    assert read_training(folder).state is TrainingState.ASKED, "nothing of it is lost"
    other.release()
    discard(folder)
    assert not folder.exists()


def test_names_are_free_and_fit_for_folders(project: Path, tmp_path: Path) -> None:
    asked(project, "a")
    assert free_name(project, " A ") == "A 2" and free_name(project, "x/y: z") == "x_y_ z"
    assert free_name(project, "../q") == "_q"
    for nothing in (" ", ".."):
        with pytest.raises(InputError, match="needs a name"):
            free_name(project, nothing)
    (project / "models" / "a" / "request.json").write_text('{"task": 3}')
    assert trainings(project) == []
    with pytest.raises(ModelError, match="damaged"):
        run_job(train_as_asked(project / "models" / "a"))
    with pytest.raises(ModelError, match="not the folder of a training"):
        run_job(train_as_asked(tmp_path))
    assert list(tmp_path.iterdir()) == [project.parent], "nothing was written there"


def test_what_is_damaged_in_a_folder_counts_as_not_there(project: Path) -> None:
    folder = asked(project)
    for name in ("status.json", "examples.json", "curve.csv", CARD_NAME):
        (folder / name).write_bytes(b'{"state": 4, "pictures": [3, {"file": 1}], \xff')
    told = read_training(folder)
    assert told.state is TrainingState.ASKED and not told.curve and not told.examples and told.card is None
    (folder / "status.json").write_text('{"state": "odd", "notes": "x", "minutes": "y"}')
    (folder / "examples.json").write_text('{"pictures": [3, {"file": "f", "name": "n", "truth": [[1]], "found": []}]}')
    told = read_training(folder)
    assert told.state is TrainingState.ASKED and told.notes == [] and [e.truth for e in told.examples] == [[]]
    end_with_best(folder)
    go_on(folder)
    go_on(folder)
    with pytest.raises(ModelError):
        read_card(folder)
