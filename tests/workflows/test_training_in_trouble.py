"""What happens to a training when its disk is full or read-only, its folder is gone, or its classes are changed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from learning_toys import TINY_TRAINING, judged_project

from microscope_qc.cli import main
from microscope_qc.core.files import FolderGoneError, FolderWatch, WriteError, system_error
from microscope_qc.core.jobs import Job, run_job
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.ml.training.checkpoint import load_checkpoint, save_checkpoint
from microscope_qc.ml.weights import save_weights
from microscope_qc.project import Project
from microscope_qc.project.model_classes import NAME, class_changes, read_model_classes
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import prepare_run
from microscope_qc.workflows.learning import asked as asked_module
from microscope_qc.workflows.learning.asked import train_as_asked
from microscope_qc.workflows.learning.request import (
    TrainingState,
    ask_for_training,
    go_on,
    read_training,
    trainings,
)

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a disk that is always full")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_project(tmp_path_factory.mktemp("judged"))


@pytest.fixture
def project(untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(asked_module, "_STATUS_SECONDS", 0.0)
    return Path(shutil.copytree(untouched.parent, tmp_path / "there") / "cell.mqc")


def asked(project: Path, name: str = "first") -> Path:
    with Project.open(project, write=False) as opened:
        classes = {defect.code: defect.id for defect in opened.classes}
    return ask_for_training(project, name, network="ssd-tiny", settings=TINY_TRAINING, classes=classes)


def until(job: Job[Any], reached: Callable[[], bool], words: str = "") -> None:
    """Do a training until something is there, and it says something."""
    while not (words in next(job).note and reached()):
        pass


@contextmanager
def full_disk() -> Iterator[None]:
    """What is written goes to the one disk that is always full."""

    def no_room(*, prefix: str, suffix: str, dir: Path) -> tuple[int, str]:  # noqa: A002 - as tempfile calls it
        name = Path(dir) / f"{prefix}full{suffix}"
        name.symlink_to(FULL)
        return os.open(name, os.O_RDWR), str(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", no_room)
        yield


@contextmanager
def read_only() -> Iterator[None]:
    def refused(**_: object) -> tuple[int, str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refused)
        yield


@needs_full
@pytest.mark.parametrize("write", ["checkpoint", "weights"])
def test_libraries_that_write_say_that_the_disk_is_full(write: str, tmp_path: Path) -> None:
    state = {"a": torch.zeros(100_000)}
    name = CHECKPOINT_NAME if write == "checkpoint" else WEIGHTS_NAME

    def save() -> None:
        if write == "checkpoint":
            save_checkpoint(tmp_path, state)
        else:
            save_weights(state, tmp_path / name)

    save()
    before = (tmp_path / name).read_bytes()
    with full_disk(), pytest.raises(WriteError, match=f"The disk is full; {name} was not written"):
        save()
    assert (tmp_path / name).read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_quota_is_told_like_a_full_disk(tmp_path: Path) -> None:
    resource: Any = pytest.importorskip("resource", reason="only Unix limits what a process may write")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(WriteError, match=r"checkpoint\.pt cannot be written \(File too large\)"):
            save_checkpoint(tmp_path, {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_said_is_found_behind_what_a_library_says() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 832 vs 726")  # noqa: B904 - as torch does it
    except RuntimeError as error:
        found = system_error(error)
    assert found is not None and found.errno == errno.ENOSPC
    assert system_error(RuntimeError("a fault")) is None


@pytest.mark.long
@needs_full
def test_a_full_disk_ends_a_training_with_a_sentence_and_it_goes_on_when_there_is_room(project: Path) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, (folder / CHECKPOINT_NAME).exists)
    kept = load_checkpoint(folder)
    with full_disk(), pytest.raises(WriteError, match=r"The disk is full; .* was not written\. Free some space"):
        run_job(job)
    assert kept is not None and load_checkpoint(folder)["course"] == kept["course"], "what was kept before is whole"
    told = read_training(folder)
    assert told.has_learned and len(told.curve) == 1 and told.card is None
    card = run_job(train_as_asked(folder))
    assert card.training["steps"] > 0 and [row["epoch"] for row in read_training(folder).curve] == [1, 2]


@needs_full
def test_a_disk_that_is_full_when_the_best_is_written_costs_no_step(project: Path) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, lambda: len(read_training(folder).curve) == 2, "choosing")
    with full_disk(), pytest.raises(WriteError, match=f"The disk is full; {WEIGHTS_NAME} was not written"):
        run_job(job)
    assert not (folder / CARD_NAME).exists() and (folder / CHECKPOINT_NAME).exists()
    notes: list[str] = []

    def follow() -> Job[ModelCard]:
        again = train_as_asked(folder)
        while True:
            try:
                progress = next(again)
            except StopIteration as end:
                return end.value
            notes.append(progress.note)
            yield progress

    run_job(follow())
    assert not any("loss" in note for note in notes), "no step was done again"
    assert read_training(folder).state is TrainingState.FINISHED


def test_what_a_kill_left_half_written_is_deleted(project: Path) -> None:
    folder = asked(project)
    left, other = folder / f".{CHECKPOINT_NAME}.x1_y2.pt", folder / f".{CHECKPOINT_NAME}.x1_y2.txt"
    for file in (left, other):
        file.write_bytes(b"half")
    until(train_as_asked(folder), (folder / CHECKPOINT_NAME).exists)
    assert not left.exists() and other.exists(), "only what the training writes itself"


def test_a_folder_that_becomes_read_only_is_said_to_be(project: Path) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, (folder / CHECKPOINT_NAME).exists)
    with read_only(), pytest.raises(WriteError, match="the folder is read-only"):
        run_job(job)
    assert run_job(train_as_asked(folder)).name == "first"


def test_a_name_is_not_taken_by_a_training_that_could_not_be_asked_for(project: Path) -> None:
    with read_only(), pytest.raises(WriteError, match="read-only"):
        asked(project)
    assert asked(project).name == "first"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="no folder is read-only for this user")
def test_one_that_cannot_be_told_to_go_on_says_why(project: Path) -> None:
    folder = asked(project)
    (folder / "stop").write_text("")
    folder.chmod(0o500)
    try:
        with pytest.raises(WriteError, match="read-only"):
            go_on(folder)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_nothing_is_written_where_the_folder_was(project: Path, tmp_path: Path, how: str) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, (folder / CHECKPOINT_NAME).exists)
    there = tmp_path / "elsewhere.mqc"
    if how == "deleted":
        shutil.rmtree(folder)
    else:
        shutil.move(project, there)
    with pytest.raises(FolderGoneError, match=rf"{folder.name} was deleted or moved while it was written into"):
        run_job(job)
    assert not folder.exists() and project.exists() == (how == "deleted"), "nothing was made there again"
    if how == "deleted":
        assert trainings(project) == []
    else:
        assert run_job(train_as_asked(there / "models" / folder.name)).name == "first"


def test_another_folder_of_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    watch = FolderWatch(folder)
    watch.require()
    folder.rename(tmp_path / "old")
    folder.mkdir()
    with pytest.raises(FolderGoneError):
        watch.require()


def test_on_the_command_line_it_is_one_sentence_too(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    command = [
        "train", str(project), "--out", str(out), "--network", "ssd-tiny", "--crop", "128", "--tile", "192",
        "--overlap", "32", "--batch", "2", "--epochs", "1", "--progress", "none",
    ]  # fmt: skip
    with read_only():
        assert main(command) == 2
    said = capsys.readouterr().err.strip()
    assert "read-only" in said and "Traceback" not in said
    assert main(command) == 0 and read_card(out).classes == ["SQ", "DI"]


@pytest.mark.parametrize("how", ["rename", "merge", "delete"])
def test_classes_may_be_changed_while_a_model_learns_them(project: Path, how: str) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, (folder / CHECKPOINT_NAME).exists)
    with Project.open(project) as opened:
        first, second = (opened.classes.by_code(code).id for code in ("SQ", "DI"))
        if how == "rename":
            opened.classes.edit(first, code="SQUARE")
        elif how == "merge":
            opened.classes.merge([first], into=second)
        else:
            opened.classes.delete(first)
    card = run_job(job)
    assert card.classes == ["SQ", "DI"] and len(read_training(folder).curve) == 2
    with Project.open(project) as opened:
        (said,) = class_changes(read_training(folder).class_ids, card.classes, opened.classes)
        slide = opened.slides[0]
        opened.slides.set_pixel_size(slide.id, 0.25)
        run = prepare_run(opened, slide.id, folder)
        RunIntake(opened, run).finish("finished")
        means = opened.runs.classes_of(run.id)
        codes = [defect.code for defect in opened.classes]
        if how == "rename":
            assert said == "SQ was renamed since the training began: what the model finds of it is SQUARE here."
            assert codes == ["SQUARE", "DI"] and means == {0: first, 1: second}
        else:
            assert said.startswith("SQ was merged or deleted since the training began: the model still looks for it")
            assert codes == ["DI", "SQ"] and means[1] == second
    assert read_model_classes(folder) == {"SQ": first, "DI": second}


def test_what_an_earlier_version_asked_for_goes_on(project: Path) -> None:
    folder = asked(project)
    job = train_as_asked(folder)
    until(job, (folder / CHECKPOINT_NAME).exists)
    job.close()
    (folder / NAME).unlink()
    card = run_job(train_as_asked(folder))
    assert class_changes(read_training(folder).class_ids, card.classes, []) == []


@pytest.mark.parametrize("content", [b"\xff{", b"[1]", b'{"SQ": "1", "DI": true, "X": null}', b"[" * 5000])
def test_a_list_of_classes_that_is_damaged_counts_as_not_there(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert read_model_classes(tmp_path) == {}


def test_examples_name_no_file_elsewhere(project: Path) -> None:
    folder = asked(project)
    (folder / "examples.json").write_text(
        '{"pictures": [{"file": "../../../secret.jpg", "name": "n", "truth": [], "found": []},'
        ' {"file": "/etc/passwd", "name": "n", "truth": [], "found": []}]}'
    )
    files = [example.file for example in read_training(folder).examples]
    assert files == [folder / "examples" / "secret.jpg", folder / "examples" / "passwd"]
