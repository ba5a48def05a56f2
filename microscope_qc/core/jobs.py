"""Long tasks as generators of :class:`Progress`, which stop at the next step when the user cancels."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from microscope_qc.core.errors import Cancelled

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job.

    ``total`` is 0 while it is not known; ``unit`` names what is counted ("tiles", "files").
    """

    done: float
    total: float
    unit: str = ""
    note: str = ""

    @property
    def fraction(self) -> float:
        """Share done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TimedProgress(Progress):
    """Progress of a job that knows how many seconds are left; None while it does not."""

    seconds_left: float | None = None


Job = Generator[Progress, None, T]


class CancelToken:
    """Set by the user's thread, read by the worker's."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise :class:`Cancelled` if the user has asked to stop."""
        if self._event.is_set():
            raise Cancelled


class HoldOff:
    """Work that can wait does so while the user needs the processor: asked for by one thread, heeded by others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._until = clock, -math.inf

    def ask(self, seconds: float) -> None:
        """Ask for quiet, from now on for so long at least."""
        self._until = max(self._until, self._clock() + seconds)

    @property
    def seconds_left(self) -> float:
        """How long to wait; 0 when nobody has asked."""
        return max(0.0, self._until - self._clock())


def run_job(job: Job[T], on_progress: Callable[[Progress], None] | None = None, cancel: CancelToken | None = None) -> T:
    """Run a job to its end and return its result.

    Raises
    ------
    Cancelled
        When ``cancel`` was set; the generator is closed first, so that its ``finally`` blocks have run.
    """
    try:
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if on_progress is not None:
                on_progress(progress)
            if cancel is not None:
                cancel.raise_if_cancelled()
    finally:
        job.close()


def retold(job: Job[T], tell: Callable[[Progress], Progress]) -> Job[T]:
    """Run a job as part of another one, which reports each progress as ``tell`` makes it; returns its result."""
    try:
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                result: T = stop.value
                return result
            yield tell(progress)
    finally:
        job.close()


class TimeLeft:
    """Estimates the remaining seconds from the speed of the most recent work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._points: list[tuple[float, float]] = []

    def update(self, progress: Progress) -> float | None:
        """Take a new progress; return the remaining seconds, or None while they cannot be estimated."""
        if isinstance(progress, TimedProgress):
            return progress.seconds_left
        if progress.total <= 0:  # loading says nothing about the speed of the work
            return None
        now = self._clock()
        if self._points and progress.done < self._points[-1][1]:
            self._points.clear()
        self._points.append((now, progress.done))
        while len(self._points) > 2 and now - self._points[0][0] > 30.0:
            self._points.pop(0)
        t0, d0 = self._points[0]
        if progress.done <= d0 or now <= t0:
            return None
        return (progress.total - progress.done) * (now - t0) / (progress.done - d0)
