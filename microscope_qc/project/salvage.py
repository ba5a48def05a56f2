"""Reads what can be read of a damaged database, table by table, around the places that cannot."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from microscope_qc.core.wording import count_text
from microscope_qc.project import schema
from microscope_qc.project.database import Database, connect

_ATTEMPTS = 3000
"""A damaged table is read in ever smaller parts; this many of them fail at most."""

Rows = dict[int, tuple[object, ...]]


@dataclass(slots=True)
class Salvaged:
    """What was read of a database, by table and number of the row."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)

    @property
    def worth(self) -> bool:
        """Whether the records without which nothing means anything were read."""
        return all(self.rows.get(name) for name in ("slides", "classes"))


def salvage(file: Path) -> Salvaged:
    """Read every table as far as it can be read, of the present version only; nothing where that cannot be told."""
    found = Salvaged()
    try:
        with closing(connect(file, mode="ro")) as connection:
            connection.text_factory = lambda data: data.decode(errors="replace")
            row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            if row is None or row[0] != str(schema.SCHEMA_VERSION):
                return found
            for name in schema.metadata.tables:
                _read_table(connection, name, found)
    except sqlite3.Error:
        return Salvaged()
    return found


def write_salvaged(folder: Path, found: Salvaged, backup: Salvaged) -> dict[str, tuple[int, int]]:
    """Make a database of what was read, and for tables that are incomplete of what a backup has of them.

    Returns
    -------
    dict
        By table: rows of the damaged database, and rows that only the backup has.
    """
    counts: dict[str, tuple[int, int]] = {}
    database = Database(folder, create=True)
    try:
        with database.reading() as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
        with database.begin() as opened:
            schema.metadata.create_all(opened)
        with database.reading() as connection:
            connection.execute("BEGIN")
            for name in schema.metadata.tables:
                own = _insert(connection, name, found)
                more = _insert(connection, name, backup) if name in found.incomplete or name not in found.rows else 0
                counts[name] = own, more
            connection.execute("COMMIT")
    finally:
        database.close()
    return counts


def counted_words(counts: dict[str, tuple[int, int]], backup_time: str) -> list[str]:
    """Sentences that say in numbers what came from where."""
    names = {"slides": "slides", "classes": "classes", "boxes": "findings", "opinions": "results of detections",
             "runs": "detections", "marks": "marks", "measurements": "measurements",
             "log": "steps of the history"}  # fmt: skip
    own = [f"{count_text(counts[name][0])} {words}" for name, words in names.items() if counts.get(name, (0, 0))[0]]
    more = [f"{count_text(counts[name][1])} {words}" for name, words in names.items() if counts.get(name, (0, 0))[1]]
    said = [f"The database was damaged. Of it could be read: {', '.join(own)}."]
    if more:
        said.append(f"What could not was taken from the backup of {backup_time}: {', '.join(more)}.")
    return said


def _read_table(connection: sqlite3.Connection, name: str, found: Salvaged) -> None:
    try:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
    except sqlite3.Error:
        columns = []
    if not columns:
        found.incomplete.add(name)
        return
    found.columns[name] = columns
    reader = _Reader(connection, name, columns)
    reader.read()
    found.rows[name] = reader.rows
    if not reader.complete:
        found.incomplete.add(name)


class _Reader:
    """Reads one table: from its begin, from its end, then what is between in halves."""

    def __init__(self, connection: sqlite3.Connection, name: str, columns: list[str]) -> None:
        listed = ", ".join(f'"{column}"' for column in columns)
        self._connection = connection
        self._sql = f"SELECT rowid, {listed} FROM {name} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608
        self.rows: Rows = {}
        self.complete = True
        self._failed = 0

    def read(self) -> None:
        last = self._run(-(2**63), 2**63 - 1)
        if self.complete:
            return
        first = self._run(-(2**63), 2**63 - 1, backwards=True)
        if last is not None and first is not None and first - last > 1:
            self._halves(last + 1, first - 1)

    def _halves(self, low: int, high: int) -> None:
        if low > high or self._failed > _ATTEMPTS or self._run(low, high, whole=True) is None or low == high:
            return
        middle = (low + high) // 2
        self._halves(low, middle)
        self._halves(middle + 1, high)

    def _run(self, low: int, high: int, *, backwards: bool = False, whole: bool = False) -> int | None:
        """Read until it fails; return the number of the last row before. None: with ``whole`` that nothing failed."""
        last: int | None = None
        try:
            for number, *values in self._connection.execute(self._sql + (" DESC" if backwards else ""), (low, high)):
                self.rows[number] = tuple(values)
                last = number
        except sqlite3.DatabaseError:
            self.complete = False
            self._failed += 1
            return low if whole else last
        return None if whole else last


def _insert(connection: sqlite3.Connection, name: str, source: Salvaged) -> int:
    rows = source.rows.get(name)
    if not rows:
        return 0
    known = {column.name for column in schema.metadata.tables[name].columns}
    used = [(place, column) for place, column in enumerate(source.columns[name]) if column in known]
    listed, marks = ", ".join(f'"{column}"' for _, column in used), ", ".join("?" * len(used))
    before = connection.total_changes
    connection.executemany(
        f"INSERT OR IGNORE INTO {name} ({listed}) VALUES ({marks})",  # noqa: S608
        ([values[place] for place, _ in used] for values in rows.values()),
    )
    return connection.total_changes - before
