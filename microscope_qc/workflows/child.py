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
from typing import TYPE_CHECKING, Any

from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.core.geometry import Region

_PATIENCE_SECONDS = 15.0


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
        let_idle_threads_sleep(environment)  # spinning threads would take CPU time from the window
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
            if isinstance(entry, dict):
                self._hear(entry)
            elif line:
                self._sentences.append(line)
        self._news.set()

    def _hear(self, entry: dict[str, Any]) -> None:
        """Take a JSON object that it has printed (in the listening thread)."""
        self.progress = entry

    def _say(self, entry: dict[str, Any]) -> None:
        """Write a JSON object to its stdin."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended, or was closed, which is noticed elsewhere
            self._process.stdin.write(json.dumps(entry).encode("ascii") + b"\n")
            self._process.stdin.flush()

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

    def wait(self, seconds: float) -> None:
        """Wait until it ends, for at most ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def wait_for_news(self, seconds: float) -> None:
        """Wait until it has said something new or ended, for at most ``seconds``."""
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
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self.running:
            self._process.kill()
            self.wait(_PATIENCE_SECONDS)
        self._listener.join(timeout=5)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.stderr is not None and not self._listener.is_alive():
            self._process.stderr.close()


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What the child says at the end of a run, or of a training: ``state`` is "finished" or "failed".

    ``kind`` is the name of the error's class, ``message`` its words for the user.
    """

    folder: Path
    state: str
    kind: str = ""
    message: str = ""


class Child(CommandChild):
    """The process that runs models, one job after another; it ends when this one does.

    One for all slides: loading program and model takes longer than a small picture. See
    :mod:`microscope_qc.workflows.serving` for what is said between the two.
    """

    def __init__(self) -> None:
        self._last_number = 0
        self._asked: dict[int, Path | None] = {}  # run folders by the number of the job
        self._given_up: set[int] = set()
        self._changing = threading.Lock()  # a job may be answered while it is given up
        self._answers: deque[RunAnswer] = deque()
        self.worn = False
        super().__init__(["worker", "--parent", str(os.getpid())], name="detection", fed=True)

    def give(self, run_folder: Path, *, first: Region | None = None) -> None:
        """Let it do a run after the jobs it was given before, beginning with the tiles that show ``first``."""
        seen = None if first is None else [first.y0, first.x0, first.y1, first.x1]
        self._ask("detect", run_folder, folder=str(run_folder), first=seen)

    def train(self, folder: Path) -> None:
        """Let it do, or continue, the training that the folder of a model asks for."""
        self._ask("train", folder, folder=str(folder))

    def embed(self, project: Path, slide_id: int) -> None:
        """Let it compute the features of a slide of a project, as far as they are not there."""
        self._ask("embed", project, project=str(project), slide=slide_id)

    def suggest(self, project: Path, *, first: int | None) -> None:
        """Let it learn from the labels of a project and suggest places on its slides, on slide ``first`` first."""
        self._ask("suggest", project, project=str(project), first=first)

    def get_ready(self, model: str) -> None:
        """Let it load the program and, once, a model: the next run then begins at once."""
        self._ask("get ready", None, model=model)

    def hold_off(self, seconds: float) -> None:
        """Have what can wait do so, from now on for so long."""
        self._say({"hold off": seconds})

    def _ask(self, what: str, run_folder: Path | None, **details: Any) -> None:
        if not self.busy:  # nothing that was said before belongs to this job
            self.progress = {}
            self._sentences.clear()
        self._last_number += 1
        self._asked[self._last_number] = run_folder
        self._say({"do": what, "number": self._last_number, **details})

    def _hear(self, entry: dict[str, Any]) -> None:
        if "answer" not in entry:
            super()._hear(entry)
            return
        number, kind = int(entry["answer"]), str(entry.get("kind", ""))
        state = str(entry.get("state", ""))
        # what an unforeseen error or full memory has left behind is no ground for another run
        self.worn |= state == "failed" and kind in ("", "OutOfMemory")
        with self._changing:
            folder = self._asked.pop(number, None)
            if number in self._given_up:
                self._given_up.discard(number)
            elif folder is not None:
                self._answers.append(RunAnswer(folder, state, kind, str(entry.get("message", ""))))
        self._news.set()

    @property
    def busy(self) -> bool:
        """Whether a job that it was given has not ended."""
        return bool(self._asked or self._given_up)

    def answers(self) -> list[RunAnswer]:
        """What it has said of runs since the last call."""
        said = []
        while self._answers:
            said.append(self._answers.popleft())
        return said

    def give_up(self) -> None:
        """Ask it to stop all runs; they are not answered any more."""
        with self._changing:
            runs = [number for number, folder in self._asked.items() if folder is not None]
            self._given_up.update(runs)
            for number in runs:
                self._asked.pop(number)
            self._answers.clear()
        for number in runs:
            self._say({"cancel": number})

    def dismiss(self) -> None:
        """Close its stdin: it stops what it does, and ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
