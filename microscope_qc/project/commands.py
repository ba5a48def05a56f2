"""What all commands have in common: prepared first, then written, in any thread, then followed by the listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from microscope_qc.project.following import FindingChange
from microscope_qc.project.records import LogEntry

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

    @property
    def ahead(self) -> Ahead | None:
        """What it makes of the findings, where that was worked out when it was written."""

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
