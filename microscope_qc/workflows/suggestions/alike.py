"""The same judgement for all findings that look like one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.workflows.learning.dataset import trusted
from microscope_qc.workflows.suggestions.similar import SimilarFinding, looks_of_findings

MOST = 500
"""So many that look most like it are offered."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Findings that look like one and that nobody has judged, the most alike first; see ``SimilarFinding.alike``.

    ``without`` are slides that have no features yet.
    """

    ids: Ints
    alike: Floats
    without: tuple[str, ...] = ()

    def least(self, alike: float) -> Ints:
        """Those that are at least so much alike."""
        return self.ids[self.alike >= alike]


def find_alike(path: Path, finding_id: int, *, slide_ids: Sequence[int] | None = None, most: int = MOST) -> Job[Alike]:
    """Look, in any thread, for findings of a project that look like one.

    Raises
    ------
    InputError
        When there is no such finding, or its slide has no features.
    """
    with Project.open(path, write=False) as project:
        return (yield from alike_in(project, finding_id, slide_ids=slide_ids, most=most))


def alike_in(
    project: Project, finding_id: int, *, slide_ids: Sequence[int] | None = None, most: int = MOST
) -> Job[Alike]:  # fmt: skip
    """As :func:`find_alike`, in a project that is open."""
    own = project.boxes.slide_of(finding_id)
    ids = None if slide_ids is None else {own, *slide_ids}
    looks = yield from looks_of_findings(project, slide_ids=None if ids is None else sorted(ids))
    name = project.slides.by_id(own).name
    if name in looks.without:
        raise InputError(
            f"It is not known how the findings on {name} look: the slide has not been read for that.",
            hint="Switch on “Learn from my labels” and wait until it has (embed on the command line).",
        )
    found = looks.like(finding_id, count=len(looks.ids))
    kept = list[SimilarFinding]()
    for one in found:
        if len(kept) == most:
            break
        row = project.boxes.table(one.slide_id).get(np.array([one.finding_id]))
        if row["state"][0] == ReviewState.UNREVIEWED and not len(trusted(row)):
            kept.append(one)
    return Alike(
        np.array([one.finding_id for one in kept], np.int64), np.array([one.alike for one in kept]), looks.without
    )


def same_for(project: Project, finding_id: int, ids: Ints, *, carry_out: CarryOut = at_once) -> None:
    """Give findings the class of one, and what is said of it, where it is judged; one step of the history.

    Raises
    ------
    InputError
        When there are none.
    """
    if not len(ids):
        raise InputError("Nothing looks like it.", hint="Choose less alike ones.")
    rows = project.boxes.table(project.boxes.slide_of(finding_id)).get(np.array([finding_id]))
    row, state = rows[0], ReviewState.CONFIRMED if len(trusted(rows)) else ReviewState(int(rows["state"][0]))
    columns: dict[str, Any] = {"class_id": int(row["class_id"])}
    code = project.classes.by_id(int(row["class_id"])).code
    title = f"Class {things(len(ids), 'finding')} to {code}, like #{finding_id}"
    if state is not ReviewState.UNREVIEWED:
        columns |= {"state": int(state), "reason": str(row["reason"])}
        word = "Confirm" if state is ReviewState.CONFIRMED else "Reject"
        title = f"{word} {things(len(ids), 'finding')} as {code}, like #{finding_id}"
    carry_out(project.boxes.prepare_edit(ids, title=title, **columns))
