"""The history of a project: its steps, undo and redo, and its export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from microscope_qc.core.errors import ProjectError
from microscope_qc.project import log
from microscope_qc.project.commands import Ahead
from microscope_qc.project.database import StillReferencedError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.parts import audit
from microscope_qc.project.records import Change, LogEntry
from microscope_qc.project.store import Store


@dataclass(slots=True, eq=False)
class PendingStep:
    """A prepared undo or redo: ``write`` may run in any thread, ``finish`` or ``refuse`` in that of the project.

    Until it is finished the project takes no other command.
    """

    store: Store
    entry: LogEntry
    undo: bool
    deltas: Sequence[Delta] = field(default_factory=list)
    done: LogEntry | None = None
    refused: bool = False
    size: int = 0
    ahead: Ahead | None = None

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"{'Undo' if self.undo else 'Redo'}: {self.entry.title}"

    def write(self) -> None:
        """Write everything in one transaction; when it fails, nothing is written and the project is free again.

        Raises
        ------
        ProjectError
            As in :meth:`History.undo` and :meth:`History.redo`.
        """
        try:
            with self.store.database.begin() as connection:
                deltas = log.deltas_of(connection, self.entry)
                self.deltas = [delta.reversed() for delta in reversed(deltas)] if self.undo else deltas
                for delta in self.deltas:
                    delta.apply(connection)
                done = log.mark(connection, self.entry, undone=self.undo)
                log.note_step(connection, self.entry, undo=self.undo)
            self.done = done
        except StillReferencedError as error:
            self._take_off()
            what = "undone" if self.undo else "redone"
            raise ProjectError(
                f"“{self.entry.title}” cannot be {what}: a detection made since relies on it.",
                hint="Undo again undoes the step before it." if self.undo else "Nothing to redo.",
            ) from error
        finally:
            if self.done is None:
                self.store.free(self)
        self.ahead = self.store.changes_ahead(self.deltas, size=self.size)

    def _take_off(self) -> None:
        """Take what cannot be done off the undo stack."""
        with self.store.database.begin() as connection:
            if self.undo:
                log.keep(connection, self.entry)
            else:
                log.drop_redo(connection)
            self.store.log.load(connection)
        self.refused = True

    def finish(self) -> LogEntry:
        """Update memory to what was written and notify the listeners."""
        assert self.done is not None
        self.store.free(self)
        if not self.store.closed:
            self.store.log.load()
            self.store.follow(self.deltas, self.done, ahead=self.ahead)
        return self.done

    def refuse(self) -> None:
        """Notify the listeners that what could not be done is no longer available."""
        if self.refused:
            self.store.events.history_changed.emit(self.entry)

    def give_up(self) -> None:
        """Free the project again before anything is written."""
        if self.done is None:
            self.store.free(self)


class History:
    """All commands of the user, which can be undone and redone, and the findings of runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, limit: int | None = 200) -> list[LogEntry]:
        """Return the newest log entries, newest first; None is all of them.

        While a command is being written these are those of before it: the database is locked.
        """
        known = self._store.log.listed(limit) if self._store.is_writing else None
        return self._store.log.entries(limit) if known is None else known

    @property
    def can_undo(self) -> bool:
        """Whether there is a command to undo."""
        return self.undo_entry is not None and not self._store.read_only

    @property
    def can_redo(self) -> bool:
        """Whether there is a command to redo."""
        return self.redo_entry is not None and not self._store.read_only

    @property
    def undo_entry(self) -> LogEntry | None:
        """The command that undo would undo."""
        return self._store.log.undo_entry

    @property
    def redo_entry(self) -> LogEntry | None:
        """The command that redo would redo."""
        return self._store.log.redo_entry

    @property
    def undo_title(self) -> str:
        """Title of the command that undo would undo ("" without one)."""
        return self.undo_entry.title if self.undo_entry else ""

    @property
    def redo_title(self) -> str:
        """Title of the command that redo would redo ("" without one)."""
        return self.redo_entry.title if self.redo_entry else ""

    def undo(self) -> LogEntry | None:
        """Undo the last command; return its entry, None when there is none.

        Raises
        ------
        ProjectError
            When findings of a run rely on it (a class or slide made for them). It can then never be undone, and the
            next undo undoes the command before it.
        """
        return _step(self.prepare_step(undo=True))

    def redo(self) -> LogEntry | None:
        """Redo the command that was undone last; return its entry, None when there is none.

        Raises
        ------
        ProjectError
            When findings made since do not allow it; there is then nothing left to redo.
        """
        return _step(self.prepare_step(undo=False))

    def prepare_step(self, *, undo: bool) -> PendingStep | None:
        """Prepare an undo (or a redo) without writing: for so many boxes that writing would block a window."""
        self._store.require_writable()
        entry = self.undo_entry if undo else self.redo_entry
        if entry is None:
            return None
        step = PendingStep(self._store, entry, undo, size=self._store.log.size_of(entry))
        self._store.claim(step)
        return step

    def changes_of(self, entry: LogEntry, *, limit: int | None = None) -> list[Change]:
        """Return what a step of the history changed, row by row, at most ``limit`` rows.

        The findings of a run are counted in its entry, not listed.

        Raises
        ------
        ProjectError
            When the step can no longer be read.
        """
        return list(islice(audit.changes_of(self._store, entry), limit))

    def export(self, path: Path | str) -> int:
        """Write the whole history as a CSV table, oldest step first, one line per changed row; return their number.

        Undoing and redoing have lines of their own. Cells that a spreadsheet would take for formulas are escaped.

        Raises
        ------
        WriteError
            When the file cannot be written.
        """
        return audit.export(self._store, path)


def _step(step: PendingStep | None) -> LogEntry | None:
    if step is None:
        return None
    try:
        step.write()
    except ProjectError:
        step.refuse()
        raise
    return step.finish()
