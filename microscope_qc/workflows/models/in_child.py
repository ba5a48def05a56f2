"""A command about models in a process of its own: loading torch would hold a window up."""

from __future__ import annotations

from collections.abc import Sequence

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, TimedProgress
from microscope_qc.workflows.child import CommandChild

LOOK_SECONDS = 0.2


def run_command(arguments: Sequence[str]) -> Job[None]:
    """Run a command of the program; closing the job stops it.

    Raises
    ------
    ModelError
        With its last words, where it failed.
    """
    child = CommandChild(arguments, name="models")
    try:
        while child.running:
            told = child.progress
            left = told.get("seconds_left")
            yield TimedProgress(
                told.get("done") or 0, told.get("total") or 0, str(told.get("unit") or ""), str(told.get("note") or ""),
                float(left) if isinstance(left, int | float) else None,
            )  # fmt: skip
            child.wait(LOOK_SECONDS)
    finally:
        child.stop()
    if child.code != 0:
        raise ModelError(child.last_words)
