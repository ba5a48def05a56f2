"""Projects in which every run had boxes of its own: the boxes become opinions, and doubles become one finding."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection

from microscope_qc.core.boxes import OF_USER, FindingFlag, ReviewState
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.matching import KnownPlaces, match_places
from microscope_qc.core.wording import things
from microscope_qc.project.deltas import Columns, Delta, columns_of, pack, unpack
from microscope_qc.project.owner import now, user_name

_SIDES = ("y0", "x0", "y1", "x1")
_OLD = "id, slide_id, class_id, y0, x0, y1, x1, confidence, state, run_id, chosen, reason, note"
_NAMES = tuple(_OLD.split(", "))
_READ = f"SELECT {_OLD} FROM boxes"  # noqa: S608 - a constant
_TABLES = (
    "CREATE TABLE new_boxes (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, slide_id INTEGER NOT NULL, "
    "class_id INTEGER, y0 FLOAT NOT NULL, x0 FLOAT NOT NULL, y1 FLOAT NOT NULL, x1 FLOAT NOT NULL, confidence FLOAT, "
    "state INTEGER NOT NULL, chosen BOOLEAN NOT NULL, reason VARCHAR NOT NULL, note VARCHAR NOT NULL, "
    "flags INTEGER NOT NULL, FOREIGN KEY(slide_id) REFERENCES slides (id), "
    "FOREIGN KEY(class_id) REFERENCES classes (id))",
    "CREATE TABLE opinions (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, slide_id INTEGER NOT NULL, "
    "finding_id INTEGER NOT NULL, run_id INTEGER NOT NULL, class_id INTEGER NOT NULL, confidence FLOAT NOT NULL, "
    "y0 FLOAT NOT NULL, x0 FLOAT NOT NULL, y1 FLOAT NOT NULL, x1 FLOAT NOT NULL, made BOOLEAN NOT NULL, "
    "again BOOLEAN NOT NULL, FOREIGN KEY(slide_id) REFERENCES slides (id), "
    "FOREIGN KEY(finding_id) REFERENCES boxes (id), FOREIGN KEY(run_id) REFERENCES runs (id), "
    "FOREIGN KEY(class_id) REFERENCES classes (id))",
)
_RENAME = (
    "DROP TABLE boxes",
    "ALTER TABLE new_boxes RENAME TO boxes",
    "CREATE INDEX boxes_of_slide ON boxes (slide_id)",
    "CREATE INDEX opinions_of_slide ON opinions (slide_id)",
    "CREATE UNIQUE INDEX opinions_of_run ON opinions (run_id, finding_id)",
    "CREATE INDEX opinions_of_finding ON opinions (finding_id)",
)
_IN_FORCE = "kind IN ('command', 'kept') AND undone = 0"


@dataclass(slots=True)
class _Joined:
    """What became of findings that were at the place of another."""

    into: dict[int, int] = field(default_factory=dict)
    apart: list[tuple[int, int]] = field(default_factory=list)


def boxes_to_opinions(connection: Connection) -> None:
    """Make the tables of findings and opinions, and fill them."""
    boxes = {row[0]: dict(zip(_NAMES, row, strict=True)) for row in connection.exec_driver_sql(_READ)}
    runs = set(connection.exec_driver_sql("SELECT id FROM runs").scalars())
    classes = set(connection.exec_driver_sql("SELECT id FROM classes").scalars())
    for row in boxes.values():
        if row["run_id"] not in runs or row["confidence"] is None:
            row["run_id"] = 0
        row["flags"] = 0 if row["run_id"] else int(OF_USER)
    opinions = _opinions(connection, boxes, classes)
    joined = _joined(connection, boxes, opinions)
    flags = {number: row["flags"] for number, row in boxes.items()}
    rewritten = _Log(connection, flags, joined.into, opinions=len(opinions))
    rewritten.rewrite()
    for statement in _TABLES:
        connection.exec_driver_sql(statement)
    names = [name for name in (*_NAMES, "flags") if name != "run_id"]
    _insert(connection, "new_boxes", names, [row for row in boxes.values() if row["id"] not in joined.into])
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'boxes'").scalar() or 0
    for statement in _RENAME:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('boxes', 'new_boxes', 'opinions')")
    _insert(connection, "opinions", list(_OPINION_NAMES), list(opinions.values()))
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'opinions'")
    connection.exec_driver_sql(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('boxes', ?), ('opinions', ?)", (last, rewritten.last_opinion)
    )
    _tell(connection, boxes, opinions, joined)


_OPINION_NAMES = (
    "id", "slide_id", "finding_id", "run_id", "class_id", "confidence", *_SIDES, "made", "again",
)  # fmt: skip


def _insert(connection: Connection, table: str, names: list[str], rows: list[dict[str, Any]]) -> None:
    if rows:
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - constants
        connection.exec_driver_sql(sql, [tuple(row[name] for name in names) for row in rows])


def _opinions(
    connection: Connection, boxes: Mapping[int, dict[str, Any]], classes: set[int]
) -> dict[int, dict[str, Any]]:
    """The opinion of each finding of a run, by its id; what a user has changed since is taken back in it."""
    first: dict[int, dict[str, Any]] = defaultdict(dict)
    steps = f"SELECT title, changes FROM log WHERE {_IN_FORCE} AND changes IS NOT NULL ORDER BY id"  # noqa: S608
    for title, payload in connection.exec_driver_sql(steps):
        of_classes = title.startswith(("Merge ", "Delete class "))
        for delta in _edits(payload):
            for name in {"class_id", *_SIDES} & delta.before.keys():
                for number, value in zip(delta.before["id"].tolist(), delta.before[name].tolist(), strict=True):
                    row = boxes.get(number)
                    if row is not None and row["run_id"] and not of_classes:
                        first[number].setdefault(name, value)
                        row["flags"] |= int(FindingFlag.CLASS if name == "class_id" else FindingFlag.BOX)
    found: dict[int, dict[str, Any]] = {}
    for number, row in boxes.items():
        if row["run_id"]:
            was = {**row, **first.get(number, {})}
            if was["class_id"] not in classes:
                was["class_id"] = row["class_id"]
            place = {"id": len(found) + 1, "finding_id": number, "made": True, "again": False}
            found[number] = {name: place.get(name, was.get(name)) for name in _OPINION_NAMES}
    return found


def _edits(payload: bytes) -> Iterator[Delta]:
    """Changes of boxes that were there before and after."""
    try:
        deltas = unpack(payload)
    except ProjectError:  # it cannot be undone either
        return
    for delta in deltas:
        if delta.table == "boxes" and len(delta.before["id"]) and len(delta.after["id"]):
            yield delta


# -- doubles ----------------------------------------------------------------------------------------------------------


def _joined(connection: Connection, boxes: dict[int, dict[str, Any]], opinions: dict[int, dict[str, Any]]) -> _Joined:
    """Join the findings of each run with older ones at the same place, unless a user said different things of them."""
    details = {
        table: set(connection.exec_driver_sql(f"SELECT id FROM {table}").scalars())  # noqa: S608 - constants
        for table in ("attributes", "outlines")
    }
    joined = _Joined()
    runs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, row in boxes.items():
        if row["run_id"]:
            runs[row["slide_id"], row["run_id"]].append(number)
    for (slide_id, run_id), mine in sorted(runs.items()):
        older = [
            number for number, row in boxes.items()
            if row["slide_id"] == slide_id and number not in joined.into
            and (row["run_id"] < run_id if row["run_id"] else number < min(mine))
        ]  # fmt: skip
        for number, place in _matches(mine, older, boxes, opinions):
            if _join(boxes[number], boxes[place], details):
                joined.into[number] = place
                opinions[number]["finding_id"], opinions[number]["made"] = place, False
                opinions[number]["again"] = boxes[place]["state"] == ReviewState.REJECTED
                sql = "UPDATE classes SET example_box = ? WHERE example_box = ?"
                connection.exec_driver_sql(sql, (place, number))
                for table, having in details.items():
                    if number in having:
                        connection.exec_driver_sql(f"UPDATE {table} SET id = ? WHERE id = ?", (place, number))  # noqa: S608
            elif ReviewState.REJECTED not in (boxes[number]["state"], boxes[place]["state"]):
                joined.apart.append((number, place))
    return joined


def _matches(
    mine: list[int], older: list[int], boxes: Mapping[int, dict[str, Any]], opinions: Mapping[int, dict[str, Any]]
) -> list[tuple[int, int]]:
    """Findings of a run, and older ones at their places."""
    if not older:
        return []
    said = [opinions[number] for number in mine]
    known = [boxes[number] for number in older]
    # where a user has moved a box, the place that the model had found still counts
    known += [{**opinions[number], "id": number} for number in older if number in opinions]
    places = KnownPlaces(
        ids=np.array([row["id"] for row in known], np.int64),
        boxes=_corners(known),
        class_ids=np.array([row["class_id"] for row in known]),
        ranks=np.array([int(boxes[row["id"]]["state"] == ReviewState.REJECTED) for row in known]),
    )
    classes, scores = (np.array([row[name] for row in said]) for name in ("class_id", "confidence"))
    chosen, place = match_places(_corners(said), classes, scores, places)
    return sorted(zip((mine[n] for n in chosen.tolist()), place.tolist(), strict=True))


def _corners(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[row[side] for side in _SIDES] for row in rows], float)


def _join(row: dict[str, Any], into: dict[str, Any], details: Mapping[str, set[int]]) -> bool:
    """Move what a user said of a finding to another; False where that one has something else said of it."""
    if any(row["id"] in having and into["id"] in having for having in details.values()):
        return False
    said, known = (bool(r["flags"] or r["state"] or r["chosen"] or r["note"]) for r in (row, into))
    if (
        said
        and known
        and (row["state"], row["class_id"], row["reason"]) != (into["state"], into["class_id"], into["reason"])
    ):
        return False
    if said and not known:
        into |= {name: row[name] for name in ("class_id", *_SIDES, "state", "reason", "flags")}
    into["chosen"] = bool(into["chosen"] or row["chosen"])
    into["note"] = "; ".join(dict.fromkeys(note for note in (into["note"], row["note"]) if note))
    return True


def _tell(
    connection: Connection, boxes: Mapping[int, dict[str, Any]], opinions: Mapping[int, dict[str, Any]], joined: _Joined
) -> None:
    """List in the history what was joined and what was not."""
    if joined.into:
        moved = [opinions[number] for number in sorted(joined.into)]
        rows = [{name: boxes[number][name] for name in _NAMES if name != "run_id"} for number in sorted(joined.into)]
        before = columns_of([{"id": row["id"], "slide_id": row["slide_id"], "finding_id": n}
                             for row, n in zip(moved, sorted(joined.into), strict=True)])  # fmt: skip
        after = columns_of([{name: row[name] for name in ("id", "slide_id", "finding_id")} for row in moved])
        title = f"Join {things(len(joined.into), 'finding')} with those that an earlier detection had at the same place"
        _log(
            connection,
            title,
            [Delta("opinions", before, after), Delta.deleted("boxes", rows)],
            sorted(joined.into.values()),
        )
    if joined.apart:
        pairs = ", ".join(f"#{one} and #{other}" for one, other in joined.apart[:20])
        more = f" and {len(joined.apart) - 20} more" if len(joined.apart) > 20 else ""
        title = f"Left as they are, for you said different things of them: {pairs}{more}"
        _log(connection, title, [], [number for pair in joined.apart for number in pair])


def _log(connection: Connection, title: str, deltas: list[Delta], ids: list[int]) -> None:
    connection.exec_driver_sql(
        "INSERT INTO log (time, user, title, kind, undone, box_count, box_ids, changes)"
        " VALUES (?, ?, ?, 'made', 0, ?, ?, ?)",
        (now(), user_name(), title, len(ids), json.dumps(ids[:1000]), pack(deltas) if deltas else None),
    )


def _unpacked(payload: bytes | None) -> list[Delta]:
    try:
        return unpack(payload) if payload else []
    except ProjectError:
        return []


# -- steps of the history ---------------------------------------------------------------------------------------------


class _Log:
    """Rewrites steps, so that they can be undone and redone with the new tables."""

    def __init__(
        self, connection: Connection, flags: dict[int, int], into: Mapping[int, int], *, opinions: int
    ) -> None:
        self._connection = connection
        self._flags = flags
        self._into = into
        self.last_opinion = opinions

    def rewrite(self) -> None:
        """Rewrite every step that holds boxes; those that cannot be read stay as they are."""
        sql = "SELECT id, undone, changes, box_ids FROM log ORDER BY id"
        for number, undone, payload, ids in self._connection.exec_driver_sql(sql).all():
            new: list[Delta] = []
            for delta in map(self._of_joined, _unpacked(payload)):
                if delta.table != "boxes":
                    new.append(delta)
                elif {"run_id"} & (delta.before.keys() | delta.after.keys()):
                    new += self._whole(delta)
                else:
                    new.append(self._edit(delta) if undone else delta)
            if any(delta.table == "boxes" for delta in new):
                self._connection.exec_driver_sql("UPDATE log SET changes = ? WHERE id = ?", (pack(new), number))
            named = json.loads(ids)
            if not self._into.keys().isdisjoint(named):
                named = list(dict.fromkeys(self._into.get(box, box) for box in named))
                self._connection.exec_driver_sql("UPDATE log SET box_ids = ? WHERE id = ?", (json.dumps(named), number))

    def _of_joined(self, delta: Delta) -> Delta:
        """The same change of the findings that others were joined with."""
        if delta.table not in ("boxes", "attributes", "outlines"):
            return delta
        return Delta(delta.table, self._renamed(delta.before), self._renamed(delta.after))

    def _renamed(self, side: Columns) -> Columns:
        if self._into.keys().isdisjoint(side["id"].tolist()):
            return side
        ids = np.array([self._into.get(number, number) for number in side["id"].tolist()], np.int64)
        first = np.sort(np.unique(ids, return_index=True)[1])
        return {name: (ids if name == "id" else column)[first] for name, column in side.items()}

    def _whole(self, delta: Delta) -> list[Delta]:
        """Boxes that come or go, with the opinions of those that a run had found."""
        sides, said = [], []
        for side in (delta.before, delta.after):
            if "run_id" not in side:
                sides.append(side)
                said.append(columns_of([]))
                continue
            found = (side["run_id"] != 0) & ~np.isnan(side["confidence"].astype(float))
            flags = np.where(found, 0, int(OF_USER)).astype(np.uint8)
            sides.append({name: column for name, column in side.items() if name != "run_id"} | {"flags": flags})
            self._flags |= dict(zip(side["id"].tolist(), flags.tolist(), strict=True))
            said.append(self._said(side, found))
        return [Delta("boxes", sides[0], sides[1]), Delta("opinions", said[0], said[1])]

    def _said(self, side: Columns, found: np.ndarray) -> Columns:
        if not found.any():
            return columns_of([])
        count = int(found.sum())
        ids = self.last_opinion + 1 + np.arange(count)
        self.last_opinion += count
        columns = {name: side[name][found] for name in ("slide_id", "run_id", "class_id", "confidence", *_SIDES)}
        return {
            "id": ids, **columns, "finding_id": side["id"][found],
            "made": np.ones(count, bool), "again": np.zeros(count, bool),
        }  # fmt: skip

    def _edit(self, delta: Delta) -> Delta:
        """A change that was undone: done again, it makes class or box a user's."""
        need = int(FindingFlag.CLASS) if "class_id" in delta.after else 0
        need |= int(FindingFlag.BOX) if not delta.after.keys().isdisjoint(_SIDES) else 0
        if not need:
            return delta
        before = np.array([self._flags.get(number, 0) for number in delta.before["id"].tolist()], np.uint8)
        after = np.array([self._flags.get(number, 0) | need for number in delta.after["id"].tolist()], np.uint8)
        self._flags |= dict(zip(delta.after["id"].tolist(), after.tolist(), strict=True))
        return Delta("boxes", {**delta.before, "flags": before}, {**delta.after, "flags": after})
