"""Suggestions that a user judges become findings.

Each call is one entry of the history.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.matching import overlapping_pairs
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.suggestions import SuggestionSet, read_suggestions

JUDGED_KEY = "suggestions:judged"
REASON = "false positive"
SAME_PLACE = 0.3
"""What overlaps a finding by so much is not suggested."""


def free_places(boxes: Floats, findings: Floats) -> Ints:
    """Indices of boxes at which no finding is."""
    taken = overlapping_pairs(boxes, findings, iou=SAME_PLACE)[0]
    large = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    return np.setdiff1d(np.flatnonzero(large), taken)


def open_suggestions(project: Project, slide: SlideRecord) -> SuggestionSet | None:
    """What is suggested on a slide and is no finding yet; None where nothing was suggested."""
    found = read_suggestions(project.path, slide)
    if found is None:
        return None
    return still_free(found, project.boxes.table(slide.id).corners.T, [defect.id for defect in project.classes])


def still_free(found: SuggestionSet, findings: Floats, class_ids: Sequence[int]) -> SuggestionSet:
    """Those of some suggestions at which no finding (n, 4) is, judged or not, and whose class is there."""
    return found.only(free_indices(found, findings, class_ids))


def free_indices(found: SuggestionSet, findings: Floats, class_ids: Sequence[int]) -> Ints:
    """Indices of those of :func:`still_free`, the surest first."""
    free = free_places(found.boxes, findings)
    return free[np.isin(found.class_ids[free], class_ids)]


def accept(
    project: Project, slide_id: int, chosen: SuggestionSet, *, class_id: int | None = None,
    carry_out: CarryOut = at_once,
) -> np.ndarray:  # fmt: skip
    """Make confirmed findings of suggestions; return their numbers.

    Parameters
    ----------
    class_id
        None takes the suggested ones.
    """
    classes = chosen.class_ids if class_id is None else np.full(len(chosen), class_id)
    title = f"Accept {things(len(chosen), 'suggestion')}"
    return _judge(project, slide_id, chosen, carry_out, title=title, class_id=classes, state=ReviewState.CONFIRMED)


def reject(
    project: Project, slide_id: int, chosen: SuggestionSet, *, carry_out: CarryOut = at_once
) -> np.ndarray:  # fmt: skip
    """Make rejected findings of suggestions, which the model learns from as such; return their numbers."""
    title = f"Reject {things(len(chosen), 'suggestion')}: {REASON}"
    return _judge(
        project, slide_id, chosen, carry_out, title=title, class_id=chosen.class_ids, state=ReviewState.REJECTED,
        reason=REASON,
    )  # fmt: skip


def _judge(
    project: Project, slide_id: int, chosen: SuggestionSet, carry_out: CarryOut, *, title: str, **columns: object
) -> np.ndarray:
    if not len(chosen):
        raise InputError("No suggestion is chosen.", hint="Choose one first.")
    y0, x0, y1, x1 = chosen.boxes.T
    rows = make_rows(len(chosen), y0=y0, x0=x0, y1=y1, x1=x1, **columns)
    pending, ids = project.boxes.prepare({slide_id: rows}, title=title)
    carry_out(pending)
    numbers = ids[slide_id]
    scores = dict(zip(map(str, numbers.tolist()), chosen.scores.round(4).tolist(), strict=True))
    project.settings.set(JUDGED_KEY, _judged_scores(project) | scores, light=True)
    return numbers


def _judged_scores(project: Project) -> dict[str, float]:
    stored = project.settings.get(JUDGED_KEY, {})
    return dict(stored) if isinstance(stored, dict) else {}


def judged_suggestions(project: Project, *, last: int | None = None) -> list[ReviewState]:
    """What is said now of the findings that were suggested; those that were deleted, or undone, are left out.

    Parameters
    ----------
    last
        Only so many that were judged last, the newest first; None takes all.
    """
    states = list[ReviewState]()
    for number in map(int, reversed(_judged_scores(project))):
        if len(states) == last:
            break
        try:
            row = project.boxes.table(project.boxes.slide_of(number)).get(np.array([number]))[0]
        except InputError:
            continue
        if not has_flag(row, FindingFlag.DELETED) and row["state"] in (ReviewState.CONFIRMED, ReviewState.REJECTED):
            states.append(ReviewState(row["state"]))
    return states
