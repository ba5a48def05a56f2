"""Row deltas: what a command changed, table by table, as columns before and after.

A user's command is stored as its deltas; undo puts ``before`` in the place of ``after``, redo the other way round.
The payload is one zlib stream of a JSON header followed by the columns: numbers as raw little-endian bytes, everything
else as a JSON list.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import sqlite

from microscope_qc.core.boxes import STORED_FLAGS
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.opinions import OPINION_DTYPE
from microscope_qc.project import schema
from microscope_qc.project.database import driver

Columns = dict[str, np.ndarray]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Turn row dicts with the same keys into columns of Python objects."""
    if not rows:
        return {"id": np.zeros(0, np.int64)}
    result: Columns = {}
    for name in rows[0]:
        column = np.empty(len(rows), object)
        column[:] = [row[name] for row in rows]
        result[name] = column.astype(np.int64) if name == "id" else column
    return result


BOX_COLUMNS = ("id", "class_id", "y0", "x0", "y1", "x1", "confidence", "state", "chosen", "reason", "note", "flags")
"""Columns of box rows that are stored."""
OPINION_COLUMNS = OPINION_DTYPE.names or ()


def box_columns(rows: np.ndarray, slide_id: int, *, names: Sequence[str] = BOX_COLUMNS) -> Columns:
    """Return box rows as the columns of a delta; ids and slide are always among them."""
    return row_columns(rows, slide_id, names=names)


def row_columns(rows: np.ndarray, slide_id: int, *, names: Sequence[str]) -> Columns:
    """Return rows of a slide as the columns of a delta; ids and slide are always among them."""
    columns: Columns = {"id": rows["id"].copy(), "slide_id": np.full(len(rows), slide_id, np.int32)}
    for name in names:
        columns[name] = np.ascontiguousarray(rows[name])
    if "flags" in columns:
        columns["flags"] = columns["flags"] & np.uint8(STORED_FLAGS)
    return columns


@dataclass(frozen=True, slots=True)
class Delta:
    """Change of some rows of one table; both sides always have the column ``id``.

    Rows on one side only were added or deleted; of rows on both sides the columns given were changed.
    """

    table: str
    before: Columns
    after: Columns

    @classmethod
    def inserted(cls, table: str, rows: Sequence[Mapping[str, Any]]) -> Delta:
        """Return the delta of new rows."""
        return cls(table, columns_of([]), columns_of(rows))

    @classmethod
    def deleted(cls, table: str, rows: Sequence[Mapping[str, Any]]) -> Delta:
        """Return the delta of deleted rows."""
        return cls(table, columns_of(rows), columns_of([]))

    @classmethod
    def edited(cls, table: str, row: Mapping[str, Any], changes: Mapping[str, Any]) -> Delta:
        """Return the delta of a row whose columns ``changes`` get new values."""
        before = {"id": row["id"], **{name: row[name] for name in changes}}
        return cls(table, columns_of([before]), columns_of([{"id": row["id"], **changes}]))

    def __bool__(self) -> bool:
        return bool(len(self.before["id"]) or len(self.after["id"]))

    @property
    def ids(self) -> np.ndarray:
        """All rows of the delta: those of ``after`` in their order, then deleted ones."""
        gone = ~np.isin(self.before["id"], self.after["id"])
        return np.concatenate([self.after["id"], self.before["id"][gone]])

    def reversed(self) -> Delta:
        """Return the delta that undoes this one."""
        return Delta(self.table, self.after, self.before)

    def split(self) -> tuple[np.ndarray, Columns, Columns]:
        """Return the ids of deleted rows, then added and changed rows."""
        before, after = self.before["id"], self.after["id"]
        if np.array_equal(before, after):  # what most commands are
            return before[:0], {name: column[:0] for name, column in self.after.items()}, dict(self.after)
        gone = before[~np.isin(before, after)]
        kept = np.isin(after, before)
        come = {name: column[~kept] for name, column in self.after.items()}
        change = {name: column[kept] for name, column in self.after.items()}
        return gone, come, change

    def apply(self, connection: Connection) -> None:
        """Write the change into the database.

        A box that is taken away leaves its place (see :mod:`microscope_qc.project.schema`), with what models say of it;
        it goes with its slide.

        Raises
        ------
        ProjectError
            When the rows are not those of the delta; the caller's transaction is then rolled back.
        """
        table = schema.metadata.tables[self.table]
        gone, come, change = self.split()
        if len(gone):
            ids = np.sort(gone)
            ends = np.flatnonzero(np.diff(ids, append=ids[-1] + 2) != 1)
            starts = np.r_[0, ends[:-1] + 1]
            if table is schema.slides:
                for slide_id in ids.tolist():
                    connection.exec_driver_sql(_DROP_PLACES_SQL, (slide_id,))
            # consecutive ids, as those of an import, are deleted with one statement
            sql = _LEAVE_SQL if table is schema.boxes else _delete_sql(table)
            _many(connection, sql, [ids[starts], ids[ends]], self.table, rows=len(ids))
        if len(come["id"]):
            sql, order = _insert_sql(table, tuple(come))
            _many(connection, sql, [_values(table, name, come[name]) for name in order], self.table)
        names = tuple(name for name in change if name not in ("id", "slide_id"))  # rows never move to another slide
        if len(change["id"]) and names:
            sql, order = _update_sql(table, names)
            _many(connection, sql, [_values(table, name, change[name]) for name in order], self.table)


def _values(table: Table, name: str, column: np.ndarray) -> np.ndarray | list[Any]:
    """The values of a column as the database takes them: a box without a class has none there."""
    if table is schema.boxes and name == "class_id" and not column.all():
        return [number or None for number in column.tolist()]
    return column


def _many(
    connection: Connection,
    sql: str,
    columns: Sequence[np.ndarray | list[Any]],
    table: str,
    *,
    rows: int | None = None,
) -> None:
    """Run a statement with each row of the columns; as many rows of the table must be touched, or ``rows``."""
    # rows are made while they are bound: a list of 100,000 tuples costs the garbage collector more time
    values = zip(*(column if isinstance(column, list) else column.tolist() for column in columns), strict=True)
    if driver(connection).executemany(sql, values).rowcount != (len(columns[0]) if rows is None else rows):
        raise ProjectError(
            f"The {table} in the project do not agree with its history; nothing was changed.",
            hint="Run “microscope-qc check” on the project.",
        )


_LEAVE_SQL = (
    "UPDATE boxes SET class_id = NULL, confidence = NULL, state = 0, chosen = 0, reason = '', note = '', flags = 0"
    " WHERE id BETWEEN ? AND ?"
)
"""Takes boxes away and leaves their places."""
_DROP_PLACES_SQL = (
    "DELETE FROM boxes WHERE slide_id = ? AND flags = 0 AND state = 0 AND id NOT IN (SELECT finding_id FROM opinions)"
)
_DIALECT = sqlite.dialect(paramstyle="qmark")


@cache
def _insert_sql(table: Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    compiled = table.insert().compile(dialect=_DIALECT, column_keys=list(names))
    sql, order = str(compiled), tuple(compiled.positiontup or ())
    if table is schema.boxes:  # its place may have been left
        sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("id", "slide_id"))
        sql = f"{sql} ON CONFLICT (id) DO UPDATE SET {sets}"
    return sql, order


@cache
def _update_sql(table: Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    statement = table.update().where(table.c.id == bindparam("row_id"))
    compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))
    return str(compiled), tuple("id" if name == "row_id" else name for name in compiled.positiontup or ())


@cache
def _delete_sql(table: Table) -> str:
    return str(table.delete().where(table.c.id.between(bindparam("low"), bindparam("high"))).compile(dialect=_DIALECT))


def joined(first: Sequence[Delta], second: Sequence[Delta]) -> list[Delta] | None:
    """Two changes of the same columns of the same rows, one after the other, as one; None for any others."""
    if len(first) != len(second):
        return None
    result = []
    for old, new in zip(first, second, strict=True):
        alike = old.table == new.table and old.after.keys() == new.before.keys() == new.after.keys()
        sides = (old.after, new.before, new.after)
        if not (alike and all(np.array_equal(side["id"], old.before["id"]) for side in sides)):
            return None
        result.append(Delta(old.table, old.before, new.after))
    return result


def pack(deltas: Sequence[Delta]) -> bytes:
    """Turn deltas into one compressed payload."""
    head: list[dict[str, Any]] = []
    body: list[bytes] = []
    for delta in deltas:
        entry: dict[str, Any] = {"table": delta.table}
        for side, columns in (("before", delta.before), ("after", delta.after)):
            entry[side] = []
            for name, column in columns.items():
                if column.dtype == object:
                    kind, data = "json", json.dumps(column.tolist(), separators=(",", ":")).encode()
                else:
                    little = column.astype(column.dtype.newbyteorder("<"), copy=False)
                    kind, data = little.dtype.str, little.tobytes()
                entry[side].append([name, kind, len(data)])
                body.append(data)
        head.append(entry)
    header = json.dumps(head, separators=(",", ":")).encode()
    return zlib.compress(b"".join([struct.pack("<I", len(header)), header, *body]), 1)


def row_count(payload: bytes) -> int:
    """Return how many rows a payload is about, from its header alone.

    Raises
    ------
    ProjectError
        When the payload is damaged.
    """
    try:
        stream = zlib.decompressobj()
        start = stream.decompress(payload, 4)
        (size,) = struct.unpack("<I", start)
        header = json.loads(stream.decompress(stream.unconsumed_tail, size))
        return sum(max(_count(entry[side]) for side in ("before", "after")) for entry in header)
    except (zlib.error, struct.error, ValueError, KeyError, TypeError) as error:
        raise _damaged() from error


def _count(columns: Sequence[tuple[str, str, int]]) -> int:
    return next((length // np.dtype(kind).itemsize for name, kind, length in columns if name == "id"), 0)


def _damaged() -> ProjectError:
    return ProjectError(
        "This step of the history is damaged and cannot be undone or redone.",
        hint="Run “microscope-qc check” on the project.",
    )


def unpack(payload: bytes) -> list[Delta]:
    """Turn a payload back into deltas.

    Raises
    ------
    ProjectError
        When the payload is damaged.
    """
    try:
        data = zlib.decompress(payload)
        (size,) = struct.unpack_from("<I", data)
        offset = 4 + size
        deltas = []
        for entry in json.loads(data[4:offset]):
            sides: dict[str, Columns] = {}
            for side in ("before", "after"):
                sides[side] = {}
                for name, kind, length in entry[side]:
                    sides[side][name] = _column(kind, data[offset : offset + length])
                    offset += length
            if entry["table"] not in schema.metadata.tables:
                raise ValueError(f"no table {entry['table']}")
            deltas.append(Delta(entry["table"], sides["before"], sides["after"]))
    except (zlib.error, struct.error, ValueError, KeyError, TypeError) as error:
        raise _damaged() from error
    return deltas


def _column(kind: str, data: bytes) -> np.ndarray:
    if kind != "json":
        return np.frombuffer(data, np.dtype(kind))
    values = json.loads(data)
    column = np.empty(len(values), object)
    column[:] = values
    return column
