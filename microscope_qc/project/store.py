"""The store of a project: commits a change, writes it into the log, then updates memory and listeners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select, text

from microscope_qc.core.errors import DisplacedProjectError, InputError, ProjectError, ReadOnlyProjectError
from microscope_qc.project import commands, findings, loading, log, schema
from microscope_qc.project.commands import Ahead, Pending
from microscope_qc.project.database import Database, readable
from microscope_qc.project.deltas import Delta
from microscope_qc.project.events import ProjectEvents
from microscope_qc.project.following import FindingChange
from microscope_qc.project.memory import Memory
from microscope_qc.project.owner import OwnerLock, owned_error, read_owner
from microscope_qc.project.records import LogEntry

logger = logging.getLogger(__name__)

_SIGNAL_OF = {
    "slides": "slides_changed",
    "fields": "slides_changed",
    "classes": "classes_changed",
    "marks": "marks_changed",
    "runs": "runs_changed",
    "run_classes": "runs_changed",
    "areas": "areas_changed",
    "registrations": "registrations_changed",
    "measurements": "measurements_changed",
    "measurement_links": "measurements_changed",
    "spectra": "measurements_changed",
    "model_in_use": "model_in_use_changed",
    "standards": "standards_changed",
}


@dataclass(slots=True, eq=False)
class PendingCommand:
    """A prepared command: ``write`` may run in any thread, ``finish`` in that of the project.

    Until it is finished the project takes no other command.
    """

    store: Store
    title: str
    deltas: Sequence[Delta]
    kind: str
    drops_redo: bool
    slide_id: int | None
    run_id: int | None
    amends: LogEntry | None = None
    build: Callable[[PendingCommand], None] | None = None
    """Finds out the deltas, and with them perhaps title and slide, before they are written."""
    size: int = 0
    entry: LogEntry | None = None
    sets_aside: bool = False
    ahead: Ahead | None = None

    def write(self) -> None:
        """Write everything in one transaction; when it fails, nothing is written and the project is free again."""
        store = self.store
        try:
            if self.build is not None:
                self.build(self)
            self.deltas = [delta for delta in self.deltas if delta]
            if self.deltas:
                with store.database.begin() as connection:
                    for delta in self.deltas:
                        delta.apply(connection)
                    if self.drops_redo and store.log.redo_entry is not None:
                        log.drop_redo(connection)
                    if self.kind == "run":
                        self.sets_aside = log.set_aside(connection, self.deltas)
                    stored = [delta for delta in self.deltas if self.kind == "command" or delta.table != "boxes"]
                    self.entry = store.log.amended(
                        connection, self.amends, stored, title=self.title
                    ) or log.append(
                        connection, title=self.title, kind=self.kind, deltas=stored,
                        slide_id=self.slide_id, run_id=self.run_id,
                    )  # fmt: skip
        except BaseException:
            store.free(self)
            raise
        self.ahead = store.changes_ahead(self.deltas, size=self.size)

    def finish(self) -> LogEntry | None:
        """Update memory to what was written and notify the listeners."""
        store = self.store
        store.free(self)
        if self.entry is None or store.closed:
            return self.entry
        if self.drops_redo:
            store.log.redo_entry = None
        if self.kind == "command":
            store.log.undo_entry = self.entry
        if self.sets_aside:
            with store.database.begin() as connection:
                store.log.load(connection)
        store.follow(self.deltas, self.entry, ahead=self.ahead)
        return self.entry

    def give_up(self) -> None:
        """Free the project again before anything is written."""
        if self.entry is None:
            self.store.free(self)

    def refuse(self) -> None:
        """Nothing follows from that it could not be written."""


class Store:
    """Database, memory and log of one open project, which its parts share."""

    def __init__(self, path: Path, database: Database, lock: OwnerLock | None) -> None:
        self.path = path
        self.name = path.stem
        self.events = ProjectEvents()
        self.database = database
        self.memory = Memory(path)
        self.log = log.CommandLog(database)
        self.closed = False
        self.version = 0
        """Grows with every change of what is in memory."""
        self._lock = lock
        self._pending: Pending | None = None
        self._given_ids: dict[str, int] = {}
        self._load()

    def _load(self) -> None:
        self.version += 1
        with self.database.begin() as connection, readable(self.name):
            self.memory.load(connection)
            self.log.load(connection)
            given = connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all()
            self._given_ids = {name: int(number) for name, number in given}

    @property
    def read_only(self) -> bool:
        """Whether the project was opened for reading."""
        return self._lock is None

    @property
    def owner(self) -> dict[str, Any] | None:
        """Who writes this project: user, host, pid, program, since; None when nobody does."""
        return dict(self._lock.owner) if self._lock is not None else read_owner(self.path)

    @property
    def displaced(self) -> DisplacedProjectError | None:
        """Why nothing may be written to a project that was opened for writing; None where it may."""
        try:
            if self._lock is not None and not self.closed:
                self.database.require_in_place()
        except DisplacedProjectError as error:
            return error
        return None

    @property
    def folder_now(self) -> Path | None:
        """The folder that was opened, also where it was renamed since; None where it cannot be found."""
        if self.displaced is None:
            return self.path
        return self._lock.folder_now if self._lock is not None else None

    def close(self) -> None:
        """Close the database and give up ownership; everything is committed already."""
        if not self.closed:
            self.closed = True
            self.database.close()
            if self._lock is not None:
                self._lock.release()

    def reload(self) -> None:
        """Read everything again (a reader does this to see what the owner has committed since)."""
        if self.read_only and not self.database.is_in_place:  # a backup was restored, or another copy put there
            fresh = Database(self.database.file.parent, read_only=True)
            self.database.close()
            self.database = fresh
        self._load()
        errors = _Errors()
        with self.database.begin() as connection, readable(self.name):
            read = self.memory.read_again(connection)
        self.memory.note_change(self.memory.tables, version=self.version)
        for table, rows in read:
            errors.attempt(table.reset, rows)
        for signal in (*dict.fromkeys(_SIGNAL_OF.values()), "inclusion_changed", "filter_changed"):
            errors.attempt(getattr(self.events, signal).emit)
        errors.attempt(self.events.history_changed.emit, None)
        errors.raise_first()

    # -- committing -------------------------------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """Whether a large command is being written; nothing else can be changed until it is finished."""
        return self._pending is not None

    def require_writable(self) -> None:
        """Refuse while a command is being written, and as :meth:`require_owner` does."""
        if self._pending is not None:
            raise ProjectError(f"“{self._pending.title}” is still being written.", hint="Wait a moment and try again.")
        self.require_owner()

    def require_owner(self) -> None:
        """Refuse to write a project that is closed or belongs to another process.

        Raises
        ------
        ReadOnlyProjectError
            When it is open for reading only; the message names the owner where there is one.
        DisplacedProjectError
            When its files are no longer those that were opened.
        ProjectError
            When it is closed.
        """
        if self.closed:
            raise ProjectError(f"{self.name} is closed.", hint="Open it again.")
        if self._lock is None:
            if read_owner(self.path) is not None:
                raise owned_error(self.path)
            raise ReadOnlyProjectError(f"{self.name} is open for reading only.", hint="Open it for writing.")
        self.database.require_in_place()

    def claim(self, pending: Pending) -> None:
        """Accept no other command until :meth:`free`."""
        self.require_writable()
        self._pending = pending

    def free(self, pending: Pending) -> None:
        """Accept commands again, if this was the one being written."""
        if self._pending is pending:
            self._pending = None

    def commit(
        self,
        title: str,
        deltas: Sequence[Delta],
        *,
        kind: str = "command",
        slide_id: int | None = None,
        run_id: int | None = None,
        amends: LogEntry | None = None,
    ) -> LogEntry | None:
        """Apply, log and commit in one transaction, then update memory and listeners; None where nothing is to do.

        ``amends`` is the previous command that this one continues: both become one entry where that is possible.
        """
        pending = self.prepare(title, deltas, kind=kind, slide_id=slide_id, run_id=run_id, amends=amends)
        pending.write()
        return pending.finish()

    def prepare(
        self,
        title: str,
        deltas: Sequence[Delta] = (),
        *,
        kind: str = "command",
        slide_id: int | None = None,
        run_id: int | None = None,
        amends: LogEntry | None = None,
        build: Callable[[PendingCommand], None] | None = None,
        size: int = 0,
    ) -> PendingCommand:
        """Begin a command and write nothing yet.

        Parameters
        ----------
        build
            Finds out what to write, in the thread that writes; the records in memory do not change before that.
        size
            How many rows the command concerns at most, where that is known before it is built.
        """
        deltas = [delta for delta in deltas if delta]
        # undone commands could not be redone on top of other classes or slides
        drops_redo = kind == "command" or any(delta.table in ("slides", "classes") for delta in deltas)
        pending = PendingCommand(self, title, deltas, kind, drops_redo, slide_id, run_id, amends, build, size)
        self.claim(pending)
        return pending

    def changes_ahead(self, deltas: Sequence[Delta], *, size: int) -> Ahead | None:
        """Work out, in any thread, what a committed command makes of the findings in memory, if it is a large one.

        None leaves it for later. As long as the project takes no other command the findings stay as they are.
        """
        if self.closed or size <= commands.LARGE:
            return None
        try:
            before = hidden = self.memory.inclusion.hidden_runs
            if any(delta.table == "runs" for delta in deltas):
                with self.database.begin() as connection:
                    hidden = loading.hidden_runs(connection)
            slides = frozenset(self.memory.tables)
            changes = self._changes(deltas, before, hidden, slides)
            for _, change in changes:
                change.make()
        except Exception:  # it is written and must not fail now; following it says what is wrong, if it still is
            logger.exception("what a change makes of the findings was not worked out ahead")
            return None
        return Ahead(slides, changes)

    def _changes(
        self, deltas: Sequence[Delta], before: Collection[int], hidden: Collection[int], slides: Collection[int]
    ) -> list[tuple[int, FindingChange]]:
        switched = frozenset(before) ^ frozenset(hidden)
        if not switched and all(delta.table not in ("boxes", "opinions") for delta in deltas):
            return []
        return self.memory.finding_changes(
            deltas, self._stored_boxes, hidden_runs=hidden, switched=switched, slides=slides
        )

    def follow(
        self,
        deltas: Sequence[Delta],
        entry: LogEntry | None,
        *,
        touched: Mapping[str, Collection[int]] | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        """Update memory to what was committed, then notify the listeners; one that fails does not stop the others.

        ``touched`` names rows, by table, that changed without a delta; ``ahead`` comes from :meth:`changes_ahead`.
        """
        self.version += 1
        ids = {table: set(numbers) for table, numbers in (touched or {}).items()}
        for delta in deltas:
            if delta.table in _SIGNAL_OF or delta.table == "inclusion":
                ids.setdefault(delta.table, set()).update(delta.ids.tolist())
            if len(delta.after["id"]):
                newest = int(delta.after["id"].max())
                self._given_ids[delta.table] = max(newest, self._given_ids.get(delta.table, 0))
        counted = self.memory.inclusion
        if ids:
            with self.database.begin() as connection:
                self.memory.renew(connection, ids)
        errors = _Errors()
        beside = [delta for delta in deltas if delta.table in (*schema.DETAILS, "measurement_links")]
        for delta in beside:  # before listeners are notified of the boxes they belong to
            if delta.table in schema.DETAILS:
                self.memory.follow_details(delta)
        ahead = ahead or Ahead()
        read_since = self.memory.tables.keys() - ahead.slides
        changes = self._changes(deltas, counted.hidden_runs, self.memory.inclusion.hidden_runs, read_since)
        changes = [*ahead.changes, *changes]
        self.memory.note_change((slide_id for slide_id, _ in changes), version=self.version)
        if len(changes) > 1:
            errors.attempt(self.events.findings_changing.emit)
        heard = self.memory.take_changes(changes, errors.attempt)
        if len(changes) > 1:
            errors.attempt(self.events.findings_changed.emit)
        if beside:
            self.memory.touch_boxes(beside, heard, errors.attempt)
        for signal in sorted({_SIGNAL_OF[table] for table in ids.keys() & _SIGNAL_OF.keys()}):
            errors.attempt(getattr(self.events, signal).emit)
        if self.memory.inclusion != counted:
            errors.attempt(self.events.inclusion_changed.emit)
        errors.attempt(self.events.history_changed.emit, entry)
        self.version += 1  # what listeners kept meanwhile may be of before
        errors.raise_first()

    def _stored_boxes(self, ids: np.ndarray) -> np.ndarray:
        with self.database.begin() as connection:
            return findings.boxes_by_id(connection, ids)

    # -- rows -------------------------------------------------------------------------------------------------------

    def next_id(self, table: str) -> int:
        """Return the id of the next row; it is used up once such a row is committed."""
        return self._given_ids.get(table, 0) + 1

    def rows(self, table: str, **where: object) -> list[dict[str, Any]]:
        """Return the rows of a table whose columns have the values ``where``, sorted by id."""
        columns = schema.metadata.tables[table]
        statement = select(columns).filter_by(**where).order_by(columns.c.id)
        with self.database.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(statement)]

    def row(self, table: str, row_id: int, *, what: str) -> dict[str, Any]:
        """Return one row of a table.

        Raises
        ------
        InputError
            When there is none; the message calls it ``what``.
        """
        rows = self.rows(table, id=int(row_id))
        if not rows:
            raise InputError(f"There is no {what} {row_id} in {self.name}.")
        return rows[0]


class _Errors:
    """Errors of listeners: all listeners are called, then the first error is raised."""

    def __init__(self) -> None:
        self._raised: list[Exception] = []

    def attempt(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:  # a listener may raise anything; the others must still be called
            self._raised.append(error)

    def raise_first(self) -> None:
        if self._raised:
            first, *others = self._raised
            for other in others:
                first.add_note(f"also: {other}")
            raise first
