"""Second reviews: somebody judges findings again that were judged before, without seeing how.

What both said is kept side by side; the project's own judgements stay as they are. What is said again is stored in
pieces of some findings each, so that a click writes only one of them, however many findings the review has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from microscope_qc.project.owner import now, user_name
from microscope_qc.project.parts.standards import SECOND_REVIEW, SECOND_VERDICTS
from microscope_qc.project.records import Standard
from microscope_qc.workflows.review.judging import reject_reason

MOST = 10_000
"""Findings of one second review."""
PIECE = 50
"""Findings whose verdicts are stored together, in the order in which they are shown."""
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
    found = [_read(project, record) for record in project.standards.of(SECOND_REVIEW)]
    return [one for one in found if one is not None]


def second_review_named(project: Project, number: int) -> SecondReview:
    """Return a second review by its number.

    Raises
    ------
    InputError
        When there is none.
    """
    record = project.standards.named(SECOND_REVIEW, str(number))
    if record is not None and (found := _read(project, record)) is not None:
        return found
    known = second_reviews(project)
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
    number = 1 + max(_numbers(project), default=0)
    known = np.array(sorted(first), np.int64)
    # another order for each review of the same findings
    order = known[np.argsort(chance(known * 1_000_003 + number), kind="stable")][:count]
    if len(order) > MOST:
        raise InputError(f"{len(order)} findings are too many for a second review.", hint=f"Take {MOST} at most.")
    data = {
        "user": user or user_name(), "findings": order.tolist(), "seconds": None, "open": True, "begun": now(),
        "first": {str(one): _stored(first[one]) for one in order.tolist()},
    }  # fmt: skip
    kept = _read(project, project.standards.keep(SECOND_REVIEW, str(number), data))
    assert kept is not None
    return kept


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
    places = {finding: place for place, finding in enumerate(known.findings.tolist())}
    second, pieces = dict(known.second), dict[str, dict[str, Any]]()
    for finding, verdict in verdicts.items():
        if finding not in places:
            raise InputError(f"Finding {finding} is none of second review {number}.")
        if verdict is not None and verdict.is_defect and verdict.class_id not in classes:
            raise InputError(f"There is no class {verdict.class_id}.")
        name = f"{number}/{places[finding] // PIECE}"
        if name not in pieces:
            kept = project.standards.named(SECOND_VERDICTS, name)
            data = {"seconds": None, "second": {}} if kept is None else kept.data
            pieces[name] = data | {"second": dict(data["second"])}
        # null takes back what is stored with the review itself, as it once was
        pieces[name]["second"][str(finding)] = None if verdict is None else _stored(verdict)
        second.pop(finding, None)
        if verdict is not None:
            second[finding] = verdict
    if not pieces:
        return known
    if seconds is not None:
        piece = next(iter(pieces.values()))
        piece["seconds"] = seconds + (piece["seconds"] or 0.0)
    project.standards.keep_all(SECOND_VERDICTS, pieces, f"Keep the second review “{number}”")
    return replace(known, second=second, seconds=_sum(known.seconds, seconds))


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
    # small, for what is stored of the review itself can be long
    ended = {"seconds": seconds or known.seconds}
    project.standards.keep_all(SECOND_VERDICTS, {f"{number}/end": ended}, f"End the second review “{number}”")
    return replace(known, seconds=ended["seconds"], is_open=False)


def remove(project: Project, number: int) -> None:
    """Remove a second review (undoable).

    Raises
    ------
    InputError
        When there is none.
    """
    known = second_review_named(project, number)
    project.standards.remove(known.record.id, *(piece.id for piece in _pieces(project, number)))


def read_verdicts(project: Project, path: Path | str) -> dict[int, SecondVerdict]:
    """Read what somebody says of findings from a table with the columns ``finding`` and ``verdict``.

    A verdict is the code of a class, or a reason to reject a finding (or its letter); empty ones are left out.

    Raises
    ------
    ExchangeError
        When the file cannot be read.
    InputError
        When a column is missing, a line is neither a class nor a reason, or a finding is there twice with different
        verdicts: it is named.
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
        try:
            verdict = (
                SecondVerdict(True, codes[said]) if said in codes else SecondVerdict(False, 0, reject_reason(said))
            )
        except InputError as error:
            raise InputError(
                f"Line {place} of {Path(path).name}: “{said[:30]}” is neither a class nor a reason.", hint=error.hint
            ) from error
        finding = int(cells[at])
        if found.setdefault(finding, verdict) != verdict:
            raise InputError(
                f"Line {place} of {Path(path).name}: finding {finding} is there twice, with different verdicts.",
                hint="Keep one.",
            )
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


def _sum(total: float | None, more: float | None) -> float | None:
    return total if more is None else more + (total or 0.0)


def _pieces(project: Project, number: int) -> list[Standard]:
    """What is stored of the verdicts of a second review, and of its end."""
    return [piece for piece in project.standards.of(SECOND_VERDICTS) if piece.name.partition("/")[0] == str(number)]


def _numbers(project: Project) -> list[int]:
    """Numbers that are in use, also of second reviews that cannot be read."""
    names = [known.name.partition("/")[0] for kind in (SECOND_REVIEW, SECOND_VERDICTS)
             for known in project.standards.of(kind)]  # fmt: skip
    return [int(name) for name in names if name.isdecimal()]


def _read(project: Project, record: Standard) -> SecondReview | None:
    data = record.data
    try:
        number, findings = int(record.name), np.array(data["findings"], np.int64)
        stored, seconds, is_open = dict(data.get("second", {})), data["seconds"], bool(data["open"])
        ended: dict[str, Any] | None = None
        for piece in _pieces(project, number):
            if piece.name.endswith("/end"):
                ended = piece.data
            else:
                stored |= piece.data["second"]
                seconds = _sum(seconds, piece.data["seconds"])
        if ended is not None:
            seconds, is_open = ended["seconds"], False
        return SecondReview(
            record, number, str(data["user"]), str(data.get("begun", record.kept)), findings, _verdicts(data["first"]),
            _verdicts({finding: said for finding, said in stored.items() if said is not None}),
            None if seconds is None else float(seconds), is_open,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
