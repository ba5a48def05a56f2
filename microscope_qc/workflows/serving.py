"""The side of the child process: does jobs as they are named on stdin, one after another.

Each line of stdin is a JSON object. ``{"do": "detect", "number": 3, "folder": ..., "first": ...}`` is a job, whose name
is one of :data:`JOBS`; ``{"cancel": 3}`` stops it at its next step, or before it has begun; ``{"hold off": 0.5}`` has
what can wait do so for half a second. Of every job an answer is printed on stderr, after its progress:
``{"answer": 3, "state": "finished"}``, "stopped", or "failed" with ``kind`` and ``message``. The process opens what a
job names, closes it at the end of the job, and keeps program and model. It ends when stdin is closed, also in the
middle of a job, and by itself when there was nothing to do for a while, or when others need the memory.
"""

from __future__ import annotations

import gc
import json
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from microscope_qc.core.errors import Cancelled, MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import CancelToken, HoldOff, Job, Progress, retold

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.loading import TaskKeeper

T = TypeVar("T")

IDLE_S = 600.0
LEAST_FREE_BYTES = 2 << 30
LOOK_S = 5.0
GRACE_S = 1.0
"""Time to end a job cleanly after stdin was closed."""


@dataclass(slots=True)
class AtHand:
    """What is kept from job to job.

    ``began`` is when the present job could have begun, on the clock of ``time.monotonic``.
    """

    models: TaskKeeper
    began: float | None = None
    hold_off: HoldOff = field(default_factory=HoldOff)


def _detect(asked: Mapping[str, Any], at_hand: AtHand) -> Job[object]:
    from microscope_qc.ml.engine import run_model

    first = asked.get("first")
    seen = None if first is None else Region(*(int(side) for side in first))
    return run_model(Path(asked["folder"]), began=at_hand.began, models=at_hand.models, first=seen)


def _get_ready(asked: Mapping[str, Any], at_hand: AtHand) -> Job[object]:
    from microscope_qc.ml.engine.readiness import load_everything

    return load_everything(str(asked["model"]))


def _train(asked: Mapping[str, Any], at_hand: AtHand) -> Job[object]:
    from microscope_qc.workflows.learning.asked import train_as_asked

    return train_as_asked(Path(asked["folder"]))


def _embed(asked: Mapping[str, Any], at_hand: AtHand) -> Job[object]:
    from microscope_qc.workflows.suggestions.asked import embed_as_asked

    return embed_as_asked(Path(asked["project"]), int(asked["slide"]), hold_off=at_hand.hold_off)


def _suggest(asked: Mapping[str, Any], at_hand: AtHand) -> Job[object]:
    from microscope_qc.workflows.suggestions.asked import suggest_as_asked

    return suggest_as_asked(Path(asked["project"]), first=asked["first"], hold_off=at_hand.hold_off)


JOBS: dict[str, Callable[[Mapping[str, Any], AtHand], Job[object]]] = {
    "detect": _detect, "get ready": _get_ready, "train": _train, "embed": _embed,
    "suggest": _suggest,
}  # fmt: skip
"""What may be asked for, by name."""


@dataclass(slots=True)
class _Asked:
    number: int
    what: Mapping[str, Any]
    came: float = field(default_factory=time.monotonic)
    token: CancelToken = field(default_factory=CancelToken)


class Service:
    """Does what comes in on ``lines``.

    Parameters
    ----------
    run
        Drives a job to its end and shows its progress; raises :class:`Cancelled` when this process is to end.
    say
        Writes an answer.
    end_process
        Ends the process at once.
    process_began
        On the clock of ``time.monotonic``: loading the program is part of the first job.
    """

    def __init__(
        self,
        lines: Iterable[bytes],
        *,
        run: Callable[[Job[object]], object],
        say: Callable[[dict[str, Any]], None],
        end_process: Callable[[], None],
        process_began: float | None = None,
        idle_s: float = IDLE_S,
        least_free_bytes: int = LEAST_FREE_BYTES,
        look_s: float = LOOK_S,
    ) -> None:
        self._lines, self._run, self._say, self._end_process = lines, run, say, end_process
        self._process_began = process_began
        self._idle_s, self._least_free, self._look_s = idle_s, least_free_bytes, look_s
        self._waiting: queue.Queue[_Asked | None] = queue.Queue()
        self._open: dict[int, _Asked] = {}
        self._ended = threading.Event()
        self._hold_off = HoldOff()

    def serve(self) -> None:
        """Do jobs until there are no more."""
        from microscope_qc.ml.architectures.loading import TaskKeeper

        threading.Thread(target=self._listen, name="jobs", daemon=True).start()
        at_hand, free_since = AtHand(TaskKeeper(), hold_off=self._hold_off), 0.0
        try:
            for asked in self._jobs():
                at_hand.began = max(asked.came, free_since) if free_since else self._process_began
                self._say({"answer": asked.number, **self._answer(asked, at_hand)})
                self._open.pop(asked.number, None)
                free_since = time.monotonic()
                if self._waiting.empty():
                    _give_back_memory()
        finally:
            self._ended.set()

    def _listen(self) -> None:
        try:
            for line in self._lines:
                self._take(json.loads(line))
        finally:
            for asked in list(self._open.values()):
                asked.token.cancel()
            self._waiting.put(None)
            if not self._ended.wait(GRACE_S):
                self._end_process()

    def _take(self, told: Mapping[str, Any]) -> None:
        if "cancel" in told:
            open_one = self._open.get(int(told["cancel"]))
            if open_one is not None:
                open_one.token.cancel()
            return
        if "hold off" in told:
            self._hold_off.ask(float(told["hold off"]))
            return
        asked = _Asked(int(told["number"]), told)
        self._open[asked.number] = asked
        self._waiting.put(asked)

    def _jobs(self) -> Iterator[_Asked]:
        since = time.monotonic()
        while True:
            try:
                asked = self._waiting.get(timeout=self._look_s)
            except queue.Empty:
                if time.monotonic() - since >= self._idle_s or _free_bytes() < self._least_free:
                    return
                continue
            if asked is None:
                return
            yield asked
            since = time.monotonic()

    def _answer(self, asked: _Asked, at_hand: AtHand) -> dict[str, str]:
        try:
            asked.token.raise_if_cancelled()
            self._run(_until_cancelled(JOBS[asked.what["do"]](asked.what, at_hand), asked.token))
        except Cancelled:
            if not asked.token.cancelled:
                raise
            return {"state": "stopped"}
        except MicroscopeQCError as error:
            return {"state": "failed", "kind": type(error).__name__, "message": str(error)}
        except Exception as error:  # of this job; the next may be better
            traceback.print_exc()
            return {"state": "failed", "message": f"Unexpected: {type(error).__name__}: {error}"}
        return {"state": "finished"}


def _until_cancelled(job: Job[T], token: CancelToken) -> Job[T]:

    def tell(progress: Progress) -> Progress:
        token.raise_if_cancelled()
        return progress

    return retold(job, tell)


def _give_back_memory() -> None:
    from microscope_qc.ml.engine.readiness import give_back_memory

    gc.collect()
    give_back_memory()


def _free_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
