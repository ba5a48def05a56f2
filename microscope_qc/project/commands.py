"""Commands that are prepared first, then written, in any thread, then followed by memory and listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from microscope_qc.project import log
from microscope_qc.project.deltas import Delta
from microscope_qc.project.following import FindingChange
from microscope_qc.project.records import LogEntry

if TYPE_CHECKING:
    from microscope_qc.project.store import Store

LARGE = 5_000
"""A window lets a worker write commands that concern more rows."""


class Pending(Protocol):
    """A command, undo or redo that is being written."""

    @property
    def title(self) -> str:
        """Its name in messages."""

    @property
    def size(self) -> int:
        """How many rows it concerns, at most."""

    def write(self) -> None:
        """Write it, in any thread."""

    def finish(self) -> LogEntry | None:
        """Update memory to what was written and notify the listeners."""

    def give_up(self) -> None:
        """Free the project again before anything is written."""

    def refuse(self) -> None:
        """Notify the listeners of what follows from that it could not be written."""


CarryOut = Callable[["Pending"], object]
"""Writes and finishes a prepared command, now or later."""


def at_once(command: Pending) -> None:
    """Carry out a command now."""
    command.write()
    command.finish()


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a command makes of the findings of ``slides``, worked out before the window's thread follows it."""

    slides: frozenset[int] = frozenset()
    changes: Sequence[tuple[int, FindingChange]] = ()


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
    _ahead: Ahead | None = None

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
        self._ahead = store.changes_ahead(self.deltas, size=self.size)

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
        store.follow(self.deltas, self.entry, ahead=self._ahead)
        return self.entry

    def give_up(self) -> None:
        """Free the project again before anything is written."""
        if self.entry is None:
            self.store.free(self)

    def refuse(self) -> None:
        """Nothing follows from that it could not be written."""
