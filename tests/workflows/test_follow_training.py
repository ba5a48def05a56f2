"""A training is followed in the child that detections use, too, which go first."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from learning_toys import untrained_model

from microscope_qc.core.jobs import Job, Progress, TimedProgress, run_job
from microscope_qc.ml.cards import ModelCard
from microscope_qc.workflows import in_turns
from microscope_qc.workflows.child import RunAnswer
from microscope_qc.workflows.kept_child import KeptChild
from microscope_qc.workflows.learning.following import TrainingFailed, follow_training


class OneThatSpeaks:
    """A child that says what a test lets it say."""

    last_words = "the process was ended by signal 9."

    def __init__(self) -> None:
        self.running, self.busy, self.worn = True, False, False
        self.progress: dict[str, Any] = {}
        self.trained: list[Path] = []
        self.said: deque[RunAnswer] = deque()

    def train(self, folder: Path) -> None:
        self.trained.append(folder)
        self.busy = True

    def end(self, state: str, kind: str = "", message: str = "") -> None:
        self.said.append(RunAnswer(self.trained[-1], state, kind, message))
        self.busy = False

    def answers(self) -> list[RunAnswer]:
        said, self.said = list(self.said), deque()
        return said

    def give_up(self) -> None:
        self.busy = False

    def wait_for_news(self, seconds: float) -> None:
        """It never has any."""

    def kill(self) -> None:
        self.running = False

    dismiss = kill

    def wait(self, seconds: float) -> None:
        """It has ended."""


@pytest.fixture
def child() -> OneThatSpeaks:
    return OneThatSpeaks()


@pytest.fixture
def kept(child: OneThatSpeaks, monkeypatch: pytest.MonkeyPatch) -> KeptChild:
    made = KeptChild()
    monkeypatch.setattr(made, "_child", child)
    return made


def follow(folder: Path, kept: KeptChild) -> Job[ModelCard]:
    return follow_training(folder, kept, wait_s=0.0)


def test_its_progress_is_told_and_its_card_is_read_at_the_end(
    child: OneThatSpeaks, kept: KeptChild, tmp_path: Path
) -> None:
    folder = untrained_model(tmp_path / "m")
    job = follow(folder, kept)
    assert next(job) == TimedProgress(0, 0, "steps", "starting", None) and child.trained == [folder]
    child.progress = {"done": 3, "total": 9, "unit": "steps", "note": "epoch 1 of 2, loss 0.5", "seconds_left": 12.5}
    assert next(job) == TimedProgress(3, 9, "steps", "epoch 1 of 2, loss 0.5", 12.5)
    assert kept.take() is None, "it has the child"
    job.close()
    assert kept.take() is child
    kept.put_back(child)
    job = follow(folder, kept)
    next(job)
    child.end("finished")
    assert run_job(job).name == "m" and kept.free


def test_a_detection_goes_first_and_the_training_goes_on(child: OneThatSpeaks, kept: KeptChild, tmp_path: Path) -> None:
    folder = untrained_model(tmp_path / "m")
    job = follow(folder, kept)
    next(job)
    assert kept.take() is None and kept.waits_for == "the training to pause"
    assert next(job).note == "pausing: a detection goes first"
    assert next(job).note == "waiting: a detection goes first"
    assert kept.take() is child and not child.busy
    assert next(job).note == "waiting: a detection goes first"
    kept.put_back(child)
    assert next(job).note == "starting" and child.trained == [folder, folder]
    child.end("finished")
    run_job(job)


def test_a_detection_that_no_longer_waits_holds_up_nothing(
    child: OneThatSpeaks, kept: KeptChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = follow(untrained_model(tmp_path / "m"), kept)
    next(job)
    assert kept.take() is None  # and it is given up by the user at once
    assert [next(job).note for _ in range(2)] == ["pausing: a detection goes first", "waiting: a detection goes first"]
    monkeypatch.setattr(KeptChild, "wanted", property(lambda kept: False))  # some seconds later
    assert next(job).note == "starting" and len(child.trained) == 2
    job.close()


def test_what_went_wrong_is_said(child: OneThatSpeaks, kept: KeptChild, tmp_path: Path) -> None:
    job = follow(tmp_path, kept)
    next(job)
    child.end("failed", "ModelError", "The data set has no boxes. Draw some first.")
    with pytest.raises(TrainingFailed, match=r"ended early: The data set has no boxes\. Draw some first\.$"):
        run_job(job)
    assert kept.free
    job = follow(tmp_path, kept)
    next(job)
    child.running = False
    with pytest.raises(TrainingFailed, match=r"signal 9\. What was learned so far is kept; continue it"):
        run_job(job)
    assert kept.free


def test_the_window_closes_in_the_middle(child: OneThatSpeaks, kept: KeptChild, tmp_path: Path) -> None:
    job = follow(tmp_path, kept)
    told: Progress = next(job)
    assert told.note == "starting"
    kept.close()
    for thread in threading.enumerate():
        if thread.name == "detection-end":
            thread.join()
    with pytest.raises(TrainingFailed):
        run_job(job)
    assert in_turns.PAUSE_S > 1
