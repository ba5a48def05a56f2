"""Steps of the history from before there were opinions: replayed, so that they can be undone and redone with both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection

from microscope_qc.core.boxes import OF_USER, FindingFlag
from microscope_qc.core.errors import ProjectError
from microscope_qc.project.deltas import Columns, Delta, columns_of, pack, unpack
from microscope_qc.project.schema import DETAILS

SIDES = ("y0", "x0", "y1", "x1")
OPINION_NAMES = ("id", "slide_id", "finding_id", "run_id", "class_id", "confidence", *SIDES, "made", "again")
_KINDS: dict[str, type[np.generic]] = {
    "class_id": np.int32, "flags": np.uint8, **dict.fromkeys((*SIDES, "confidence"), np.float64),
    "made": np.bool_, "again": np.bool_,
}  # fmt: skip
Row = dict[str, Any]


@dataclass(slots=True)
class _Step:
    """One step of the history: what it changed, and what it changes in the new tables."""

    number: int
    undone: bool
    old: list[Delta]
    new: list[Delta] = field(default_factory=list)


class OldSteps:
    """The steps of a project whose runs had boxes of their own.

    All steps in force are taken back in memory, which gives every box as its run had found it, and then done again as
    steps of the new tables: what a user changed becomes the user's, and the run's opinion stays as it was.

    Attributes
    ----------
    opinions
        The opinion of each box of a run that there is now, by its id.
    """

    def __init__(self, connection: Connection, boxes: dict[int, Row], classes: set[int]) -> None:
        self._connection = connection
        self._present = boxes
        self._boxes = {number: dict(row) for number, row in boxes.items()}
        self._flags: dict[int, int] = {}
        self._said: dict[int, Row] = {}
        self._into: Mapping[int, int] = {}
        sql = "SELECT id, undone, changes FROM log WHERE kind IN ('command', 'kept') ORDER BY undone, id"
        self._steps = [_Step(n, bool(undone), unpacked(data)) for n, undone, data in connection.exec_driver_sql(sql)]
        in_force = [step for step in self._steps if not step.undone]
        self._take_back(in_force)
        for row in self._boxes.values():
            self._know(row)
        self._there = set(self._said)
        for step in in_force:
            step.new = self._renewed(step)
        for number, row in boxes.items():
            row["flags"] = self._flags[number]
        self.opinions = {number: self._said[number] for number in boxes if number in self._said}
        for number, opinion in self.opinions.items():
            if opinion["class_id"] not in classes:
                opinion["class_id"] = boxes[number]["class_id"]

    @property
    def last_opinion(self) -> int:
        """The highest number that an opinion has, in the tables or in a step."""
        return len(self._said)

    def changed(self, table: str) -> set[int]:
        """Return the ids of the rows of a table that any step changed."""
        return {number for step in self._steps for d in step.old if d.table == table for number in d.ids.tolist()}

    def rewrite(self, into: Mapping[int, int]) -> None:
        """Write the steps; what they changed of boxes that were joined (``into`` others) they change of those."""
        self._into = into
        self._said = {number: dict(opinion) for number, opinion in self._said.items()}  # steps undone say what comes
        for number in into.values():
            self._boxes[number] = dict(self._present[number])
            self._flags[number] = self._present[number]["flags"]
        for step in self._steps:
            if step.undone:
                step.new = self._renewed(step)
            else:
                step.new = [self._of_joined(delta) for delta in step.new]
        self._end_as_now()
        for step in self._steps:
            if any(delta.table in ("boxes", "opinions", *DETAILS) for delta in step.new):
                data = pack([delta for delta in step.new if delta])
                self._connection.exec_driver_sql("UPDATE log SET changes = ? WHERE id = ?", (data, step.number))
        for number, ids in self._connection.exec_driver_sql("SELECT id, box_ids FROM log").all():
            named = json.loads(ids)
            if not into.keys().isdisjoint(named):
                named = list(dict.fromkeys(into.get(box, box) for box in named))
                self._connection.exec_driver_sql("UPDATE log SET box_ids = ? WHERE id = ?", (json.dumps(named), number))

    # -- back to what the runs found ---------------------------------------------------------------------------------

    def _take_back(self, steps: list[_Step]) -> None:
        for step in reversed(steps):
            for delta in reversed(step.old):
                if delta.table == "boxes":
                    for row in _rows(delta.before):
                        if row["id"] in self._boxes or "run_id" in row:
                            self._boxes.setdefault(row["id"], {}).update(row)

    def _know(self, row: Row) -> None:
        """Note who made a box, and what its run says of it."""
        number = row["id"]
        if number in self._flags:
            return
        found = bool(row["run_id"]) and row["confidence"] is not None and row["confidence"] == row["confidence"]
        self._flags[number] = 0 if found else int(OF_USER)
        if found:
            place = {"id": len(self._said) + 1, "finding_id": number, "made": True, "again": False}
            self._said[number] = {name: place.get(name, row.get(name)) for name in OPINION_NAMES}

    # -- and forward again -------------------------------------------------------------------------------------------

    def _renewed(self, step: _Step) -> list[Delta]:
        """The changes of a step in the new tables."""
        classes_gone = {n for delta in step.old if delta.table == "classes" for n in delta.split()[0].tolist()}
        new: list[Delta] = []
        for delta in step.old:
            if delta.table != "boxes":
                new.append(self._of_joined(delta))
            elif {"run_id"} & (delta.before.keys() | delta.after.keys()):
                new += self._whole(delta)
            else:
                new.append(self._edit(self._of_joined(delta), of_class=bool(classes_gone)))
        return [*self._moved_opinions(step, classes_gone), *new] if classes_gone else new

    def _whole(self, delta: Delta) -> list[Delta]:
        """Boxes that come or go, with the opinions of those that a run had found."""
        sides, said = [], []
        for side, comes in ((delta.before, False), (delta.after, True)):
            if "run_id" not in side:
                sides.append(side)
                said.append(columns_of([]))
                continue
            numbers = side["id"].tolist()
            for row in _rows(side):
                self._boxes[row["id"]] = row
                self._know(row)
            found = [number for number in numbers if number in self._said]
            self._there = self._there | set(found) if comes else self._there - set(found)
            own = np.array([number not in self._into for number in numbers], bool)  # others are not boxes any more
            flags = np.array([self._flags[number] for number in numbers], np.uint8)
            kept = {name: column[own] for name, column in side.items() if name != "run_id"}
            sides.append(kept | {"flags": flags[own]})
            said.append(opinion_columns(self._said[number] for number in found))
        return [Delta("boxes", sides[0], sides[1]), Delta("opinions", said[0], said[1])]

    def _edit(self, delta: Delta, *, of_class: bool) -> Delta:
        """A change of boxes: it makes class or box a user's, and what is judged keeps both.

        ``of_class``: because a class was deleted or merged, which says nothing of the boxes.
        """
        numbers, names = delta.after["id"].tolist(), delta.after.keys()
        if not all(number in self._boxes for number in numbers):
            return delta
        more: set[str] = set()
        need = 0
        if not of_class:
            if not names.isdisjoint(SIDES):
                need, more = need | FindingFlag.BOX, {*SIDES}
            if "class_id" in names:
                need |= FindingFlag.CLASS
            if "state" in names and any(self._flags[number] != OF_USER for number in numbers):
                more = {"class_id", *SIDES}
        before = self._columns(numbers, more - names)
        if need:
            before["flags"] = np.array([self._flags[number] for number in numbers], np.uint8)
            self._flags |= {number: self._flags[number] | need for number in numbers}
        for row in _rows(delta.after):
            self._boxes[row["id"]].update(row)
        after = before | ({"flags": np.array([self._flags[n] for n in numbers], np.uint8)} if need else {})
        return Delta("boxes", {**delta.before, **before}, {**delta.after, **after})

    def _columns(self, numbers: list[int], names: Iterable[str]) -> Columns:
        return {name: np.array([self._boxes[n][name] for n in numbers], _KINDS[name]) for name in sorted(names)}

    def _moved_opinions(self, step: _Step, classes: set[int]) -> Iterator[Delta]:
        """What runs say follows when classes are merged or deleted."""
        to: dict[int, int] = {}
        for delta in step.old:
            if "class_id" in delta.before and "class_id" in delta.after:
                to |= dict(zip(delta.before["class_id"].tolist(), delta.after["class_id"].tolist(), strict=True))
        said = [self._said[n] for n in sorted(self._there) if self._said[n]["class_id"] in classes]
        before = opinion_columns(said, ("id", "slide_id", "class_id"))
        for opinion in said:
            box = self._boxes[self._into.get(opinion["finding_id"], opinion["finding_id"])]
            opinion["class_id"] = to.get(opinion["class_id"], box["class_id"])
        if said:
            yield Delta("opinions", before, opinion_columns(said, ("id", "slide_id", "class_id")))

    # -- boxes that were joined --------------------------------------------------------------------------------------

    def _of_joined(self, delta: Delta) -> Delta:
        """The same change of the boxes that others were joined with."""
        if delta.table not in ("boxes", *DETAILS):
            return delta
        return Delta(delta.table, self._renamed(delta.before), self._renamed(delta.after))

    def _renamed(self, side: Columns) -> Columns:
        if self._into.keys().isdisjoint(side["id"].tolist()):
            return side
        ids = np.array([self._into.get(number, number) for number in side["id"].tolist()], np.int64)
        first = np.sort(np.unique(ids, return_index=True)[1])
        return {name: (ids if name == "id" else column)[first] for name, column in side.items()}

    def _end_as_now(self) -> None:
        """Two boxes had histories of their own: done again one after the other, they end as the one box is now."""
        left = {(number, name) for number in set(self._into.values()) for name in self._present[number]}
        for step in reversed([step for step in self._steps if not step.undone]):
            for place, delta in reversed(list(enumerate(step.new))):
                if delta.table != "boxes" or not left:
                    continue
                after = dict(delta.after)
                for row, number in enumerate(after["id"].tolist()):
                    for name in [name for name in after if name != "id" and (number, name) in left]:
                        left.discard((number, name))
                        after[name] = after[name].copy()
                        after[name][row] = self._present[number][name]
                step.new[place] = Delta("boxes", delta.before, after)


def unpacked(payload: bytes | None) -> list[Delta]:
    """The changes of a step; none where it is damaged, and so cannot be undone either."""
    try:
        return unpack(payload) if payload else []
    except ProjectError:
        return []


def opinion_columns(opinions: Iterable[Row], names: Iterable[str] = OPINION_NAMES) -> Columns:
    """Columns of a delta."""
    said = list(opinions)
    return {name: np.array([opinion[name] for opinion in said], _KINDS.get(name, np.int64)) for name in names}


def _rows(side: Columns) -> list[Row]:
    names = list(side)
    return [dict(zip(names, values, strict=True)) for values in zip(*(c.tolist() for c in side.values()), strict=True)]
