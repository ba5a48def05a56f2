"""Follows a training in the child process for models; a detection that needs the child goes first."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.ml.cards import ModelCard, read_card
from microscope_qc.workflows.child import RunAnswer
from microscope_qc.workflows.in_turns import POLL_SECONDS, done_in_turns
from microscope_qc.workflows.kept_child import KeptChild


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
    answer = yield from done_in_turns(children, lambda child: child.train(folder), wait_s=wait_s)
    if answer.state != "finished":
        raise TrainingFailed(f"The training ended early: {answer.message}", hint=_hint(answer))
    return read_card(folder)


def _hint(answer: RunAnswer) -> str:
    """Errors that the program knows say themselves what to do."""
    return "" if answer.kind else "What was learned so far is kept; continue it, or keep the best so far."
