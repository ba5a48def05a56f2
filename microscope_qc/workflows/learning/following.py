"""Follows a training in the child process for models; a detection that needs the child goes first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress, TimedProgress
from microscope_qc.ml.cards import ModelCard, read_card
from microscope_qc.workflows.child import Child, RunAnswer
from microscope_qc.workflows.kept_child import KeptChild

POLL_SECONDS = 0.2
PAUSE_S = 30.0
"""Time to do a step to its end and to write everything down; a child that takes longer is ended, which loses little."""


class TrainingFailed(MicroscopeQCError, RuntimeError):
    """The child ended before the training was done; what was learned by the last checkpoint is kept."""


def follow_training(folder: Path, children: KeptChild, *, wait_s: float = POLL_SECONDS) -> Job[ModelCard]:
    """Have a training done, see :mod:`microscope_qc.workflows.learning.request`, and follow it to its end.

    When the job is closed the training pauses: nothing is lost, and it can be followed again. It pauses by itself for
    a detection, and then goes on.

    Parameters
    ----------
    wait_s
        How long a step waits for the child.

    Raises
    ------
    TrainingFailed
        With what was wrong.
    """
    while True:
        child = children.take_unless_wanted()
        if child is None:
            yield Progress(0, 0, "steps", "waiting: a detection goes first")
            time.sleep(wait_s)
            continue
        answer: RunAnswer | None = None
        try:
            child.train(folder)
            answer = yield from _until_answered(child, children, wait_s)
        finally:
            children.put_back(child, patience_s=PAUSE_S)
        if answer is None:  # it made room for a detection
            continue
        if answer.state != "finished":
            raise TrainingFailed(f"The training ended early: {answer.message}", hint=_hint(answer))
        return read_card(folder)


def _until_answered(child: Child, children: KeptChild, wait_s: float) -> Job[RunAnswer | None]:
    """What the child says at the end; None where it is wanted for a detection."""
    while True:
        for answer in child.answers():
            return answer
        if not child.running:
            words = child.last_words  # after this all its answers are there
            return next(iter(child.answers()), RunAnswer(Path(), "failed", "", words))
        if children.wanted:
            yield Progress(0, 0, "steps", "pausing: a detection goes first")
            return None
        yield _progress(child.progress)
        child.wait_for_news(wait_s)


def _progress(says: dict[str, Any]) -> Progress:
    left = says.get("seconds_left")
    return TimedProgress(
        float(says.get("done") or 0), float(says.get("total") or 0), "steps", str(says.get("note") or "starting"),
        float(left) if isinstance(left, int | float) else None,
    )  # fmt: skip


def _hint(answer: RunAnswer) -> str:
    """Errors that the program knows say themselves what to do."""
    return "" if answer.kind else "What was learned so far is kept; continue it, or keep the best so far."
