"""Work of the window that can wait a moment: one piece at a time, with the event loop free in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

BETWEEN_MS = 4
"""The window answers for this long between two pieces of work."""
LATE_MS = 2.0
"""A timer that comes later than this was held up: the window has been busy and not answered yet."""
MOST_LATE = 3
"""So often in a row the work steps back for a busy window; then it is done all the same."""


class Turns(QObject):
    """Takes work in the order in which it comes, and does one piece after each moment in which the window was free.

    Work is a function that returns whether there was something to do.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[object, Callable[[], bool]] = {}
        self._began = 0.0
        self._late = 0
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.setInterval(BETWEEN_MS)
        self._next.timeout.connect(self._on_next)

    def wait(self, key: object, work: Callable[[], bool]) -> None:
        """Do ``work`` when its turn comes; work with the same key that still waits is replaced."""
        self._waiting[key] = work
        if not self._next.isActive():
            self._start()

    def forget(self, key: object) -> None:
        """Drop work that waits."""
        self._waiting.pop(key, None)

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._next.start()

    def _on_next(self) -> None:
        late_ms = (time.perf_counter() - self._began) * 1e3 - BETWEEN_MS
        if late_ms > LATE_MS and self._late < MOST_LATE:
            self._late += 1
            self._start()
            return
        self._late = 0
        try:
            while self._waiting:
                if self._waiting.pop(next(iter(self._waiting)))():
                    break
        finally:
            if self._waiting:
                self._start()


class Later(QObject):
    """Does ``work`` once after any number of calls of :meth:`soon`, when its turn comes; dropped with its owner.

    Further calls do not restart the delay, so that the work is never put off for ever.
    """

    def __init__(self, owner: QObject, work: Callable[[], object], *, after_ms: int = 0) -> None:
        super().__init__(owner)
        self._work = work
        self._due = False
        self._turns = found = turns()
        self._key = key = object()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(after_ms)
        self._timer.timeout.connect(self._on_timeout)
        self.destroyed.connect(lambda: found.forget(key))

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        return self._due

    def soon(self, *_: object) -> None:
        """Do the work after its delay, because something changed."""
        self._due = True
        if self._wanted() and not self._timer.isActive():
            self._timer.start()

    def now(self) -> None:
        """Do the work at once."""
        self.stop()
        self._work()

    def catch_up(self) -> None:
        """Do the work at once if there is something to do."""
        if self._due:
            self.now()

    def stop(self) -> None:
        """Do nothing until the next call of :meth:`soon`."""
        self._timer.stop()
        self._turns.forget(self._key)
        self._due = False

    def _wanted(self) -> bool:
        """Whether the work makes sense now; else it stays due."""
        return True

    def _on_timeout(self) -> None:
        self._turns.wait(self._key, self._take_turn)

    def _take_turn(self) -> bool:
        wanted = self._due and self._wanted()
        if wanted:
            self.now()
        return wanted


class PartByPart(QObject):
    """Makes something large one part after the other, each when its turn comes; ``made`` is sent after the last.

    Parameters
    ----------
    owner
        What is made: the rest is dropped with it.
    parts
        Makes one part at each step.
    """

    made = Signal()

    def __init__(self, owner: QObject, parts: Iterator[None]) -> None:
        super().__init__(owner)
        self._parts = parts
        self._next = Later(self, self._on_next)
        self._next.soon()

    def finish(self) -> None:
        """Make the rest at once."""
        while self._next.due:
            self._next.now()

    def _on_next(self) -> None:
        try:
            next(self._parts)
        except StopIteration:
            self.made.emit()
        else:
            self._next.soon()


def turns() -> Turns:
    """The turns of this program."""
    app = QCoreApplication.instance()
    found = app.findChild(Turns) if app is not None else None
    return found if isinstance(found, Turns) else Turns(app)
