"""How well suggestions do while they are judged, and what would help, in the words of the window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microscope_qc.analysis.shares import pooled_share
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import listed, percent_text, plural, things
from microscope_qc.project import Project
from microscope_qc.workflows.suggestions.judging import judged_suggestions

LAST = 20
"""So many that were judged last are counted: what it knew long before says little of what it knows now."""
LEAST = 8
"""Of fewer nothing is said, and a class with fewer labels is to be labelled first."""
FEW_CLASSES = 3


def judged_words(project: Project) -> str:
    """How many of the last suggestions that were judged are right, with the interval of 95 %; "" before the first."""
    states = judged_suggestions(project, last=LAST)
    if not states:
        return ""
    right = states.count(ReviewState.CONFIRMED)
    of = f"Of the last {len(states)} you judged {right} {plural(right, 'was', 'were')} right"
    share = pooled_share([right], [len(states)])
    if len(states) < LEAST or share is None:
        return f"{of}: too few to say how good it is."
    low, high = share.interval
    return f"{of} ({percent_text(share.value)}, {percent_text(low).rstrip('%').rstrip()}–{percent_text(high)})."


def wanted_words(labels: Mapping[int, int], codes: Mapping[int, str]) -> str:
    """Which classes need more labels, the nearest to enough first; "" where all that were begun have enough.

    Parameters
    ----------
    labels
        Number of labels by class.
    codes
        Codes by class.
    """
    short = sorted(
        ((LEAST - count, codes[number]) for number, count in labels.items() if 0 < count < LEAST and number in codes)
    )
    if not short:
        return ""
    first: Sequence[str] = [f"{missing} more of {code}" for missing, code in short[:FEW_CLASSES]]
    rest = len(short) - len(first)
    more = f", and of {things(rest, 'further class', 'further classes')}" if rest else ""
    return f"What would help: {listed(list(first))}{more}."
