"""Reads slides that are to be added: a few in threads, many in child processes.

A thousand pictures read by threads would hold the interpreter whenever the window wants it. A child reads one file
after the other as it is told on its stdin, and ends when that is closed; a file that ends the child is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.project.scenes import SceneFacts, read_facts
from microscope_qc.workflows.intake.finding import LeftOutFile, Reason
from microscope_qc.workflows.intake.masks import looks_like_mask

logger = logging.getLogger(__name__)

CHILDREN = max(2, min(4, os.cpu_count() or 2))
COMMAND = ("-m", "microscope_qc", "reader")
READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be read: ``doubtful`` if its pixels must say whether it is a mask; only one ``scene`` if named."""

    path: Path
    doubtful: bool = False
    scene: str | None = None


Outcome = list[SceneFacts] | LeftOutFile
Read = Callable[[Wanted], Outcome]


def read_file(wanted: Wanted) -> Outcome:
    """Return what is stored about the scenes of a file, or why it is left out."""
    path = wanted.path
    if wanted.doubtful and looks_like_mask(path):
        return LeftOutFile(path, Reason.MASK, f"{path.name} is the mask of the photograph beside it.")
    try:
        return read_facts(path, scene=wanted.scene)
    except (MicroscopeQCError, OSError, ValueError) as error:
        return LeftOutFile(path, Reason.UNREADABLE, str(error))
    except Exception as error:  # a fault of a decoder must not refuse the thousand files around this one
        logger.exception("%s cannot be read", path)
        return LeftOutFile(path, Reason.UNREADABLE, f"{path.name} cannot be read ({type(error).__name__}: {error}).")


class ReadingChildren:
    """A child for each thread that reads; closed with all of them."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[_Child] = []
        self._closed = False
        self._lock = threading.Lock()

    def read(self, wanted: Wanted) -> Outcome:
        """Read a file in the child of this thread; here, where none can be started."""
        child = getattr(self._mine, "child", None)
        if child is None or child.ended:
            child = self._mine.child = self._started()
        if child is None:
            return read_file(wanted)
        answer = child.ask(wanted)
        if answer is None:
            words = f"{wanted.path.name} cannot be read: it ended the process that tried. It is damaged."
            return LeftOutFile(wanted.path, Reason.UNREADABLE, words)
        return answer

    def _started(self) -> _Child | None:
        try:
            child = _Child()
        except OSError:
            return None
        with self._lock:
            self._all.append(child)
            if self._closed:
                child.kill()
        return child if child.wait_until_ready() else None

    def close(self) -> None:
        """End all children at once: what they were reading is not needed."""
        with self._lock:
            self._closed = True
            for child in self._all:
                child.kill()


class _Child:
    def __init__(self) -> None:
        apart: dict[str, Any] = {"start_new_session": True}  # Ctrl C is for the program that asked
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **apart,
        )  # fmt: skip
        self.ended = False

    def wait_until_ready(self) -> bool:
        assert self._process.stdout is not None
        self.ended = self._process.stdout.readline() != READY
        return not self.ended

    def ask(self, wanted: Wanted) -> Outcome | None:
        """Have a file read; None where that has ended the child."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(asdict(wanted) | {"path": str(wanted.path)}).encode("ascii") + b"\n")
            stdin.flush()
            return _outcome(json.loads(stdout.readline()))
        except (OSError, ValueError):  # closed, or cut off in the middle of a line
            self.ended = True
            self.kill()
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Read files as they are named, one JSON object a line, until there are no more."""
    answers.write(READY)
    answers.flush()
    for line in asked:
        request = json.loads(line)
        outcome = read_file(Wanted(Path(request["path"]), request["doubtful"], request["scene"]))
        if isinstance(outcome, LeftOutFile):
            answer: Any = asdict(outcome) | {"path": str(outcome.path)}
        else:
            answer = [asdict(scene) | {"path": str(scene.path)} for scene in outcome]
        answers.write(json.dumps(answer).encode("ascii") + b"\n")
        answers.flush()


def _outcome(answer: Any) -> Outcome:
    if isinstance(answer, dict):
        return LeftOutFile(Path(answer["path"]), Reason(answer["reason"]), answer["words"])
    return [_facts(**scene) for scene in answer]


def _facts(*, path: str, shape_px: list[int], pixel_size_um: list[float] | None, **rest: Any) -> SceneFacts:
    size = None if pixel_size_um is None else (pixel_size_um[0], pixel_size_um[1])
    return SceneFacts(path=Path(path), shape_px=(shape_px[0], shape_px[1]), pixel_size_um=size, **rest)
