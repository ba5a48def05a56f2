"""Second reviews: somebody judges findings again that were judged before, without seeing how.

What both said is kept side by side; the project's own judgements stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.drawn import chance
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.sheets import read_sheet
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.owner import user_name
from microscope_qc.project.parts.standards import SECOND_REVIEW
from microscope_qc.project.records import Standard
from microscope_qc.workflows.review.judging import reject_reason

MOST = 10_000
"""Findings of one second review."""
NO_JUDGED = "None of these findings was judged: there is nothing to compare with."


@dataclass(frozen=True, slots=True)
class SecondVerdict:
    """What somebody says of a finding: a defect of a class (0 where it has none), or none, for a reason."""

    is_defect: bool
    class_id: int
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SecondReview:
    """A second review.

    Attributes
    ----------
    number
        As users know it.
    user, begun
        Who judges again, and when that was begun.
    findings
        Numbers of the findings, in the order in which they are shown, shape (N,).
    first, second
        What was said before, when the review was begun, and what is said now, by the number of the finding.
    seconds
        How long it took; None where it is not known.
    is_open
        Whether it has not ended yet.
    """

    record: Standard
    number: int
    user: str
    begun: str
    findings: Ints
    first: Mapping[int, SecondVerdict]
    second: Mapping[int, SecondVerdict]
    seconds: float | None
    is_open: bool

    @property
    def left(self) -> list[int]:
        """Numbers of the findings that are still to be judged again, in their order."""
        return [number for number in self.findings.tolist() if number not in self.second]


def second_reviews(project: Project) -> list[SecondReview]:
    """Return the second reviews of a project, oldest first; those that cannot be read are left out."""
    found = [_read(record) for record in project.standards.of(SECOND_REVIEW)]
    return [one for one in found if one is not None]


def second_review_named(project: Project, number: int) -> SecondReview:
    """Return a second review by its number.

    Raises
    ------
    InputError
        When there is none.
    """
    known = second_reviews(project)
    for one in known:
        if one.number == number:
            return one
    there = listed([str(one.number) for one in known]) or "none"
    raise InputError(f"There is no second review {number}.", hint=f"There are {there}.")


def begin(project: Project, ids: Ints, *, count: int | None = None, user: str = "") -> SecondReview:
    """Begin a second review of the judged ones of some findings (undoable).

    They come in an order of chance, which tells nothing of what was said before.

    Parameters
    ----------
    count
        A random sample of so many; None takes all.
    user
        Who judges again; "" takes the user of now.

    Raises
    ------
    InputError
        When none of them was judged, or there are too many.
    """
    first: dict[int, SecondVerdict] = {}
    project.boxes.load()
    for slide in project.slides:
        rows = project.boxes.table(slide.id).rows
        judged = rows[np.isin(rows["id"], ids) & (rows["state"] != ReviewState.UNREVIEWED)]
        first |= {int(row["id"]): _said(row) for row in judged}
    if not first:
        raise InputError(NO_JUDGED, hint="Judge findings first, or choose others.")
    number = 1 + max((one.number for one in second_reviews(project)), default=0)
    known = np.array(sorted(first), np.int64)
    # another order for each review of the same findings
    order = known[np.argsort(chance(known * 1_000_003 + number), kind="stable")][:count]
    if len(order) > MOST:
        raise InputError(f"{len(order)} findings are too many for a second review.", hint=f"Take {MOST} at most.")
    data = {
        "user": user or user_name(), "findings": order.tolist(), "seconds": None, "open": True, "second": {},
        "first": {str(one): _stored(first[one]) for one in order.tolist()},
    }  # fmt: skip
    return _keep(project, number, data)


def judge(
    project: Project, number: int, verdicts: Mapping[int, SecondVerdict | None], *, seconds: float | None = None
) -> SecondReview:
    """Say something of findings of a second review, None to take back what was said (undoable).

    Parameters
    ----------
    seconds
        How long that took; None where it is not known.

    Raises
    ------
    InputError
        When there is no such review, it has ended, it has no such finding, or there is no such class.
    """
    known = _open(project, number)
    classes = {defect.id for defect in project.classes}
    second = dict(known.second)
    for finding, verdict in verdicts.items():
        if finding not in known.first:
            raise InputError(f"Finding {finding} is none of second review {number}.")
        if verdict is None:
            second.pop(finding, None)
            continue
        if verdict.is_defect and verdict.class_id not in classes:
            raise InputError(f"There is no class {verdict.class_id}.")
        second[finding] = verdict
    total = known.seconds if seconds is None else seconds + (known.seconds or 0.0)
    data = known.record.data | {"seconds": total, "second": {str(one): _stored(said) for one, said in second.items()}}
    return _keep(project, number, data)


def end(project: Project, number: int, *, seconds: float | None = None) -> SecondReview:
    """End a second review; findings that were not judged again are no part of it (undoable).

    Raises
    ------
    InputError
        When there is no such review, it has ended, or nothing was judged.
    """
    known = _open(project, number)
    if not known.second:
        raise InputError("Nothing was judged again.", hint="Judge some findings, or remove the second review.")
    return _keep(project, number, known.record.data | {"open": False, "seconds": seconds or known.seconds})


def remove(project: Project, number: int) -> None:
    """Remove a second review (undoable).

    Raises
    ------
    InputError
        When there is none.
    """
    project.standards.remove(second_review_named(project, number).record.id)


def read_verdicts(project: Project, path: Path | str) -> dict[int, SecondVerdict]:
    """Read what somebody says of findings from a table with the columns ``finding`` and ``verdict``.

    A verdict is the code of a class, or a reason to reject a finding (or its letter); empty ones are left out.

    Raises
    ------
    ExchangeError
        When the file cannot be read.
    InputError
        When a column is missing, or a line is neither a class nor a reason: it is named.
    """
    heads, *lines = [*read_sheet(path, what="table of verdicts"), [], []][:-1]
    names = [head.strip().casefold() for head in heads]
    if not {"finding", "verdict"} <= set(names):
        raise InputError(f"{Path(path).name} has no columns finding and verdict.", hint="Name them in the first line.")
    at, said_at = names.index("finding"), names.index("verdict")
    codes = {defect.code: defect.id for defect in project.classes}
    found: dict[int, SecondVerdict] = {}
    for place, line in enumerate(lines, start=2):
        cells = [*line, *[""] * len(names)]
        if not (said := cells[said_at].strip()):
            continue
        if not cells[at].strip().isdecimal():
            raise InputError(f"Line {place} of {Path(path).name} has no number of a finding: “{cells[at][:30]}”.")
        if said in codes:
            found[int(cells[at])] = SecondVerdict(True, codes[said])
            continue
        try:
            found[int(cells[at])] = SecondVerdict(False, 0, reject_reason(said))
        except InputError as error:
            raise InputError(
                f"Line {place} of {Path(path).name}: “{said[:30]}” is neither a class nor a reason.", hint=error.hint
            ) from error
    return found


def _open(project: Project, number: int) -> SecondReview:
    known = second_review_named(project, number)
    if not known.is_open:
        raise InputError(f"Second review {number} has ended.")
    return known


def _said(row: np.void) -> SecondVerdict:
    is_defect = row["state"] == ReviewState.CONFIRMED
    return SecondVerdict(bool(is_defect), int(row["class_id"]), "" if is_defect else str(row["reason"]))


def _stored(verdict: SecondVerdict) -> list[Any]:
    return [verdict.is_defect, verdict.class_id, verdict.reason]


def _verdicts(stored: Mapping[str, Any]) -> dict[int, SecondVerdict]:
    return {int(number): SecondVerdict(bool(is_defect), int(class_id), str(reason))
            for number, (is_defect, class_id, reason) in stored.items()}  # fmt: skip


def _keep(project: Project, number: int, data: dict[str, Any]) -> SecondReview:
    kept = _read(project.standards.keep(SECOND_REVIEW, str(number), data))
    assert kept is not None
    return kept


def _read(record: Standard) -> SecondReview | None:
    data = record.data
    try:
        return SecondReview(
            record, int(record.name), str(data["user"]), record.kept, np.array(data["findings"], np.int64),
            _verdicts(data["first"]), _verdicts(data["second"]),
            None if data["seconds"] is None else float(data["seconds"]), bool(data["open"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
