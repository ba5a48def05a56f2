"""What the child process for models does in between: a detection that needs it goes first."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microscope_qc.core.jobs import Job, Progress, TimedProgress
from microscope_qc.workflows.child import Child, RunAnswer
from microscope_qc.workflows.kept_child import KeptChild

POLL_SECONDS = 0.2
PAUSE_S = 30.0
"""Time to do a step to its end and to write everything down; a child that takes longer is ended, which loses little."""


def done_in_turns(
    children: KeptChild, begin: Callable[[Child], object], *, wait_s: float = POLL_SECONDS
) -> Job[RunAnswer]:
    """Have the child do what ``begin`` asks of it and follow it to its answer; return that.

    Where a detection waits for the child it stops, and begins again when the detection has ended. When the job is
    closed the child is asked to stop.

    Parameters
    ----------
    wait_s
        How long a step waits for the child.
    """
    while True:
        child = children.take_unless_wanted()
        if child is None:
            yield Progress(0, 0, "steps", "waiting: a detection goes first")
            time.sleep(wait_s)
            continue
        answer: RunAnswer | None = None
        try:
            begin(child)
            answer = yield from _until_answered(child, children, wait_s)
        finally:
            children.put_back(child, patience_s=PAUSE_S)
        if answer is not None:
            return answer


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
