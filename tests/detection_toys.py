"""A detection's child without a process of its own: loading one takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.loading import TaskKeeper
from microscope_qc.ml.engine import run_model
from microscope_qc.workflows.child import RunAnswer


class ChildHere:
    """Does each run when it is given, in this process."""

    last_words = "the process was ended by signal 9."

    code = -9
    busy = worn = False

    def __init__(self) -> None:
        self.running = True
        self.progress: dict[str, Any] = {"done": 0, "total": 1, "unit": "tiles", "note": ""}
        self._answers: list[RunAnswer] = []
        self._models = TaskKeeper()

    def give(self, run_folder: Path, *, first: Region | None = None) -> None:
        """Do a run."""
        if not self.running:
            return
        try:
            run_job(run_model(run_folder, models=self._models, first=first))
        except MicroscopeQCError as error:
            self._answers.append(RunAnswer(run_folder, "failed", type(error).__name__, str(error)))
        else:
            self._answers.append(RunAnswer(run_folder, "finished"))

    def answers(self) -> list[RunAnswer]:
        """What was done since the last call."""
        said, self._answers = self._answers, []
        return said

    def wait_for_news(self, seconds: float) -> None:
        """There is never anything to wait for."""

    def wait(self, seconds: float) -> None:
        """It has ended already."""

    def give_up(self) -> None:
        """Everything that it was given is done."""

    def stop(self) -> None:
        """Do nothing more."""
        self.running = False

    dismiss = kill = stop
