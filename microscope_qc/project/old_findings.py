"""Projects in which every run had boxes of its own: the boxes become opinions, and doubles become one finding."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.matching import KnownPlaces, match_places
from microscope_qc.core.wording import things
from microscope_qc.project.deltas import Delta, columns_of, pack
from microscope_qc.project.old_steps import OPINION_NAMES, SIDES, OldSteps
from microscope_qc.project.owner import now, user_name

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
    steps = OldSteps(connection, boxes, classes)
    opinions = steps.opinions
    joined = _joined(connection, boxes, opinions, steps)
    steps.rewrite(joined.into)
    for statement in _TABLES:
        connection.exec_driver_sql(statement)
    names = [name for name in (*_NAMES, "flags") if name != "run_id"]
    _insert(connection, "new_boxes", names, [row for row in boxes.values() if row["id"] not in joined.into])
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'boxes'").scalar() or 0
    for statement in _RENAME:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('boxes', 'new_boxes', 'opinions')")
    _insert(connection, "opinions", list(OPINION_NAMES), list(opinions.values()))
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'opinions'")
    connection.exec_driver_sql(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('boxes', ?), ('opinions', ?)", (last, steps.last_opinion)
    )
    _tell(connection, boxes, opinions, joined)


def _insert(connection: Connection, table: str, names: list[str], rows: list[dict[str, Any]]) -> None:
    if rows:
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - constants
        connection.exec_driver_sql(sql, [tuple(row[name] for name in names) for row in rows])


# -- doubles ----------------------------------------------------------------------------------------------------------


def _joined(
    connection: Connection, boxes: dict[int, dict[str, Any]], opinions: dict[int, dict[str, Any]], steps: OldSteps
) -> _Joined:
    """Join the findings of each run with older ones at the same place, unless a user said different things of them."""
    details = {
        table: set(connection.exec_driver_sql(f"SELECT id FROM {table}").scalars())  # noqa: S608 - constants
        for table in ("attributes", "outlines")
    }
    had = {table: known | steps.changed(table) for table, known in details.items()}
    joined = _Joined()
    runs: dict[tuple[int, int], list[int]] = defaultdict(list)
    of_slide: dict[int, list[int]] = defaultdict(list)
    for number, row in boxes.items():
        of_slide[row["slide_id"]].append(number)
        if row["run_id"]:
            runs[row["slide_id"], row["run_id"]].append(number)
    for (slide_id, run_id), mine in sorted(runs.items()):
        first = min(mine)
        older = [
            number for number in of_slide[slide_id]
            if number not in joined.into
            and (boxes[number]["run_id"] < run_id if boxes[number]["run_id"] else number < first)
        ]  # fmt: skip
        for number, place in _matches(mine, older, boxes, opinions):
            if _join(boxes[number], boxes[place], had):
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
    return np.array([[row[side] for side in SIDES] for row in rows], float)


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
        into |= {name: row[name] for name in ("class_id", *SIDES, "state", "reason", "flags")}
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
