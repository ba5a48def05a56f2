"""Judgements of findings: whether they are defects, of which class, and whether they are chosen for the SEM.

Each call is one entry of the history. ``carry_out`` writes it: now, or in the background where a window must not wait.
``at_random`` says that the findings were next in a random sample (:func:`~microscope_qc.analysis.sampling.sample_order`
of all that could be drawn): only such judgements say something of the findings that nobody judged.
"""

from __future__ import annotations

import numpy as np

from microscope_qc.core.boxes import REJECT_REASONS, ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.commands import CarryOut, at_once


def confirm(project: Project, ids: np.ndarray, *, carry_out: CarryOut = at_once, at_random: bool = False) -> None:
    """Confirm that findings are defects."""
    title = f"Confirm {_findings(ids)}"
    carry_out(project.boxes.prepare_edit(ids, title=title, at_random=at_random, state=ReviewState.CONFIRMED, reason=""))


def reject(
    project: Project, ids: np.ndarray, reason: str, *, carry_out: CarryOut = at_once, at_random: bool = False
) -> None:
    """Reject findings for a reason."""
    title = f"Reject {_findings(ids)}: {reason}"
    carry_out(
        project.boxes.prepare_edit(ids, title=title, at_random=at_random, state=ReviewState.REJECTED, reason=reason)
    )


def unreview(project: Project, ids: np.ndarray, *, carry_out: CarryOut = at_once) -> None:
    """Set findings back to unreviewed."""
    title = f"Back to unreviewed: {_findings(ids)}"
    carry_out(project.boxes.prepare_edit(ids, title=title, state=ReviewState.UNREVIEWED, reason=""))


def relabel(
    project: Project, ids: np.ndarray, class_id: int, *, carry_out: CarryOut = at_once, at_random: bool = False
) -> None:
    """Give findings another class."""
    title = f"Class {_findings(ids)} to {project.classes.by_id(class_id).code}"
    carry_out(project.boxes.prepare_edit(ids, title=title, at_random=at_random, class_id=class_id))


def choose(project: Project, ids: np.ndarray, chosen: bool, *, carry_out: CarryOut = at_once) -> None:
    """Put findings on the travel list of the SEM or take them off it."""
    title = f"{'Choose' if chosen else 'Leave out'} {_findings(ids)} for the SEM"
    carry_out(project.boxes.prepare_edit(ids, title=title, chosen=chosen))


def set_note(project: Project, ids: np.ndarray, note: str, *, carry_out: CarryOut = at_once) -> None:
    """Write a note."""
    carry_out(project.boxes.prepare_edit(ids, title=f"Note on {_findings(ids)}", note=note))


def delete(project: Project, ids: np.ndarray, *, carry_out: CarryOut = at_once) -> None:
    """Delete findings."""
    project.boxes.delete(ids, title=f"Delete {_findings(ids)}", carry_out=carry_out)


def reject_reason(text: str) -> str:
    """Return the reason that a user gave in words or by its letter.

    Raises
    ------
    InputError
        When it is not a reason; the message lists them.
    """
    said = text.strip().casefold()
    if said in REJECT_REASONS:
        return REJECT_REASONS[said]
    if said in REJECT_REASONS.values():
        return said
    reasons = ", ".join(f"{reason} ({letter})" for letter, reason in REJECT_REASONS.items())
    raise InputError(f"“{text}” is not a reason to reject a finding.", hint=f"The reasons are: {reasons}.")


def _findings(ids: np.ndarray) -> str:
    return things(len(ids), "finding")
