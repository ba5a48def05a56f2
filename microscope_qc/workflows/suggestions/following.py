"""Follows features and rounds in the child process for models; see :mod:`microscope_qc.workflows.suggestions.asked`."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.workflows.child import RunAnswer
from microscope_qc.workflows.in_turns import POLL_SECONDS, done_in_turns
from microscope_qc.workflows.kept_child import KeptChild


class RoundFailed(MicroscopeQCError, RuntimeError):
    """A round cannot be done; what was suggested before is kept."""


class EmbeddingFailed(MicroscopeQCError, RuntimeError):
    """The features of a slide cannot be computed; those that were are kept."""


class WorkerLost(MicroscopeQCError, RuntimeError):
    """The child ended in the middle; what it had written is kept, and it may be tried again."""


def follow_embedding(
    project: Path, children: KeptChild, slide_id: int, *, wait_s: float = POLL_SECONDS
) -> Job[None]:  # fmt: skip
    """Have the features of a slide computed; what was interrupted continues.

    Parameters
    ----------
    wait_s
        How long a step waits for the child.

    Raises
    ------
    EmbeddingFailed
        With what is wrong with the slide.
    WorkerLost
        When the child has ended.
    """
    answer = yield from done_in_turns(children, lambda child: child.embed(project, slide_id), wait_s=wait_s)
    _require_child(answer)
    if answer.state != "finished":
        raise EmbeddingFailed(answer.message)


def follow_round(
    project: Path, children: KeptChild, *, first: int | None = None, wait_s: float = POLL_SECONDS
) -> Job[None]:
    """Have the suggestions of a project brought up to date with its labels.

    Parameters
    ----------
    first
        Slide that comes first.
    wait_s
        How long a step waits for the child.

    Raises
    ------
    RoundFailed
        With what was wrong.
    WorkerLost
        When the child has ended.
    """
    answer = yield from done_in_turns(children, lambda child: child.suggest(project, first=first), wait_s=wait_s)
    _require_child(answer)
    if answer.state != "finished":
        raise RoundFailed(f"Learning from your labels has stopped: {answer.message}")


def _require_child(answer: RunAnswer) -> None:
    """An answer without a kind is not of the program: the child was killed, or has failed where it must not."""
    if answer.state != "finished" and not answer.kind:
        raise WorkerLost(f"Learning from your labels has stopped: {answer.message}", hint="Nothing is lost.")
