"""Follows a round in the child process for models; see :mod:`microscope_qc.workflows.suggestions.asked`."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.workflows.in_turns import POLL_SECONDS, done_in_turns
from microscope_qc.workflows.kept_child import KeptChild


class RoundFailed(MicroscopeQCError, RuntimeError):
    """The child ended before the round was done; what was suggested before is kept."""


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
    """
    answer = yield from done_in_turns(children, lambda child: child.suggest(project, first=first), wait_s=wait_s)
    if answer.state != "finished":
        raise RoundFailed(f"Learning from your labels has stopped: {answer.message}")
