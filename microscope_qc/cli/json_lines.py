"""``--json-lines``: everything a command says, as one JSON object per line on stdout, for schedulers and scripts.

====================  ==================================================================================================
``event``             what else is in the object
====================  ==================================================================================================
``start``             ``command``, ``version``, ``pid``
``progress``          ``done``, ``total``, ``unit``, ``note``, ``seconds_left`` (null where it is not known)
``result``            ``result``: the document of ``--json``; commands that go on tell one after the other
``text``              ``text``: a line that the command prints for people
``end``               ``exit_code``, ``error`` (the sentence of stderr, or null), ``seconds``; always the last
====================  ==================================================================================================
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from microscope_qc import __version__

FLAG = "--json-lines"


class LineTeller(io.TextIOBase):
    """Stands in for stdout: lines that are printed become events, and JSON objects among them results."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out, self._begun, self._lock = out, "", threading.RLock()
        self.errors_said: list[str] = []

    def say(self, event: str, **values: Any) -> None:
        """Write one object, after what was printed before.

        Raises
        ------
        OSError
            When the program that reads it has ended.
        """
        with self._lock:
            if event != "text":
                self._end_line()
            print(json.dumps({"event": event, **values}, ensure_ascii=False), file=self._out, flush=True)

    def write(self, text: str) -> int:
        """Take a part of a line, or several lines."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._take(line)
        return len(text)

    def writable(self) -> bool:
        """As a stream is asked."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As a stream is asked."""
        return "utf-8"

    def fileno(self) -> int:
        """As a stream is asked."""
        return self._out.fileno()

    def _end_line(self) -> None:
        line, self._begun = self._begun, ""
        self._take(line)

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        document = None
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                document = json.loads(line)
        if isinstance(document, dict):
            self.say("result", result=document)
        else:
            self.say("text", text=line)


_TELLER: LineTeller | None = None


def teller() -> LineTeller | None:
    """Whom a command tells what it does; None when it speaks to people."""
    return _TELLER


def spoken(arguments: Iterable[str], run: Callable[[list[str]], int]) -> int:
    """Run a command line and tell its start, what it says, and its end; return its exit code."""
    global _TELLER  # noqa: PLW0603  # one command line per process
    arguments = list(arguments)
    before, begun = sys.stdout, time.monotonic()
    _TELLER = sys.stdout = told = LineTeller(before)
    try:
        told.say("start", command=arguments[0], version=__version__, pid=os.getpid())
        code = run(arguments)
        error = " ".join(told.errors_said) or None
        told.say("end", exit_code=code, error=error, seconds=round(time.monotonic() - begun, 3))
    finally:
        sys.stdout, _TELLER = before, None
    return code
