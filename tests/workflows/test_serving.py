"""What the process for models does with what it is told, without a process."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microscope_qc.core.errors import Cancelled, SlideError
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.workflows import serving
from microscope_qc.workflows.serving import AtHand, Service


class Told:
    """Stdin and stderr of a worker."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.killed = threading.Event()

    def lines(self) -> Iterator[bytes]:
        yield from iter(self._lines.get, None)

    def tell(self, **entry: object) -> None:
        self._lines.put(json.dumps(entry).encode())

    def close(self) -> None:
        self._lines.put(None)

    def service(self, run: Callable[[Job[object]], object] = run_job, **options: Any) -> Service:
        return Service(
            self.lines(), run=run, say=self.answers.put, end_process=self.killed.set, **{"look_s": 0.01, **options}
        )

    def answer(self) -> dict[str, Any]:
        return self.answers.get(timeout=60)


class Steps:
    """A job that goes on until it may end."""

    def __init__(self) -> None:
        self.began: list[float | None] = []
        self.stepping, self.closed, self.may_end = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, asked: Any, at_hand: AtHand) -> Job[None]:
        self.began.append(at_hand.began)
        try:
            while not self.may_end.wait(0.002):
                self.stepping.set()
                yield Progress(1, 2)
        finally:
            self.closed.set()


def fail(asked: Any, at_hand: AtHand) -> Job[None]:
    yield Progress(0, 1)
    raise SlideError("The slide is gone.") if asked["how"] == "known" else KeyError("never foreseen")


def at_once(asked: Any, at_hand: AtHand) -> Job[None]:
    yield Progress(1, 1)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    made = Steps()
    monkeypatch.setattr(serving, "JOBS", {"step": made, "fail": fail, "at once": at_once})
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(serving, "GRACE_S", 60.0)  # what follows a job may take its time here
    return Told()


def in_thread(service: Service) -> threading.Thread:
    thread = threading.Thread(target=service.serve, daemon=True)
    thread.start()
    return thread


def test_jobs_are_done_in_order_and_one_that_fails_stops_no_other(
    told: Told, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.may_end.set()
    for number, entry in enumerate(({"do": "step"}, {"do": "fail", "how": "known"}, {"do": "fail", "how": "x"}), 1):
        told.tell(number=number, **entry)
    told.tell(number=4, do="no such job")
    told.tell(number=5, do="at once")
    thread = in_thread(told.service())
    assert told.answer() == {"answer": 1, "state": "finished"}
    assert told.answer() == {"answer": 2, "state": "failed", "kind": "SlideError", "message": "The slide is gone."}
    assert told.answer() == {"answer": 3, "state": "failed", "message": "Unexpected: KeyError: 'never foreseen'"}
    assert told.answer()["message"] == "Unexpected: KeyError: 'no such job'"
    assert told.answer() == {"answer": 5, "state": "finished"}
    told.close()
    thread.join(60)
    assert not thread.is_alive() and not told.killed.is_set()
    assert "never foreseen" in capsys.readouterr().err, "the log has it all"


def test_a_job_is_cancelled_while_it_runs_or_before_it_has_begun(told: Told, steps: Steps) -> None:
    told.tell(number=1, do="step")
    told.tell(number=2, do="step")
    told.tell(number=3, do="at once")
    thread = in_thread(told.service())
    assert steps.stepping.wait(60)
    told.tell(cancel=2)
    told.tell(cancel=77)
    told.tell(cancel=1)
    assert [told.answer() for _ in range(3)] == [
        {"answer": 1, "state": "stopped"}, {"answer": 2, "state": "stopped"}, {"answer": 3, "state": "finished"},
    ]  # fmt: skip
    assert steps.closed.is_set() and len(steps.began) == 1
    told.close()
    thread.join(60)


def test_what_can_wait_is_told_to(told: Told, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []

    def look(asked: Any, at_hand: AtHand) -> Job[None]:
        left.append(at_hand.hold_off.seconds_left)
        yield Progress(1, 1)

    monkeypatch.setattr(serving, "JOBS", {"look": look})
    told.tell(number=1, do="look")
    thread = in_thread(told.service())
    assert told.answer() == {"answer": 1, "state": "finished"}
    told.tell(**{"hold off": 500})
    told.tell(number=2, do="look")
    assert told.answer() == {"answer": 2, "state": "finished"}
    told.close()
    thread.join(60)
    assert left[0] == 0 and 400 < left[1] <= 500


def test_the_end_of_stdin_ends_a_job_and_the_process(told: Told, steps: Steps) -> None:
    told.tell(number=1, do="step")
    told.tell(number=2, do="step")
    thread = in_thread(told.service())
    assert steps.stepping.wait(60)
    told.close()
    thread.join(60)
    assert not thread.is_alive() and steps.closed.is_set() and not told.killed.is_set()


def test_a_step_that_never_ends_is_cut_off(told: Told, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "GRACE_S", 0.05)
    hold, begun = threading.Event(), threading.Event()

    def never_steps(job: Job[object]) -> None:
        begun.set()
        hold.wait()

    told.tell(number=1, do="step")
    thread = in_thread(told.service(run=never_steps))
    assert begun.wait(60)
    told.close()
    assert told.killed.wait(60)
    hold.set()
    thread.join(60)


def test_a_line_that_makes_no_sense_ends_it_too(told: Told, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    told.tell(number="one")
    service = told.service()
    service.serve()
    assert not told.killed.is_set()


def test_without_work_it_ends_by_itself(told: Told, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    Told().service(idle_s=0.05, least_free_bytes=0).serve()
    monkeypatch.setattr(serving, "_free_bytes", lambda: 100)
    Told().service(idle_s=1e9, least_free_bytes=101).serve()
    # not in the middle of a job, however little memory there is
    free = [1000]
    monkeypatch.setattr(serving, "_free_bytes", lambda: free[0])
    told.tell(number=1, do="step")
    thread = in_thread(told.service(idle_s=1e9, least_free_bytes=101))
    assert steps.stepping.wait(60)
    free[0] = 100
    time.sleep(0.05)
    assert thread.is_alive()
    steps.may_end.set()
    thread.join(60)
    assert told.answer() == {"answer": 1, "state": "finished"} and not thread.is_alive()
    told.close()


def test_a_signal_ends_it(told: Told, steps: Steps) -> None:
    def stopped(job: Job[object]) -> object:
        raise Cancelled

    told.tell(number=1, do="step")
    with pytest.raises(Cancelled):
        told.service(run=stopped).serve()
    assert told.answers.empty()


def test_loading_the_program_is_part_of_the_first_job_alone(told: Told, steps: Steps) -> None:
    steps.may_end.set()
    for number in (1, 2):
        told.tell(number=number, do="step")
    before = time.monotonic()
    thread = in_thread(told.service(process_began=5.0))
    for _ in range(2):
        told.answer()
    told.tell(number=3, do="step")
    told.answer()
    told.close()
    thread.join(60)
    first, second, third = steps.began
    assert first == 5.0 and before <= second <= third, "what waited behind another job was not slow"
