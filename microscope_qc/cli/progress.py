"""Jobs on the command line: progress on stderr, and a clean stop at Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from microscope_qc.cli.json_lines import LineTeller, teller
from microscope_qc.core.errors import Cancelled
from microscope_qc.core.jobs import CancelToken, Job, Progress, TimeLeft, run_job
from microscope_qc.core.wording import duration_text, progress_text

T = TypeVar("T")

_BAR_SECONDS = 0.1
_JSON_SECONDS = 0.05
_LINE_SECONDS = 10.0


class Reporter(Protocol):
    """Shows the progress of one job."""

    def show(self, progress: Progress, seconds_left: float | None) -> None:
        """Show one step."""

    def close(self) -> None:
        """Leave the terminal as a user expects it."""


def run(job: Job[T], args: argparse.Namespace) -> T:
    """Drive a job to its end, showing progress as ``args.progress`` says.

    SIGINT and SIGTERM (Ctrl-Break on Windows) stop the job at its next step; a second one stops it at once.

    Raises
    ------
    Cancelled
        After the job was closed.
    """
    reporter = _reporter(getattr(args, "progress", "auto"))
    time_left = TimeLeft()
    token = CancelToken()

    def on_progress(progress: Progress) -> None:
        reporter.show(progress, time_left.update(progress))

    try:
        with _stop_signals(token):
            return run_job(job, on_progress, token)
    finally:
        reporter.close()


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; numpy numbers and paths are allowed in it, NaN is not (it becomes null)."""
    told = teller()
    if told is not None:
        told.say("result", result=_plain(document))
    else:
        print(json.dumps(_plain(document), ensure_ascii=False, indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _reporter(mode: str) -> Reporter:
    told = teller()
    if told is not None:
        return _Silence() if mode == "none" else _JsonLines(told=told)
    if mode == "json":
        return _JsonLines()
    if mode == "none" or sys.stderr is None:
        return _Silence()
    return _Bar() if sys.stderr.isatty() else _Lines()


@contextlib.contextmanager
def _stop_signals(token: CancelToken) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may take signals
        return

    def on_signal(number: int, frame: object) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()

    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    before: dict[int, Any] = {}
    for name in names:
        number = getattr(signal, name, None)
        if number is not None:
            before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class _Silence:
    def show(self, progress: Progress, seconds_left: float | None) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to close."""


class _JsonLines:
    """One object per line for a parent process; the last step is always told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, told: LineTeller | None = None) -> None:
        self._clock, self._told = clock, told
        self._next = 0.0
        self._held: dict[str, Any] | None = None

    def show(self, progress: Progress, seconds_left: float | None) -> None:
        line = {
            "done": progress.done,
            "total": progress.total,
            "unit": progress.unit,
            "note": progress.note,
            "seconds_left": None if seconds_left is None else round(seconds_left, 1),
        }
        if self._clock() < self._next:
            self._held = line
            return
        self._next = self._clock() + _JSON_SECONDS
        self._held = None
        self._write(line)

    def close(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            with contextlib.suppress(Cancelled):
                self._write(held)

    def _write(self, line: dict[str, Any]) -> None:
        try:
            if self._told is not None:
                self._told.say("progress", **line)
            else:
                print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)
        except OSError as error:
            raise Cancelled from error  # the parent has gone: nobody waits for the result


class _Bar:
    """One line that is written over, on a terminal."""

    def __init__(self) -> None:
        self._next = 0.0
        self._held: str | None = None
        self._shown = False

    def show(self, progress: Progress, seconds_left: float | None) -> None:
        self._held = _bar_text(progress, seconds_left)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _BAR_SECONDS
            self._write()

    def close(self) -> None:
        self._write()
        if self._shown:
            _to_stderr("\n")

    def _write(self) -> None:
        if self._held is not None:
            width = shutil.get_terminal_size().columns - 1
            _to_stderr("\r" + self._held[:width].ljust(width))
            self._held = None
            self._shown = True


class _Lines:
    """A plain line now and then, for log files."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + _LINE_SECONDS

    def show(self, progress: Progress, seconds_left: float | None) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + _LINE_SECONDS
            _to_stderr(_line_text(progress, seconds_left) + "\n")

    def close(self) -> None:
        """Lines need no end."""


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError):  # progress nobody can see is no reason to stop the work
        sys.stderr.write(text)
        sys.stderr.flush()


def _bar_text(progress: Progress, seconds_left: float | None) -> str:
    if progress.total <= 0:
        return _line_text(progress, seconds_left)
    filled = round(24 * progress.fraction)
    return f"[{'#' * filled}{'.' * (24 - filled)}] {_line_text(progress, seconds_left)}"


def _line_text(progress: Progress, seconds_left: float | None) -> str:
    parts = [f"{progress_text(progress.fraction):>5}"] if progress.total > 0 else []
    count = f"{progress.done:g}" + (f"/{progress.total:g}" if progress.total > 0 else "")
    if progress.done > 0 or progress.total > 0 or not progress.note:  # else nothing is counted yet
        parts.append(f"{count} {progress.unit}".strip() if progress.unit else count)
    if seconds_left is not None and progress.fraction < 1:
        parts.append(f"{duration_text(seconds_left)} left")
    if progress.note:
        parts.append(progress.note)
    return "  ".join(parts)
