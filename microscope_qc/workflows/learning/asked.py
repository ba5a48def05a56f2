"""The child's side of a training that a project asks for.

It may be killed at any time, and later goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from microscope_qc.core.files import FolderWatch, WriteError, atomic_write
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.ml.cards import CARD_NAME, ModelCard, read_card
from microscope_qc.project.runs.run_lock import PATIENCE_SECONDS, RunLock
from microscope_qc.workflows.learning.request import (
    STATUS_NAME,
    TrainingState,
    is_to_end,
    read_request,
    read_training,
    settings_of,
)
from microscope_qc.workflows.learning.train import forget_beginning, train

_STATUS_SECONDS = 2.0


def train_as_asked(folder: Path, *, patience_s: float = PATIENCE_SECONDS) -> Job[ModelCard]:
    """Do the training of a folder, or what of it is not done yet.

    Parameters
    ----------
    patience_s
        How long to wait for another process that is still writing there, such as one whose window was killed.

    Raises
    ------
    ProjectError
        When another process is still at it.
    MicroscopeQCError
        As for :func:`microscope_qc.workflows.learning.train.train`.
    """
    read_request(folder)  # before anything is written into a folder that is none of a training
    lock = RunLock(folder, what="training")
    yield from lock.acquire(patience_s=patience_s)
    status = _Status(folder)
    try:
        if (folder / CARD_NAME).exists():  # it was killed after its last step
            card = read_card(folder)
            forget_beginning(folder)
        else:
            card = yield from retold(_training(folder, status.tell), status.take)
        status.end(TrainingState.FINISHED)
    except GeneratorExit:
        status.end(TrainingState.PAUSED)
        raise
    except BaseException as error:
        status.end(TrainingState.FAILED, str(error))
        raise
    finally:
        lock.release()
    return card


def _training(folder: Path, tell: Callable[[str], None]) -> Job[ModelCard]:
    request, project = read_request(folder), folder.parent.parent
    return train(
        project, folder, task=request.task, network=request.network, slide_ids=request.slide_ids,
        trained_on=request.trained_on, keep_bad=request.keep_bad, end_now=lambda: is_to_end(folder), tell=tell,
        **settings_of(request, project),
    )  # fmt: skip


class _Status:
    """``status.json`` in the folder of a training: state, share done, minutes of all starts, notes, message."""

    def __init__(self, folder: Path) -> None:
        before = read_training(folder)
        self._path, self._place = folder / STATUS_NAME, FolderWatch(folder)
        self._began, self._minutes = time.monotonic(), before.minutes
        self._notes, self._share = list(before.notes), before.share
        self._written = 0.0
        self._write(TrainingState.RUNNING)

    def tell(self, sentence: str) -> None:
        """Add a sentence for the user."""
        if sentence not in self._notes:
            self._notes.append(sentence)
            self._write_if_it_can()

    def take(self, progress: Progress) -> Progress:
        """Note how far it is, and write that now and then; returns the same progress."""
        self._share = progress.fraction or self._share
        if time.monotonic() - self._written > _STATUS_SECONDS:
            self._write_if_it_can()
        return progress

    def end(self, state: TrainingState, message: str = "") -> None:
        """Say how it ended, where that can be written; what went wrong before is what the user has to know."""
        with contextlib.suppress(WriteError):
            self._write(state, message)

    def _write_if_it_can(self) -> None:
        """On a full disk a training goes on until it has something to lose: its next checkpoint."""
        self._written = time.monotonic()
        self._place.require()
        with contextlib.suppress(WriteError):
            self._write(TrainingState.RUNNING)

    def _write(self, state: TrainingState, message: str = "") -> None:
        self._place.require()
        self._written = time.monotonic()
        document = {
            "state": str(state), "share": round(self._share, 4), "notes": self._notes, "message": message,
            "minutes": round(self._minutes + (time.monotonic() - self._began) / 60, 2),
        }  # fmt: skip
        atomic_write(self._path, json.dumps(document, ensure_ascii=False))
