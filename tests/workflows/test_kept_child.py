"""The child that is kept between jobs, with a worker that only speaks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microscope_qc.core.geometry import Region
from microscope_qc.workflows import child as child_module
from microscope_qc.workflows import kept_child
from microscope_qc.workflows.child import Child, RunAnswer
from microscope_qc.workflows.kept_child import KeptChild

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def start(_command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return real([sys.executable, str(FAKE)], **options)

    monkeypatch.setattr(child_module.subprocess, "Popen", start)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptChild]:
    monkeypatch.setattr(kept_child, "ROOM_BYTES", 0)
    made = KeptChild()
    yield made
    made.close()
    for thread in threading.enumerate():
        if thread.name == "detection-end":
            thread.join()


def until(condition: Callable[[], object], child: Child) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        child.wait_for_news(0.02)


def answers(child: Child, count: int = 1) -> list[RunAnswer]:
    said: list[RunAnswer] = []

    def all_there() -> bool:
        said.extend(child.answers())
        return len(said) >= count

    until(all_there, child)
    return said


def test_jobs_are_answered_and_the_child_stays(kept: KeptChild) -> None:
    first = kept.take()
    assert not kept.free
    first.give(Path("a"), first=Region(1, 2, 3, 4))
    first.give(Path("fails"))
    assert answers(first, 2) == [
        RunAnswer(Path("a"), "finished"), RunAnswer(Path("fails"), "failed", "SlideError", "The slide is gone."),
    ]  # fmt: skip
    assert not first.busy
    kept.put_back(first)
    assert kept.free and kept.running and kept.take() is first


def test_a_job_that_is_given_up_is_stopped_and_not_answered(kept: KeptChild) -> None:
    child = kept.take()
    child.give(Path("endless"))
    until(lambda: child.progress.get("note") == "endless", child)
    kept.put_back(child)
    again = kept.take()
    assert again is child and not child.busy
    child.give(Path("endless"))  # the same run, continued
    assert child.progress.get("note") in (None, "endless")
    child.give(Path("b"))
    child.give_up()
    until(lambda: not child.busy, child)
    child.give(Path("c"))
    assert answers(child) == [RunAnswer(Path("c"), "finished")]


@pytest.mark.parametrize("name", ["deaf", "unforeseen", "full"])
def test_one_that_does_not_stop_or_is_worn_is_replaced(kept: KeptChild, name: str) -> None:
    child = kept.take()
    child.give(Path(name))
    until(lambda: child.progress or child.worn, child)
    kept.put_back(child)
    assert not child.running and kept.free
    assert kept.running, "another one gets ready"
    other = kept.take()
    assert other is not child
    other.give(Path("a"))
    assert answers(other) == [RunAnswer(Path("a"), "finished")]


def test_one_that_dies_says_why_and_is_replaced(kept: KeptChild) -> None:
    child = kept.take()
    child.give(Path("dies"))
    until(lambda: not child.running, child)
    assert (child.code, child.last_words) == (3, "it is broken")
    child.give(Path("a"))  # does no harm
    kept.put_back(child)
    assert kept.take().running


def test_it_is_started_before_it_is_needed_only_where_there_is_room(
    kept: KeptChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_child, "ROOM_BYTES", 1 << 60)
    kept.get_ready()
    assert not kept.running
    monkeypatch.setattr(kept_child, "ROOM_BYTES", 0)
    kept.get_ready()
    child = kept._child
    kept.get_ready()
    assert kept.running and kept._child is child and kept.take() is child
    child.give(Path("a"))
    assert answers(child) == [RunAnswer(Path("a"), "finished")], "getting ready is answered, too, but is no run"
    kept.get_ready()
    assert kept._child is child, "a job has it"


def test_it_is_lent_to_one_at_a_time_and_a_detection_goes_before_a_training(
    kept: KeptChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = kept.take_unless_wanted()
    assert child is not None and kept.take_unless_wanted() is None and not kept.wanted
    assert kept.take() is None and kept.wanted and kept.waits_for == "the training to pause"
    kept.put_back(child)
    assert kept.take_unless_wanted() is None, "the detection that asked comes first"
    assert kept.take() is child and not kept.wanted and kept.waits_for == "the previous detection to end"
    assert kept.take() is None
    monkeypatch.setattr(kept_child, "WISH_S", 0.0)  # the one that asked is gone
    kept.put_back(child)
    assert kept.take_unless_wanted() is child


def test_it_is_told_to_wait_while_the_slide_is_moved_though_not_for_a_detection(
    kept: KeptChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(Child, "hold_off", lambda _, seconds: told.append(seconds))
    kept.hold_off()
    detecting = kept.take()
    kept.hold_off()
    assert not told
    kept.put_back(detecting)
    learning = kept.take_unless_wanted()
    kept.hold_off()
    kept.hold_off()
    assert told == [kept_child.HOLD_OFF_S], "once in a while is enough"
    time.sleep(0.6 * kept_child.HOLD_OFF_S)
    kept.hold_off()
    assert len(told) == 2
    kept.put_back(learning)


def test_one_that_is_not_kept_ends_with_its_job(kept: KeptChild) -> None:
    kept.keep = False
    kept.get_ready()
    assert not kept.running
    child = kept.take()
    child.give(Path("a"))
    answers(child)
    kept.put_back(child)
    until(lambda: not child.running, child)
    assert child.code == 0 and kept.free and not kept.running


def test_closing_ends_it_in_the_middle_of_a_job_without_waiting(kept: KeptChild) -> None:
    child = kept.take()
    child.give(Path("endless"))
    until(lambda: child.progress, child)
    kept.close()
    until(lambda: not child.running, child)
    assert child.code == 0
    kept.get_ready()
    assert not kept.running, "the window is closed"


def test_closing_ends_one_that_does_not_listen(kept: KeptChild) -> None:
    child = kept.take()
    child.give(Path("deaf"))
    until(lambda: child.progress, child)
    kept.close()
    until(lambda: not child.running, child)
    assert child.code != 0
