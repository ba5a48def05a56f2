"""The heart of a project: commit a change, write it into the log, then let memory and listeners follow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sqlalchemy import Connection, select, text

from microscope_qc.core.box_filter import NO_FACTS
from microscope_qc.core.boxes import BOX_DTYPE, BoxFilter, BoxTable
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError, ProjectError, ReadOnlyProjectError
from microscope_qc.project import history, loading, schema
from microscope_qc.project.database import Database
from microscope_qc.project.deltas import Delta, joined
from microscope_qc.project.events import ProjectEvents
from microscope_qc.project.owner import OwnerLock, owned_error, read_owner
from microscope_qc.project.records import LogEntry, Mark, RegistrationRecord, RunRecord, SlideRecord

_SIGNAL_OF = {
    "slides": "slides_changed",
    "classes": "classes_changed",
    "marks": "marks_changed",
    "runs": "runs_changed",
    "registrations": "registrations_changed",
}


class _Pending(Protocol):
    """Whatever is being written."""

    @property
    def title(self) -> str:
        """What it is, for a person."""


@dataclass(slots=True, eq=False)
class PendingCommand:
    """A command that is worked out: ``write`` may run in any thread, ``finish`` runs in that of the project.

    Until then the project takes no other command.
    """

    project: ProjectBase
    title: str
    deltas: Sequence[Delta]
    kind: str
    drops_redo: bool
    slide_id: int | None
    run_id: int | None
    amends: LogEntry | None = None
    entry: LogEntry | None = None

    def write(self) -> None:
        """Write everything in one transaction; when it fails, nothing was written and the project is free again."""
        self.project._write(self)

    def finish(self) -> LogEntry | None:
        """Bring memory up to what was written and tell the listeners."""
        return self.project._finish(self)

    def give_up(self) -> None:
        """Set the project free again before anything was written."""
        if self.project._pending is self and self.entry is None:
            self.project._pending = None


class ProjectBase:
    """Database, memory and log of one open project; the commands stand in the mixins beside."""

    def __init__(self, path: Path, database: Database, lock: OwnerLock | None) -> None:
        self.path = path
        self.name = path.stem
        self.events = ProjectEvents()
        self._database = database
        self._lock = lock
        self._closed = False
        self._pending: _Pending | None = None
        self._tables: dict[int, BoxTable] = {}
        self._details: dict[str, dict[int, dict[int, str]]] = {"attributes": {}, "outlines": {}}
        self._attribute_texts: dict[int, dict[int, str]] = {}
        self._known_entries: dict[int, LogEntry] = {}
        self._listed: tuple[int | None, int, list[LogEntry]] | None = None
        self._filter = BoxFilter()
        self._load()

    def _load(self) -> None:
        with self._database.begin() as connection:
            self._slides: list[SlideRecord] = loading.slides(connection, self.path)
            self._classes: list[DefectClass] = loading.classes(connection)
            self._marks: list[Mark] = loading.marks(connection)
            self._runs: list[RunRecord] = loading.runs(connection, self.path)
            self._registrations: list[RegistrationRecord] = loading.registrations(connection)
            self._settings: dict[str, Any] = loading.settings(connection)
            given = connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all()
            self._given_ids: dict[str, int] = {name: int(number) for name, number in given}
            self._undo_entry = history.next_undo(connection)
            self._redo_entry = history.next_redo(connection)
        self._filter = loading.filter_from_json(self._settings.get("filter"))

    @property
    def read_only(self) -> bool:
        """Whether the project was opened for reading."""
        return self._lock is None

    @property
    def owner(self) -> dict[str, Any] | None:
        """Who writes this project: user, host, pid, program, since; None when nobody does."""
        return dict(self._lock.owner) if self._lock is not None else read_owner(self.path)

    def close(self) -> None:
        """Close the database and let go of the project; everything was committed before."""
        if not self._closed:
            self._closed = True
            self._database.close()
            if self._lock is not None:
                self._lock.release()

    def reload(self) -> None:
        """Read everything again (a reader does this to see what the owner committed since)."""
        self._load()
        for known in (*self._details.values(), self._attribute_texts):
            known.clear()
        errors: list[Exception] = []
        for slide_id, table in self._tables.items():
            with self._database.begin() as connection:
                rows = loading.boxes(connection, slide_id)
            _attempt(errors, table.reset, rows)
        for signal in (*_SIGNAL_OF.values(), "filter_changed"):
            _attempt(errors, getattr(self.events, signal).emit)
        _attempt(errors, self.events.history_changed.emit, None)
        _raise_first(errors)

    # -- committing -------------------------------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """Whether a large command is just being written; nothing else can be changed until it is finished."""
        return self._pending is not None

    def _require_writable(self) -> None:
        if self._pending is not None:
            raise ProjectError(f"“{self._pending.title}” is just being written.", hint="Wait a moment and try again.")
        self._require_owner()

    def _require_owner(self) -> None:
        if self._closed:
            raise ProjectError(f"{self.name} is closed.", hint="Open it again.")
        if self._lock is None:
            if read_owner(self.path) is not None:
                raise owned_error(self.path)
            raise ReadOnlyProjectError(f"{self.name} is open for reading only.", hint="Open it for writing.")

    def _commit(
        self,
        title: str,
        deltas: Sequence[Delta],
        *,
        kind: str = "command",
        slide_id: int | None = None,
        run_id: int | None = None,
        amends: LogEntry | None = None,
    ) -> LogEntry | None:
        """Apply, log and commit in one transaction; memory and listeners follow. Nothing to do gives None.

        ``amends`` is the command before that this one goes on with: both are one entry where that is possible.
        """
        pending = self._prepare(title, deltas, kind=kind, slide_id=slide_id, run_id=run_id)
        pending.amends = amends
        pending.write()
        return pending.finish()

    def _prepare(
        self,
        title: str,
        deltas: Sequence[Delta],
        *,
        kind: str = "command",
        slide_id: int | None = None,
        run_id: int | None = None,
    ) -> PendingCommand:
        self._require_writable()
        deltas = [delta for delta in deltas if delta]
        # what was undone could not be redone on top of other classes or slides
        drops_redo = kind == "command" or any(delta.table in ("slides", "classes") for delta in deltas)
        pending = PendingCommand(self, title, deltas, kind, drops_redo, slide_id, run_id)
        self._pending = pending
        return pending

    def _write(self, pending: PendingCommand) -> None:
        deltas = pending.deltas
        try:
            if deltas:
                with self._database.begin() as connection:
                    for delta in deltas:
                        delta.apply(connection)
                    if pending.drops_redo and self._redo_entry is not None:
                        history.drop_redo(connection)
                    stored = [delta for delta in deltas if pending.kind == "command" or delta.table != "boxes"]
                    pending.entry = self._amended(connection, pending.amends, stored) or history.append(
                        connection, title=pending.title, kind=pending.kind, deltas=stored,
                        slide_id=pending.slide_id, run_id=pending.run_id,
                    )  # fmt: skip
        except BaseException:
            self._pending = None
            raise

    def _amended(self, connection: Connection, entry: LogEntry | None, deltas: Sequence[Delta]) -> LogEntry | None:
        """Take a further change of the same rows into the newest entry; None where it is another one."""
        newest = self._undo_entry
        if entry is None or newest is None or newest.id != entry.id or self._redo_entry is not None:
            return None
        both = joined(history.deltas_of(connection, entry), deltas)
        return None if both is None else history.amend(connection, entry, both)

    def _finish(self, pending: PendingCommand) -> LogEntry | None:
        self._pending = None
        if pending.entry is None or self._closed:
            return pending.entry
        if pending.drops_redo:
            self._redo_entry = None
        if pending.kind == "command":
            self._undo_entry = pending.entry
        self._follow(pending.deltas, pending.entry)
        return pending.entry

    def _next_id(self, table: str) -> int:
        """Return the id the next row gets; it counts as given once such a row was committed."""
        return self._given_ids.get(table, 0) + 1

    def _follow(self, deltas: Sequence[Delta], entry: LogEntry | None) -> None:
        """Bring memory up to what was committed, then tell the listeners; a listener's fault stops no other one."""
        touched = {delta.table for delta in deltas}
        hidden = self.filter.hidden_runs
        for delta in deltas:
            if len(delta.after["id"]):
                newest = int(delta.after["id"].max())
                self._given_ids[delta.table] = max(newest, self._given_ids.get(delta.table, 0))
        readers: dict[str, Callable[[Any], Any]] = {
            "slides": lambda connection: loading.slides(connection, self.path),
            "classes": loading.classes,
            "marks": loading.marks,
            "runs": lambda connection: loading.runs(connection, self.path),
            "registrations": loading.registrations,
        }
        for table in touched & readers.keys():
            with self._database.begin() as connection:
                setattr(self, f"_{table}", readers[table](connection))
        errors: list[Exception] = []
        beside = [delta for delta in deltas if delta.table in self._details]
        for delta in beside:  # before listeners hear of the boxes they belong to
            self._follow_details(delta)
        told = [delta for delta in deltas if delta.table == "boxes"]
        for delta in told:
            self._follow_boxes(delta, errors)
        if beside:
            heard = np.concatenate([np.zeros(0, np.int64), *(delta.ids for delta in told)])
            changed = np.unique(np.concatenate([delta.ids for delta in beside]))
            for boxes in self._tables.values():
                _attempt(errors, boxes.touch, changed[boxes.has(changed) & ~np.isin(changed, heard)])
        for table in sorted(touched & _SIGNAL_OF.keys()):
            _attempt(errors, getattr(self.events, _SIGNAL_OF[table]).emit)
        if self.filter.hidden_runs != hidden:
            _attempt(errors, self.events.filter_changed.emit)
        _attempt(errors, self.events.history_changed.emit, entry)
        _raise_first(errors)

    def _follow_boxes(self, delta: Delta, errors: list[Exception]) -> None:
        gone, come, change = delta.split()
        slide_of_gone = delta.before["slide_id"][~np.isin(delta.before["id"], delta.after["id"])] if len(gone) else gone
        for slide_id, table in self._tables.items():
            if len(gone) and (mine := slide_of_gone == slide_id).any():
                _attempt(errors, table.remove, gone[mine])
            if len(come["id"]) and (mine := come["slide_id"] == slide_id).any():
                _attempt(errors, table.add, _box_rows(come, mine))
            if len(change["id"]) and (mine := change["slide_id"] == slide_id).any():
                rows = table.get(change["id"][mine])
                for name, column in change.items():
                    if name not in ("id", "slide_id"):
                        rows[name] = column[mine]
                _attempt(errors, table.put, rows)

    def _follow_details(self, delta: Delta) -> None:
        for side in (delta.before, delta.after):
            for slide_id in np.unique(side.get("slide_id", np.zeros(0, np.int32))).tolist():
                known = self._details[delta.table].get(slide_id)
                if delta.table == "attributes":
                    self._attribute_texts.pop(slide_id, None)
                if known is None:
                    continue
                mine = side["slide_id"] == slide_id
                for number, text_of in zip(side["id"][mine].tolist(), side["data"][mine], strict=True):
                    if side is delta.before:
                        known.pop(number, None)
                    else:
                        known[number] = text_of

    # -- history ----------------------------------------------------------------------------------------------------

    @property
    def can_undo(self) -> bool:
        """Whether there is a command to take back."""
        return self._undo_entry is not None and not self.read_only

    @property
    def can_redo(self) -> bool:
        """Whether there is a command to do again."""
        return self._redo_entry is not None and not self.read_only

    @property
    def undo_entry(self) -> LogEntry | None:
        """The command that undo would take back."""
        return self._undo_entry

    @property
    def redo_entry(self) -> LogEntry | None:
        """The command that redo would do again."""
        return self._redo_entry

    @property
    def undo_title(self) -> str:
        """What undo would take back ("" for nothing)."""
        return self._undo_entry.title if self._undo_entry else ""

    @property
    def redo_title(self) -> str:
        """What redo would do again ("" for nothing)."""
        return self._redo_entry.title if self._redo_entry else ""

    def history(self, limit: int = 200) -> list[LogEntry]:
        """Return the newest log entries, newest first."""
        changes, listed = self._database.changes, self._listed
        if changes is None or listed is None or listed[0] != changes or listed[1] < limit:
            wanted = limit if listed is None else max(limit, listed[1])  # several views ask for more or less of them
            with self._database.begin() as connection:
                listed = (changes, wanted, history.lines(connection, wanted, self._known_entries))
            self._listed = listed
        return listed[2][:limit]

    # -- settings ---------------------------------------------------------------------------------------------------

    def setting(self, key: str, default: Any = None) -> Any:
        """Return a value stored with the project (not part of undo)."""
        return self._settings.get(key, default)

    def set_setting(self, key: str, value: Any) -> None:
        """Store a JSON value with the project.

        Raises
        ------
        InputError
            When the value is none that JSON knows.
        """
        self._require_owner()
        try:
            stored = json.dumps(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"The setting {key} cannot be stored ({error}).") from error
        with self._database.begin() as connection:
            connection.execute(schema.settings.delete().where(schema.settings.c.key == key))
            connection.execute(schema.settings.insert().values(key=key, value=stored))
        self._settings[key] = json.loads(stored)

    @property
    def filter(self) -> BoxFilter:
        """Which boxes are shown; ``hidden_runs`` are the runs that are switched off (see ``show_run``)."""
        return replace(self._filter, hidden_runs=frozenset(run.id for run in self._runs if not run.shown))

    def set_filter(self, new: BoxFilter) -> None:
        """Change what is shown; kept with the project, in memory only when it is open for reading.

        ``hidden_runs`` is not taken over: detections are switched with ``show_run``.
        """
        if not self.read_only:
            self.set_setting("filter", loading.filter_to_json(new))
        self._filter = replace(new, facts=NO_FACTS)  # they belong to one slide
        self.events.filter_changed.emit()

    # -- small helpers for the mixins -------------------------------------------------------------------------------

    def _rows(self, table: str, **where: Any) -> list[dict[str, Any]]:
        columns = schema.metadata.tables[table]
        statement = select(columns).filter_by(**where).order_by(columns.c.id)
        with self._database.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(statement)]

    def _row(self, table: str, row_id: int, *, what: str) -> dict[str, Any]:
        rows = self._rows(table, id=int(row_id))
        if not rows:
            raise InputError(f"There is no {what} {row_id} in {self.name}.")
        return rows[0]


def _box_rows(columns: Mapping[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
    rows = np.zeros(int(mask.sum()), BOX_DTYPE)
    for name in BOX_DTYPE.names or ():
        rows[name] = columns[name][mask]
    return rows


def _attempt(errors: list[Exception], call: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(*arguments)
    except Exception as error:  # a listener may raise anything; the others must still hear of it
        errors.append(error)


def _raise_first(errors: list[Exception]) -> None:
    if errors:
        with contextlib.suppress(AttributeError):
            for other in errors[1:]:
                errors[0].add_note(f"also: {other}")
        raise errors[0]
