"""Keeping the findings of a slide in memory up to what was committed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxTable, FindingFlag, has_flag
from microscope_qc.core.opinions import OPINION_DTYPE, OpinionTable, resolve
from microscope_qc.project.deltas import BOX_COLUMNS, Columns, Delta

Attempt = Callable[..., None]
"""Calls a function with its arguments and keeps what it raises: a listener that fails does not stop the others."""

StoredBoxes = Callable[[np.ndarray], np.ndarray]
"""Reads boxes by their ids as they are stored (:func:`~microscope_qc.project.findings.boxes_by_id`)."""

NOTHING = np.zeros(0, np.int64)
_MUCH = 32
"""A table of which less than this part of a whole changes is not copied for it."""


def _call(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


@dataclass(slots=True, eq=False)
class FindingChange:
    """What a commit makes of the findings of one slide."""

    table: BoxTable
    opinions: OpinionTable
    said: OpinionTable
    """The opinions as they are now."""
    ids: np.ndarray
    """The findings concerned."""
    gone: np.ndarray
    come: np.ndarray
    put: np.ndarray
    _made: BoxTable | None = None

    def make(self) -> None:
        """Make the changed table, in any thread, if much of it changes: taking it over costs next to nothing."""
        count = len(self.gone) + len(self.come) + len(self.put)
        if count * _MUCH >= len(self.table):
            self._made = self.table.copy()
            self._write(self._made)

    def changes(self) -> list[BoxChange]:
        """What the table will tell, or has told, its listeners."""
        if self._made is not None and len(self.gone) and len(self.come):
            # listeners count on seeing one before the other
            return [BoxChange("reset", self._made.rows["id"].copy())]
        return [
            BoxChange(kind, ids)
            for kind, ids in (("removed", self.gone), ("added", self.come["id"]), ("updated", self.put["id"]))
            if len(ids)
        ]

    def changed(self) -> BoxTable:
        """Return the table as it will be, in any thread; nobody may write to it."""
        if self._made is not None:
            return self._made
        table = self.table.copy()
        self._write(table)
        return table

    def apply(self, attempt: Attempt) -> None:
        """Change opinions and table, which tells its listeners."""
        self.opinions.take_over(self.said)
        if self._made is None:
            self._write(self.table, attempt)
            return
        attempt(self.table.take_over, self._made, self.changes())

    def _write(self, table: BoxTable, attempt: Attempt = _call) -> None:
        if len(self.gone):
            attempt(table.remove, self.gone)
        if len(self.come):
            attempt(table.add, self.come)
        if len(self.put):
            attempt(table.put, self.put)


class FindingFollower:
    """Works out what a commit makes of the findings of one slide; nothing is changed."""

    def __init__(self, table: BoxTable, opinions: OpinionTable, slide_id: int, *, hidden_runs: Collection[int]) -> None:
        self._table = table
        self._known = opinions
        self._opinions = opinions.copy()
        self._slide_id = slide_id
        self._hidden_runs = hidden_runs

    def follow(self, deltas: Sequence[Delta], stored_boxes: StoredBoxes, *, switched: Collection[int]) -> FindingChange:
        """Follow changes of boxes, opinions, and runs switched on or off."""
        touched = self._follow_opinions(deltas)
        if switched:
            touched.append(self._opinions.finding_ids(switched))
        touched += [self._mine(side) for delta in deltas if delta.table == "boxes" for side in _sides(delta)]
        ids = np.unique(np.concatenate([np.zeros(0, np.int64), *touched]))
        new = self._new(deltas)
        gone, come, put = NOTHING, new, new[:0]
        if not (len(new) == len(ids) and len(self._opinions.of(ids)) == 0 and _all_there(new)):
            gone, come, put = self._renewed(self._base(ids, new, deltas, stored_boxes), ids)
        return FindingChange(self._table, self._known, self._opinions, ids, gone, come, put)

    def _mine(self, side: Columns) -> np.ndarray:
        ids = side["id"]
        return ids[side["slide_id"] == self._slide_id] if len(ids) else ids

    def _follow_opinions(self, deltas: Sequence[Delta]) -> list[np.ndarray]:
        """Bring the opinions up to date; return the findings they are about."""
        touched = []
        for delta in deltas:
            if delta.table != "opinions":
                continue
            gone, come, change = delta.split()
            known = self._opinions.rows
            changed = known[np.isin(known["id"], change["id"])] if len(change["id"]) else known[:0]
            lost = known[np.isin(known["id"], gone)] if len(gone) else known[:0]
            touched += [changed["finding_id"].copy(), lost["finding_id"].copy()]
            self._opinions.remove(np.concatenate([lost["id"], changed["id"]]))
            if len(changed):
                changed = changed[np.argsort(changed["id"])]
                order = np.argsort(change["id"])
                mine = np.isin(change["id"][order], changed["id"])
                for name, column in change.items():
                    if name in (OPINION_DTYPE.names or ()):
                        changed[name] = column[order][mine]
                self._opinions.add(changed)
                touched.append(changed["finding_id"].copy())
            if len(come["id"]) and (mine := come["slide_id"] == self._slide_id).any():
                rows = np.zeros(int(mine.sum()), OPINION_DTYPE)
                for name in OPINION_DTYPE.names or ():
                    rows[name] = come[name][mine]
                self._opinions.add(rows)
                touched.append(rows["finding_id"].copy())
        return touched

    def _new(self, deltas: Sequence[Delta]) -> np.ndarray:
        """Rows of boxes that were not there before, sorted by id."""
        parts = [np.zeros(0, BOX_DTYPE)]
        for delta in deltas:
            if delta.table == "boxes" and len(delta.before["id"]) == 0 and set(BOX_COLUMNS) <= delta.after.keys():
                mine = delta.after["slide_id"] == self._slide_id
                rows = np.zeros(int(mine.sum()), BOX_DTYPE)
                for name in BOX_COLUMNS:
                    rows[name] = delta.after[name][mine]
                parts.append(rows)
        rows = parts[-1] if len(parts) == 2 else np.concatenate(parts)
        if len(rows) and self._table.has(rows["id"]).any():
            return rows[:0]
        return rows if (rows["id"][1:] > rows["id"][:-1]).all() else rows[np.argsort(rows["id"])]

    def _base(self, ids: np.ndarray, new: np.ndarray, deltas: Sequence[Delta], stored_boxes: StoredBoxes) -> np.ndarray:
        """Rows as they are stored: those in memory with what was changed, new ones, others from the database."""
        known = self._table.get(ids[self._table.has(ids)])
        known = known[~has_flag(known, FindingFlag.DELETED)]  # found again, it is not in memory as it is stored
        for delta in deltas:
            if delta.table == "boxes":
                gone = delta.split()[0]
                known = known[~np.isin(known["id"], gone)] if len(gone) else known
                _assign(known, delta)
        rows = np.concatenate([known, new])
        lost = np.setdiff1d(ids, rows["id"])
        if len(lost):
            rows = np.concatenate([rows, stored_boxes(lost)])
        return rows[np.argsort(rows["id"], kind="stable")]

    def _renewed(self, rows: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Findings that exist no more, those that are new in the table, and those that are different."""
        there = resolve(rows, self._opinions.of(rows["id"]), hidden_runs=self._hidden_runs)
        rows = rows if there.all() else rows[there]
        known = self._table.has(rows["id"])
        gone = ids[self._table.has(ids) & ~np.isin(ids, rows["id"])]
        return (gone, rows[:0], rows) if known.all() else (gone, rows[~known], rows[known])


def _sides(delta: Delta) -> tuple[Columns, Columns]:
    return delta.before, delta.after


def _all_there(rows: np.ndarray) -> bool:
    """Whether new boxes are all a user's, without a deleted one."""
    return bool((rows["flags"] & (FindingFlag.DRAWN | FindingFlag.DELETED) == FindingFlag.DRAWN).all())


def _assign(rows: np.ndarray, delta: Delta) -> None:
    """Change rows (sorted by id) as a delta says."""
    after = delta.after["id"]
    if len(after) == 0 or len(rows) == 0:
        return
    places = np.minimum(np.searchsorted(np.ascontiguousarray(rows["id"]), after), len(rows) - 1)
    mine = rows["id"][places] == after
    for name, column in delta.after.items():
        if name in BOX_COLUMNS and name != "id":
            rows[name][places[mine]] = column[mine]
