"""The command log: every command of a user with its inverse, and what runs brought."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from microscope_qc.core.errors import ProjectError
from microscope_qc.project.database import Database, driver
from microscope_qc.project.deltas import Delta, joined, pack, row_count, unpack
from microscope_qc.project.owner import now, user_name
from microscope_qc.project.records import LogEntry
from microscope_qc.project.schema import log

IDS_KEPT = 1000
"""Boxes that a log line names at most; the payload holds all of them."""

UNDONE, DONE_AGAIN = "undone", "done again"

_SMALL = 2_000
"""Of so few bytes the rows need not be counted."""

_NAMES = [column.name for column in log.c if column.name != "changes"]
_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)


class CommandLog:
    """The log of an open project: its newest steps, read once, and the next steps of undo and redo."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, LogEntry] = {}
        self._listed: tuple[int | None, int, list[LogEntry]] | None = None  # changes of the database, limit, entries
        self.undo_entry: LogEntry | None = None
        """The command that undo would undo."""
        self.redo_entry: LogEntry | None = None
        """The command that redo would redo."""

    def load(self, connection: Connection | None = None) -> None:
        """Read the next steps of undo and redo again, in a transaction or in between."""
        with self._database.reading() if connection is None else nullcontext(driver(connection)) as reader:
            self.undo_entry, self.redo_entry = _next_undo(reader), _next_redo(reader)

    @property
    def known(self) -> list[LogEntry]:
        """The steps that are in memory."""
        return list(self._known.values())

    def entries(self, limit: int | None) -> list[LogEntry]:
        """Return the newest entries, newest first; None is all of them."""
        changes, listed = self._database.changes, self._listed
        if limit is None:
            with self._database.reading() as connection:
                return lines(connection, None, self._known)
        if changes is None or listed is None or listed[0] != changes or listed[1] < limit:
            wanted = limit if listed is None else max(limit, listed[1])  # views ask for different numbers of entries
            with self._database.reading() as connection:
                listed = (changes, wanted, lines(connection, wanted, self._known))
            self._listed = listed
        return listed[2][:limit]

    def listed(self, limit: int | None) -> list[LogEntry] | None:
        """Return the newest entries as they were listed last; None where so many were not."""
        known = self._listed
        return known[2][:limit] if known is not None and limit is not None and known[1] >= limit else None

    def deltas_of(self, entry: LogEntry) -> list[Delta]:
        """Return what an entry changed.

        Raises
        ------
        ProjectError
            When the entry is damaged.
        """
        with self._database.begin() as connection:
            return deltas_of(connection, entry)

    def size_of(self, entry: LogEntry) -> int:
        """Return how many rows of all tables an entry changed; of one that is damaged what its line says."""
        with self._database.reading() as connection:
            (length,) = connection.execute(
                "SELECT ifnull(length(changes), 0) FROM log WHERE id = ?", (entry.id,)
            ).fetchone()
            if length < _SMALL:
                return entry.box_count
            found = connection.execute("SELECT changes FROM log WHERE id = ?", (entry.id,)).fetchone()
        try:
            return max(entry.box_count, row_count(found[0]))
        except ProjectError:
            return entry.box_count

    def can_extend(self, entry: LogEntry | None) -> bool:
        """Whether an entry is the newest step, so that a further change can be merged into it."""
        newest = self.undo_entry
        return entry is not None and newest is not None and newest.id == entry.id and self.redo_entry is None

    def amended(
        self, connection: Connection, entry: LogEntry | None, deltas: Sequence[Delta], *, title: str
    ) -> LogEntry | None:
        """Merge a further change of the same rows into the newest entry; None where it does not fit."""
        if entry is None or not self.can_extend(entry):
            return None
        both = joined(deltas_of(connection, entry), deltas)
        return None if both is None else amend(connection, entry, both, title=title)


def append(
    connection: Connection,
    *,
    title: str,
    kind: str,
    deltas: Sequence[Delta],
    slide_id: int | None,
    run_id: int | None = None,
) -> LogEntry:
    """Write one entry and return it."""
    ids = [delta.ids for delta in deltas if delta.table == "boxes"]
    boxes = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    beside = [delta.ids for delta in deltas if delta.table in ("attributes", "outlines")]
    if beside:
        boxes = np.concatenate([boxes, np.setdiff1d(np.concatenate(beside), boxes)])
    linked = [
        side["finding_id"].astype(np.int64)
        for delta in deltas
        if delta.table == "measurement_links"
        for side in (delta.before, delta.after)
        if "finding_id" in side
    ]
    if linked:
        boxes = np.concatenate([boxes, np.setdiff1d(np.concatenate(linked), boxes)])
    values: dict[str, Any] = {
        "time": now(),
        "user": user_name(),
        "title": title,
        "kind": kind,
        "undone": False,
        "slide_id": slide_id,
        "run_id": run_id,
        "box_count": len(boxes),
        "box_ids": json.dumps(boxes[:IDS_KEPT].tolist()),
    }
    number = _insert(driver(connection), "log", {**values, "changes": pack(deltas) if deltas else None})
    return _entry({"id": number, **values})


def deltas_of(connection: Connection, entry: LogEntry) -> list[Delta]:
    """Return what an entry changed."""
    found = driver(connection).execute("SELECT changes FROM log WHERE id = ?", (entry.id,)).fetchone()
    return unpack(found[0]) if found is not None and found[0] else []


def mark(connection: Connection, entry: LogEntry, **columns: Any) -> LogEntry:
    """Change columns of an entry (``undone``, ``kind``) and return the entry as it is now."""
    places = ", ".join(f'"{name}" = ?' for name in columns)
    writer = driver(connection)
    writer.execute(f"UPDATE log SET {places} WHERE id = ?", (*columns.values(), entry.id))  # noqa: S608
    changed = _first(writer, "id = ?", (entry.id,))
    assert changed is not None
    return changed


def note_step(connection: Connection, entry: LogEntry, *, undo: bool) -> None:
    """Record who undid or redid a command, and when."""
    action = UNDONE if undo else DONE_AGAIN
    step = {"log_id": entry.id, "time": now(), "user": user_name(), "action": action}
    _insert(driver(connection), "trail", step)


def amend(connection: Connection, entry: LogEntry, deltas: Sequence[Delta], *, title: str) -> LogEntry:
    """Replace the changes of an entry by others of the same rows, made now."""
    return mark(connection, entry, changes=pack(deltas), time=now(), title=title)


def drop_redo(connection: Connection, *, first: int = 0) -> None:
    """Keep undone commands, those from the entry ``first`` on, for the record only: others took their place."""
    sql = "UPDATE log SET kind = 'dropped' WHERE kind = 'command' AND undone = 1 AND id >= ?"
    driver(connection).execute(sql, (first,))


def drop_redo_of_deleting(connection: Connection, table: str, row_id: int) -> bool:
    """Drop the undone command that would delete a row again, and those after it; whether there was one."""
    undone = select(log.c.id, log.c.changes).where(log.c.kind == "command", log.c.undone.is_(True)).order_by(log.c.id)
    for number, payload in connection.execute(undone).all():
        if any(delta.table == table and row_id in delta.split()[0] for delta in _unpacked(payload)):
            drop_redo(connection, first=number)
            return True
    return False


def keep(connection: Connection, entry: LogEntry) -> None:
    """Take a command off the undo stack, and with it those before it that changed the same rows.

    Undone without it, they would put values into these rows that never stood together.
    """
    rows = _rows_of(deltas_of(connection, entry))
    kept = [entry.id]
    command = select(log.c.id, log.c.changes).where(log.c.kind == "command", log.c.undone.is_(False))
    for number, payload in connection.execute(command.where(log.c.id < entry.id).order_by(log.c.id.desc())):
        touched = _rows_of(_unpacked(payload))
        if any(np.isin(ids, rows[table]).any() for table, ids in touched.items() if table in rows):
            kept.append(number)
            for table, ids in touched.items():
                rows[table] = np.union1d(ids, rows.get(table, ids))
    for number in kept:
        connection.execute(update(log).where(log.c.id == number).values(kind="kept"))


def set_aside(connection: Connection, deltas: Sequence[Delta]) -> bool:
    """Take commands off both stacks that set values which a detection has changed now; whether there were any."""
    rows = _rows_of([delta for delta in deltas if len(delta.before["id"])])
    found = False
    if rows:
        command = select(log.c.id, log.c.undone, log.c.changes).where(log.c.kind == "command")
        if "boxes" not in rows:
            command = command.where(log.c.box_count == 0)
        for number, undone, payload in connection.execute(command).all():
            touched = _rows_of(_unpacked(payload))
            if any(np.isin(ids, rows[table]).any() for table, ids in touched.items() if table in rows):
                kind = "dropped" if undone else "kept"
                connection.execute(update(log).where(log.c.id == number).values(kind=kind))
                found = True
    return found


def _unpacked(payload: bytes | None) -> list[Delta]:
    """The changes of an entry; none where it is damaged, and so can be neither undone nor redone."""
    try:
        return unpack(payload) if payload else []
    except ProjectError:
        return []


def _rows_of(deltas: Sequence[Delta]) -> dict[str, np.ndarray]:
    """Rows that a command touches, by table, and the classes that its declared areas name."""
    rows: dict[str, np.ndarray] = {}

    def note(table: str, ids: np.ndarray) -> None:
        rows[table] = np.union1d(ids, rows.get(table, ids))

    for delta in deltas:
        note(delta.table, delta.ids)
        if delta.table == "areas":  # no foreign key guards these
            for side in (delta.before, delta.after):
                for classes in side.get("classes", ()):
                    note("classes", np.array(json.loads(classes), np.int64))
    return rows


def add_findings(connection: Connection, run_id: int, ids: np.ndarray) -> LogEntry | None:
    """Add findings to the count of their run's entry."""
    entry = _first(driver(connection), "kind = 'run' AND run_id = ?", (run_id,))
    if entry is None:
        return None
    named = [*entry.box_ids, *ids[: max(0, IDS_KEPT - len(entry.box_ids))].tolist()]
    return mark(connection, entry, box_count=entry.box_count + len(ids), box_ids=json.dumps(named))


def lines(connection: sqlite3.Connection, limit: int | None, known: dict[int, LogEntry]) -> list[LogEntry]:
    """Return the newest entries, newest first.

    Parameters
    ----------
    limit
        How many; None is all of them.
    known
        Entries read before, by number: unchanged ones are not read again, and new ones are added.
    """
    # only columns that may have changed, and without SQLAlchemy's rows: this runs after every edit
    sql = "SELECT id, undone, kind, box_count, time FROM log ORDER BY id DESC LIMIT ?"
    numbers: list[int] = []
    lost: list[int] = []
    for number, undone, kind, count, time in connection.execute(sql, (-1 if limit is None else limit,)):
        numbers.append(number)
        entry = known.get(number)
        if entry is None or (entry.undone, entry.kind, entry.box_count, entry.time) != (
            bool(undone),
            kind,
            count,
            time,
        ):
            lost.append(number)
    for start in range(0, len(lost), 500):
        part = lost[start : start + 500]
        places = ", ".join("?" * len(part))
        for row in connection.execute(f"SELECT {_COLUMNS} FROM log WHERE id IN ({places})", part):  # noqa: S608
            known[row[0]] = _entry(dict(zip(_NAMES, row, strict=True)))
    return [known[number] for number in numbers]


def _next_undo(connection: sqlite3.Connection) -> LogEntry | None:
    """Return the newest command that was not undone."""
    return _first(connection, "kind = 'command' AND undone = 0 ORDER BY id DESC")


def _next_redo(connection: sqlite3.Connection) -> LogEntry | None:
    """Return the command that was undone last."""
    return _first(connection, "kind = 'command' AND undone = 1 ORDER BY id")


# Every edit of a user comes through here, and SQLAlchemy needs ten times as long as SQLite for a row.
def _first(connection: sqlite3.Connection, where: str, values: tuple[object, ...] = ()) -> LogEntry | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM log WHERE {where} LIMIT 1", values).fetchone()  # noqa: S608
    return None if row is None else _entry(dict(zip(_NAMES, row, strict=True)))


def _insert(connection: sqlite3.Connection, table: str, values: Mapping[str, object]) -> int:
    """Insert a row and return its id."""
    names, places = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
    sql = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608
    return int(connection.execute(sql, tuple(values.values())).lastrowid or 0)


def _entry(row: Any) -> LogEntry:
    return LogEntry(
        id=row["id"],
        time=row["time"],
        user=row["user"],
        title=row["title"],
        kind=row["kind"],
        undone=bool(row["undone"]),
        slide_id=row["slide_id"],
        box_ids=tuple(json.loads(row["box_ids"])),
        box_count=row["box_count"],
        run_id=row["run_id"],
    )
