"""The one place that runs long work for the window: threads, slices, progress, cancelling, endings.

A job ends in one of three ways, kept apart: returned, cancelled, failed. Callbacks always run in the window's thread.
Workers never touch a widget.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from microscope_qc.core.errors import Cancelled
from microscope_qc.core.jobs import CancelToken, Job, Progress, TimeLeft, run_job
from microscope_qc.workflows.kept_child import KeptChild

T = TypeVar("T")

log = logging.getLogger(__name__)

REPAINT_MS = 100
SLICE_EVERY_MS = 50
SLICE_S = 0.008
SWITCH_S = 0.001
"""A worker leaves the interpreter after this long to a window that waits for it, which it does after every paint."""


class JobState(Enum):
    """State of a job; the value is the word shown to the user."""

    RUNNING = "running"
    RETURNED = "done"
    CANCELLED = "stopped"
    FAILED = "failed"


_Ending = tuple[JobState, Any, BaseException | None]


class JobHandle(QObject):
    """One long-running job: its progress, how it ended, and a way to stop it."""

    changed = Signal()
    ended = Signal()

    def __init__(self, title: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self.state = JobState.RUNNING
        self.progress = Progress(0, 0)
        self.seconds_left: float | None = None
        self.error: BaseException | None = None
        self.result: Any = None
        self.started = datetime.now()
        self.seconds = 0.0
        self.cancelling = False
        self.listed = True
        self.token = CancelToken()
        self._clock = time.monotonic()
        self._time_left = TimeLeft()
        self._latest: Progress | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        if self.state is JobState.RUNNING and not self.cancelling:
            self.cancelling = True
            self.token.cancel()
            self.changed.emit()

    def take(self, progress: Progress) -> None:
        """Remember the newest progress (any thread); it is shown at the next repaint."""
        with self._lock:
            self._latest = progress

    def refresh(self) -> None:
        """Show what has come in since the last repaint (window's thread)."""
        with self._lock:
            latest, self._latest = self._latest, None
        self.seconds = time.monotonic() - self._clock
        if latest is not None and self.state is JobState.RUNNING:
            self.progress = latest
            self.seconds_left = self._time_left.update(latest)
            self.changed.emit()

    def finish(self, state: JobState, *, result: Any = None, error: BaseException | None = None) -> None:
        """Record how the job ended (window's thread)."""
        self.refresh()
        self.state, self.result, self.error, self.seconds_left = state, result, error, None
        self.changed.emit()
        self.ended.emit()


class JobRunner(QObject):
    """Runs jobs in worker threads or in slices of the window's thread.

    Attributes
    ----------
    detector
        The child process for models.
    """

    started = Signal(object)  # JobHandle
    changed = Signal(object)
    ended = Signal(object)
    failed = Signal(object)  # JobHandle, when it has no on_failed callback
    forgotten = Signal(object)  # JobHandle, ended, of those that are not listed
    _arrived = Signal(object)  # a callable from a worker, to be run in the window's thread

    def __init__(self, parent: QObject | None = None, *, workers: int = 3) -> None:
        super().__init__(parent)
        sys.setswitchinterval(SWITCH_S)
        self.history: list[JobHandle] = []
        self.detector = KeptChild()
        self._long = ThreadPoolExecutor(workers, thread_name_prefix="job")
        self._urgent = ThreadPoolExecutor(1, thread_name_prefix="urgent")
        self._short = ThreadPoolExecutor(2, thread_name_prefix="call")
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._behind_tokens: set[CancelToken] = set()
        self._calls: set[Future[None]] = set()
        self._slices: dict[JobHandle, _Slices] = {}
        self._closed = False
        self._arrived.connect(self._run_arrived, Qt.ConnectionType.QueuedConnection)
        self._repaint = QTimer(self)
        self._repaint.setInterval(REPAINT_MS)
        self._repaint.timeout.connect(self._on_repaint)

    @property
    def running(self) -> list[JobHandle]:
        """Jobs that have not ended, oldest first."""
        return [handle for handle in self.history if handle.state is JobState.RUNNING]

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called: no more jobs can be started."""
        return self._closed

    def run(
        self,
        job: Job[T],
        title: str,
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[BaseException], None] | None = None,
        on_cancelled: Callable[[], None] | None = None,
        *,
        urgent: bool = False,
        listed: bool = True,
    ) -> JobHandle:
        """Drive a generator in a worker thread.

        ``on_failed`` takes the error over; without it :attr:`failed` is emitted and the window shows it. ``urgent`` is
        what the user cannot go on without: it does not queue behind long jobs. What is not ``listed`` leaves the
        history when it has ended without an error: it is done again and again.
        """
        handle = self._begin(title)
        handle.listed = listed

        def work() -> None:
            ending: _Ending
            try:
                result = run_job(job, handle.take, handle.token)
            except Cancelled:
                ending = (JobState.CANCELLED, None, None)
            except BaseException as error:  # carried to the window's thread and shown there
                ending = (JobState.FAILED, None, error)
            else:
                ending = (JobState.RETURNED, result, None)
            self._arrived.emit(lambda: self._end(handle, ending, on_done, on_failed, on_cancelled))

        (self._urgent if urgent else self._long).submit(work)
        return handle

    def run_in_slices(
        self,
        job: Job[T],
        title: str,
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[BaseException], None] | None = None,
        on_cancelled: Callable[[], None] | None = None,
        *,
        may_stop: Callable[[], bool] = lambda: True,
    ) -> JobHandle:
        """Drive a generator in the window's thread, a few milliseconds at a time.

        For jobs that write to the project. Every step must be short: it may poll, never wait. One that was cancelled
        goes on until ``may_stop`` says that its end can be written.
        """
        handle = self._begin(title)
        slices = _Slices(
            self, handle, job, may_stop, lambda ending: self._end(handle, ending, on_done, on_failed, on_cancelled)
        )
        self._slices[handle] = slices
        slices.start()
        return handle

    def finish_now(self, handle: JobHandle) -> None:
        """Do all that is left of a job that runs in slices: the project that it writes to is about to be closed."""
        slices = self._slices.get(handle)
        if slices is not None:
            slices.finish_now()

    def call(
        self,
        function: Callable[[], T],
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[BaseException], None] | None = None,
    ) -> Future[None]:
        """Run a short function in a worker thread without showing it as a job (thumbnails, opening a slide)."""

        def work() -> None:
            try:
                result = function()
            except BaseException as error:  # carried to the window's thread and shown there
                caught = error
                self._arrived.emit(lambda: self._call_failed(caught, on_failed))
            else:
                if on_done is not None:
                    self._arrived.emit(lambda: on_done(result))

        future = self._short.submit(work)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def behind(
        self, job: Job[T], on_done: Callable[[T], None], on_failed: Callable[[BaseException], None]
    ) -> CancelToken:
        """Drive a generator in one thread of its own, without showing it as a job: what nobody waits for.

        Returns
        -------
        CancelToken
            Stops it; neither callback is called then.
        """
        token = CancelToken()

        def work() -> None:
            try:
                result = run_job(job, None, token)
            except Cancelled:
                pass
            except BaseException as error:  # carried to the window's thread
                failed = error
                self._arrived.emit(lambda: None if token.cancelled else on_failed(failed))
            else:
                self._arrived.emit(lambda: None if token.cancelled else on_done(result))
            finally:
                self._behind_tokens.discard(token)

        self._behind_tokens.add(token)
        self._behind.submit(work)
        return token

    def close(self) -> None:
        """Stop everything and wait for the workers; callbacks that have not run yet are dropped."""
        self._closed = True
        for handle in self.running:
            handle.cancel()
        for handle, slices in list(self._slices.items()):
            try:
                slices.stop()
            except Exception:  # the others must be stopped all the same, and what a user did is still to be written
                log.exception("%s could not be stopped properly", handle.title)
        self._slices.clear()
        self.detector.close()
        self._repaint.stop()
        for token in list(self._behind_tokens):
            token.cancel()
        self._behind.shutdown(wait=True, cancel_futures=True)
        self._short.shutdown(wait=True, cancel_futures=True)
        self._urgent.shutdown(wait=True, cancel_futures=True)
        self._long.shutdown(wait=True, cancel_futures=True)

    def _begin(self, title: str) -> JobHandle:
        handle = JobHandle(title, self)
        handle.changed.connect(lambda: self.changed.emit(handle))
        self.history.append(handle)
        self._repaint.start()
        self.started.emit(handle)
        return handle

    def _run_arrived(self, action: Callable[[], None]) -> None:
        if not self._closed:
            action()

    def _call_failed(self, error: BaseException, on_failed: Callable[[BaseException], None] | None) -> None:
        if on_failed is None:
            raise error
        on_failed(error)

    def _on_repaint(self) -> None:
        for handle in self.running:
            handle.refresh()
        if not self.running:
            self._repaint.stop()

    def _end(
        self,
        handle: JobHandle,
        ending: _Ending,
        on_done: Callable[[Any], None] | None,
        on_failed: Callable[[BaseException], None] | None,
        on_cancelled: Callable[[], None] | None,
    ) -> None:
        state, result, error = ending
        self._slices.pop(handle, None)
        handle.finish(state, result=result, error=error)
        self.ended.emit(handle)
        if not handle.listed and state is not JobState.FAILED:
            self.history.remove(handle)
            self.forgotten.emit(handle)
        if state is JobState.RETURNED and on_done is not None:
            on_done(result)
        elif state is JobState.CANCELLED and on_cancelled is not None:
            on_cancelled()
        elif state is JobState.FAILED and error is not None:
            log.error("%s failed", handle.title, exc_info=error)
            if on_failed is not None:
                on_failed(error)
            else:
                self.failed.emit(handle)


class _Slices(QObject):
    """Steps a generator from a timer."""

    def __init__(
        self,
        parent: QObject,
        handle: JobHandle,
        job: Job[object],
        may_stop: Callable[[], bool],
        on_end: Callable[[_Ending], None],
    ) -> None:
        super().__init__(parent)
        self._handle, self._job, self._may_stop, self._on_end = handle, job, may_stop, on_end
        self._last: Progress | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(SLICE_EVERY_MS)
        self._timer.timeout.connect(self._on_timeout)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        """Close the generator, so that its ``finally`` blocks run now."""
        self._timer.stop()
        self._job.close()

    def finish_now(self) -> None:
        """Go on to the end without a pause."""
        while self._timer.isActive():
            self._on_timeout()

    def _on_timeout(self) -> None:
        until = time.monotonic() + SLICE_S
        while True:
            if self._handle.token.cancelled and self._may_stop():
                self._finish(JobState.CANCELLED)
                return
            try:
                progress = next(self._job)
            except StopIteration as stop:
                self._finish(JobState.RETURNED, result=stop.value)
                return
            except Cancelled:
                self._finish(JobState.CANCELLED)
                return
            except Exception as error:  # becomes the job's ending and is shown
                self._finish(JobState.FAILED, error=error)
                return
            # a step without news has polled a child process: poll again at the next tick, not at once
            idle = progress == self._last
            self._last = progress
            self._handle.take(progress)
            if idle or time.monotonic() >= until:
                return

    def _finish(self, state: JobState, *, result: Any = None, error: BaseException | None = None) -> None:
        self._timer.stop()
        try:
            self._job.close()
        except Exception as closing:  # its clean-up failed: the user must be told
            state, error = JobState.FAILED, error or closing
        self._on_end((state, result, error))
        self.deleteLater()
