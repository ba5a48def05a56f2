"""Runs a command of the program in a child process: reads its stderr, and stops it gracefully."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What the child says at the end of a run: ``state`` is "finished" or "failed".

    ``kind`` is the name of the error's class, ``message`` its words for the user.
    """

    folder: Path
    state: str
    kind: str = ""
    message: str = ""


class CommandChild:
    """A command of the program in a child process: its stderr is read, and it is stopped gracefully.

    Parameters
    ----------
    arguments
        The command and its arguments; ``--progress json`` is added.
    name
        Name of the thread that reads its stderr.
    fed
        Whether it reads what it is to do from its stdin.
    """

    def __init__(self, arguments: Sequence[str], *, name: str, fed: bool = False) -> None:
        environment = dict(os.environ, PYTHONIOENCODING="utf-8")
        # spinning threads would take CPU time from the window
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        group: dict[str, Any] = {}
        if sys.platform == "win32":
            group["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        self._process = subprocess.Popen(
            [sys.executable, "-m", "microscope_qc", *arguments, "--progress", "json"],
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, **group,
        )  # fmt: skip
        self.progress: dict[str, Any] = {}
        self._sentences: deque[str] = deque(maxlen=20)
        self._answers: deque[RunAnswer] = deque()
        self._news = threading.Event()
        self._listener = threading.Thread(target=self._listen, name=name, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            line = raw.decode("utf-8", "replace").strip()
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if isinstance(entry, dict) and "run" in entry:
                told = (str(entry.get(name, "")) for name in ("state", "kind", "message"))
                self._answers.append(RunAnswer(Path(str(entry["run"])), *told))
                self._news.set()
            elif isinstance(entry, dict):
                self.progress = entry
            elif line:
                self._sentences.append(line)
        self._news.set()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Exit code; None while it is running."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The last message it printed, or how it ended."""
        self._listener.join(timeout=5)
        if self._sentences:
            return self._sentences[-1]
        code = self._process.poll()
        if code is not None and code < 0:
            return f"the process was ended by signal {-code}."
        return f"the process ended with code {code}."

    def answers(self) -> list[RunAnswer]:
        """What it has said of runs since the last call."""
        said = []
        while self._answers:
            said.append(self._answers.popleft())
        return said

    def wait(self, seconds: float) -> None:
        """Wait until it ends, for at most ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def wait_for_news(self, seconds: float) -> None:
        """Wait until it has answered or ended, for at most ``seconds``."""
        self._news.wait(seconds)
        self._news.clear()

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self.running:
            if sys.platform == "win32":
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self._process.terminate()
            self.wait(_PATIENCE_SECONDS)
        if self.running:
            self._process.kill()
            self.wait(_PATIENCE_SECONDS)
        self._listener.join(timeout=5)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.stderr is not None and not self._listener.is_alive():
            self._process.stderr.close()


class Child(CommandChild):
    """The process that runs models, one run after another; it ends when this one does.

    One for all slides: loading program and model takes longer than a small picture.
    """

    def __init__(self, *run_folders: Path) -> None:
        super().__init__(["worker", "--parent", str(os.getpid())], name="detection", fed=True)
        for folder in run_folders:
            self.give(folder)

    def give(self, run_folder: Path) -> None:
        """Let it do a run after those it was given before."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which is noticed elsewhere
            self._process.stdin.write(json.dumps(str(run_folder)).encode("ascii") + b"\n")
            self._process.stdin.flush()
