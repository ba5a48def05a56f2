"""What models say about the findings of one slide, and the class, box and confidence that findings have because of it.

A finding is one place on a slide. Every run that found it has one opinion of it. Class and box are those that a user
gave it, otherwise those of the most confident opinion that counts.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from microscope_qc.core.arrays import Flags, Ints, Rows
from microscope_qc.core.box_rows import STORED_FLAGS, FindingFlag, ReviewState, has_flag, is_claimed

OPINION_DTYPE = np.dtype(
    [
        ("id", "i8"),
        ("finding_id", "i8"),
        ("run_id", "i4"),
        ("class_id", "i4"),
        ("confidence", "f4"),
        ("y0", "f8"),
        ("x0", "f8"),
        ("y1", "f8"),
        ("x1", "f8"),
        ("made", "?"),  # the finding was new: this opinion made it
        ("again", "?"),  # a user had rejected or deleted the finding before
    ]
)
_SIDES = ("y0", "x0", "y1", "x1")
DELETED_REASON = "deleted"
"""Reason of a finding that was found again after a user had deleted it: it is back as a rejected one."""


class OpinionTable:
    """Opinions about the findings of one slide, sorted by finding and run."""

    def __init__(self, rows: np.ndarray | None = None) -> None:
        self._rows = np.zeros(0, OPINION_DTYPE)
        self._finding_ids = np.zeros(0, np.int64)
        if rows is not None and len(rows):
            self._take(rows[np.lexsort((rows["run_id"], rows["finding_id"]))])

    def _take(self, rows: np.ndarray) -> None:
        self._rows = rows
        self._finding_ids = np.ascontiguousarray(rows["finding_id"])  # without gaps between the numbers

    def __len__(self) -> int:
        return len(self._rows)

    def copy(self) -> OpinionTable:
        """Return a table of the same opinions; no array is ever written to, both tables share them."""
        other = OpinionTable()
        other.take_over(self)
        return other

    def take_over(self, other: OpinionTable) -> None:
        """Become ``other``."""
        self._rows, self._finding_ids = other._rows, other._finding_ids

    @property
    def rows(self) -> Rows:
        """All opinions (OPINION_DTYPE). A view: read it, do not write to it."""
        return self._rows

    @property
    def owners(self) -> Ints:
        """The finding of each opinion, without gaps in memory. A view as ``rows``."""
        return self._finding_ids

    def has(self, finding_ids: np.ndarray) -> Flags:
        """Boolean for each finding: whether there is an opinion of it."""
        wanted = np.asarray(finding_ids, np.int64)
        found: Flags = self._starts(wanted) < self._ends(wanted)
        return found

    def of(self, finding_ids: np.ndarray) -> Rows:
        """Return the opinions of some findings, sorted by finding and run."""
        wanted = np.unique(np.asarray(finding_ids, np.int64))
        return self._rows[_ranges(self._starts(wanted), self._ends(wanted))]

    def found_by(self, finding_ids: np.ndarray, run_ids: Collection[int]) -> Flags:
        """Boolean for each finding: whether one of these runs found it, whichever opinion leads."""
        said = self.of(finding_ids)
        found: Flags = np.isin(finding_ids, said["finding_id"][np.isin(said["run_id"], list(run_ids))])
        return found

    def of_run(self, run_id: int) -> Rows:
        """Return the opinions of a run, sorted by finding."""
        found: Rows = self._rows[self._rows["run_id"] == run_id]
        return found

    def near(self, y0: float, x0: float, y1: float, x1: float) -> Ints:
        """Places of the opinions whose boxes meet a rectangle."""
        rows = self._rows
        hit = (rows["y0"] < y1) & (rows["y1"] > y0)
        found: Ints = np.flatnonzero(hit)
        return found[(rows["x0"][found] < x1) & (rows["x1"][found] > x0)]

    def made_by(self, run_id: int) -> Ints:
        """Return the ids of the findings that a run was the first to find."""
        return self._finding_ids[np.flatnonzero((self._rows["run_id"] == run_id) & self._rows["made"])]

    def finding_ids(self, run_ids: Collection[int]) -> Ints:
        """Return the ids of the findings that one of these runs found, sorted."""
        found: Ints = np.unique(self._finding_ids[np.isin(self._rows["run_id"], list(run_ids))])
        return found

    def add(self, rows: np.ndarray) -> None:
        """Add opinions."""
        if len(rows):
            rows = rows[np.lexsort((rows["run_id"], rows["finding_id"]))]
            if len(self._rows) == 0 or rows["finding_id"][0] > self._finding_ids[-1]:
                self._take(np.concatenate([self._rows, rows]))
                return
            places = np.searchsorted(self._finding_ids, rows["finding_id"], side="right")
            joined = np.insert(self._rows, places, rows)
            new = places + np.arange(len(rows))
            before = new[new > 0] - 1
            same = joined["finding_id"][before] == joined["finding_id"][before + 1]
            if (same & (joined["run_id"][before] > joined["run_id"][before + 1])).any():  # not the newest run
                joined = joined[np.lexsort((joined["run_id"], joined["finding_id"]))]
            self._take(joined)

    def remove(self, ids: np.ndarray) -> None:
        """Take opinions out, by their ids."""
        if len(ids):
            self._take(self._rows[~np.isin(self._rows["id"], ids)])

    def _starts(self, finding_ids: np.ndarray) -> Ints:
        return np.searchsorted(self._finding_ids, finding_ids, side="left")

    def _ends(self, finding_ids: np.ndarray) -> Ints:
        return np.searchsorted(self._finding_ids, finding_ids, side="right")


def _ranges(starts: np.ndarray, ends: np.ndarray) -> Ints:
    """All numbers of the half-open ranges, one range after the other."""
    counts = ends - starts
    shift = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) if len(counts) else starts
    numbers: Ints = np.arange(int(counts.sum())) + shift
    return numbers


def class_is_users(rows: np.ndarray) -> Flags:
    """Boolean for each row: whether its class is a user's, who set or judged it, and no model's."""
    users: Flags = has_flag(rows, FindingFlag.DRAWN | FindingFlag.CLASS | FindingFlag.DELETED) | (rows["state"] != 0)
    return users


def is_judged(rows: np.ndarray) -> Flags:
    """Boolean for each row: whether a user says what it is, who drew, named, confirmed or rejected it.

    A box that was imported with a confidence is what some model found: nobody has judged it before its state says so.
    """
    imported = has_flag(rows, FindingFlag.DRAWN) & ~np.isnan(rows["confidence"]) & (rows["state"] == 0)
    judged: Flags = class_is_users(rows) & (~imported | has_flag(rows, FindingFlag.DELETED))
    return judged


def box_is_users(rows: np.ndarray) -> Flags:
    """Boolean for each row: whether its box is a user's, who drew, moved or judged it, and no model's."""
    users: Flags = has_flag(rows, FindingFlag.DRAWN | FindingFlag.BOX | FindingFlag.DELETED) | (rows["state"] != 0)
    return users


def resolve(rows: np.ndarray, opinions: np.ndarray, *, hidden_runs: Collection[int] = ()) -> Flags:
    """Fill in what findings have because of opinions, and return which of them there are.

    Parameters
    ----------
    rows
        Findings (BOX_DTYPE) sorted by id, as they are stored; class, box, confidence, run, the flags that follow from
        opinions, and the state of what was deleted and found again are set here.
    opinions
        Those of the findings (OPINION_DTYPE), sorted by finding.
    hidden_runs
        Runs that are switched off: their opinions are used only where there is no other.

    Returns
    -------
    ndarray
        Boolean for each row: whether the finding exists, by what a user said of it or by an opinion. A deleted one
        does where it was found again.
    """
    rows["flags"] &= np.uint8(STORED_FLAGS)
    drawn = has_flag(rows, FindingFlag.DRAWN)
    rows["run_id"] = 0
    rows["confidence"][~drawn] = np.nan
    ids = np.ascontiguousarray(rows["id"])
    owners = np.searchsorted(ids, opinions["finding_id"])
    if len(opinions):
        known = owners < len(ids)
        known[known] = ids[owners[known]] == opinions["finding_id"][known]
        if not known.all():  # the project is damaged
            opinions, owners = opinions[known], owners[known]
    if len(opinions):
        _lead(rows, opinions, owners, drawn, hidden_runs)
        rejected = (rows["state"] == ReviewState.REJECTED) | has_flag(rows, FindingFlag.DELETED)
        again = np.zeros(len(rows), bool)
        again[owners[opinions["again"]]] = True
        rows["flags"][again & rejected] |= np.uint8(FindingFlag.FOUND_AGAIN)
    gone = has_flag(rows, FindingFlag.DELETED)
    back = gone & has_flag(rows, FindingFlag.FOUND_AGAIN)
    rows["state"][back] = ReviewState.REJECTED
    rows["reason"][back] = DELETED_REASON
    exists = has_flag(rows, FindingFlag.DRAWN | FindingFlag.CLASS | FindingFlag.BOX) | (rows["state"] != 0)
    exists[owners] = True
    found: Flags = exists & (~gone | back)
    return found


def _lead(
    rows: np.ndarray, opinions: np.ndarray, owners: np.ndarray, drawn: np.ndarray, hidden_runs: Collection[int]
) -> None:
    """Take over the opinion that leads: one that counts, of the finding's own class, the most confident, the oldest."""
    hidden = np.isin(opinions["run_id"], list(hidden_runs)) if hidden_runs else np.zeros(len(opinions), bool)
    fixed = class_is_users(rows) & (rows["class_id"] != 0)  # its class may have been deleted
    other = fixed[owners] & (opinions["class_id"] != rows["class_id"][owners])
    order = np.lexsort((opinions["run_id"], -opinions["confidence"], other, hidden, owners))
    first = order[np.concatenate([[True], owners[order][1:] != owners[order][:-1]])]
    leading, owner = opinions[first], owners[first]
    free = ~fixed[owner]
    rows["class_id"][owner[free]] = leading["class_id"][free]
    free = ~box_is_users(rows)[owner]
    for side in _SIDES:
        rows[side][owner[free]] = leading[side][free]
    free = ~drawn[owner]
    rows["confidence"][owner[free]] = leading["confidence"][free]
    rows["run_id"][owner[free]] = leading["run_id"][free]
    says_otherwise = ~hidden & (opinions["class_id"] != rows["class_id"][owners])
    disputed = np.zeros(len(rows), bool)
    disputed[owners[says_otherwise]] = True
    rows["flags"][disputed] |= np.uint8(FindingFlag.DISPUTED)


def as_findings(opinions: np.ndarray, findings: np.ndarray) -> Rows:
    """Return findings as a run saw them: with the class, box and confidence of its opinions.

    Parameters
    ----------
    opinions
        Of one run, sorted by finding.
    findings
        Rows of these findings, in the same order.
    """
    rows = findings[np.arange(len(findings))]
    for name in ("class_id", *_SIDES, "confidence", "run_id"):
        rows[name] = opinions[name]
    return rows


def as_found(rows: np.ndarray, opinions: np.ndarray, *, hidden_runs: Collection[int] = ()) -> Rows:
    """Return what models found before a user said anything: class, confidence and run of the most confident opinion.

    Parameters
    ----------
    rows
        Findings as :func:`resolve` leaves them, sorted by id.
    opinions
        Those of the findings (OPINION_DTYPE), sorted by finding.
    hidden_runs
        Runs that are switched off: their opinions do not count.

    Returns
    -------
    ndarray
        ``class_id``, ``confidence`` and ``run_id`` of each finding; 0, NaN and 0 where no run that counts found it.
        What was imported with a confidence was found by no run, but by a model.
    """
    found = np.zeros(len(rows), [("class_id", "i4"), ("confidence", "f4"), ("run_id", "i4")])
    for name in ("class_id", "confidence", "run_id"):
        found[name] = rows[name]
    imported = has_flag(rows, FindingFlag.DRAWN) & ~np.isnan(rows["confidence"])
    claimed = np.flatnonzero(is_claimed(rows) & ~imported)  # of the others the leading opinion is shown
    if len(claimed) == 0:
        return found
    found[claimed] = (0, np.nan, 0)
    ids = np.ascontiguousarray(rows["id"][claimed])
    said = opinions[np.isin(opinions["finding_id"], ids)]
    said = said[~np.isin(said["run_id"], list(hidden_runs))]
    said = said[np.lexsort((said["run_id"], -said["confidence"], said["finding_id"]))]
    owners = said["finding_id"]
    leading = said[np.r_[True, owners[1:] != owners[:-1]]] if len(said) else said
    places = claimed[np.searchsorted(ids, leading["finding_id"])]
    for name in ("class_id", "confidence", "run_id"):
        found[name][places] = leading[name]
    return found
