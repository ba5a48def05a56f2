"""Undo and redo: steps through the command log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from microscope_qc.core.errors import ProjectError
from microscope_qc.project import history
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.database import StillReferencedError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.records import LogEntry


@dataclass(slots=True, eq=False)
class PendingStep:
    """An undo or redo: ``write`` may run in any thread, ``finish`` or ``refuse`` run in that of the project.

    Until then the project takes no other command.
    """

    project: Stepping
    entry: LogEntry
    undo: bool
    deltas: Sequence[Delta] = field(default_factory=list)
    done: LogEntry | None = None
    refused: bool = False

    @property
    def title(self) -> str:
        """What is being done, for a person."""
        return f"{'Undo' if self.undo else 'Do again'}: {self.entry.title}"

    def write(self) -> None:
        """Write everything in one transaction; when it fails, nothing was written and the project is free again.

        Raises
        ------
        ProjectError
            As :meth:`Stepping.undo` and :meth:`Stepping.redo` say.
        """
        self.project._write_step(self)

    def finish(self) -> LogEntry:
        """Bring memory up to what was written and tell the listeners."""
        return self.project._finish_step(self)

    def refuse(self) -> None:
        """Tell the listeners that what could not be done is no longer on offer."""
        if self.refused:
            self.project.events.history_changed.emit(self.entry)

    def give_up(self) -> None:
        """Set the project free again before anything was written."""
        if self.project._pending is self and self.done is None:
            self.project._pending = None


class Stepping(ProjectBase):
    """The commands of a person, taken back and done again."""

    def undo(self) -> LogEntry | None:
        """Take the last command back; return its entry, None when there is none.

        Raises
        ------
        ProjectError
            When finds of a run rely on it (a class or slide made for them). It then stays for good, and the next undo
            takes back the command before it.
        """
        return _step(self.prepare_step(undo=True))

    def redo(self) -> LogEntry | None:
        """Do again what was undone last; return its entry, None when there is none.

        Raises
        ------
        ProjectError
            When finds that came since do not allow it; then nothing is left to redo.
        """
        return _step(self.prepare_step(undo=False))

    def prepare_step(self, *, undo: bool) -> PendingStep | None:
        """Begin an undo (or a redo) and write nothing yet: for so many boxes that a window would stand still."""
        self._require_writable()
        entry = self._undo_entry if undo else self._redo_entry
        if entry is None:
            return None
        step = PendingStep(self, entry, undo)
        self._pending = step
        return step

    def _write_step(self, step: PendingStep) -> None:
        try:
            with self._database.begin() as connection:
                deltas = history.deltas_of(connection, step.entry)
                step.deltas = [delta.reversed() for delta in reversed(deltas)] if step.undo else deltas
                for delta in step.deltas:
                    delta.apply(connection)
                done = history.mark(connection, step.entry, undone=step.undo)
                history.note_step(connection, step.entry, undo=step.undo)
            step.done = done
        except StillReferencedError as error:
            self._take_off(step)
            what = "undone" if step.undo else "done again"
            raise ProjectError(
                f"“{step.entry.title}” cannot be {what}: a detection made since relies on it.",
                hint="Undo again takes back the step before it." if step.undo else "There is nothing left to do again.",
            ) from error
        finally:
            if step.done is None:
                self._pending = None

    def _take_off(self, step: PendingStep) -> None:
        """Offer what cannot be done no more."""
        with self._database.begin() as connection:
            if step.undo:
                history.mark(connection, step.entry, kind="kept")
            else:
                history.drop_redo(connection)
            self._undo_entry, self._redo_entry = history.next_undo(connection), history.next_redo(connection)
        step.refused = True

    def _finish_step(self, step: PendingStep) -> LogEntry:
        assert step.done is not None
        self._pending = None
        if not self._closed:
            with self._database.begin() as connection:
                self._undo_entry, self._redo_entry = history.next_undo(connection), history.next_redo(connection)
            self._follow(step.deltas, step.done)
        return step.done


def _step(step: PendingStep | None) -> LogEntry | None:
    if step is None:
        return None
    try:
        step.write()
    except ProjectError:
        step.refuse()
        raise
    return step.finish()
