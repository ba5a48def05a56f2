"""The window's child process for models: kept between jobs, so that the next one begins at once."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from microscope_qc.workflows.child import Child

ANSWER_S = 1.0
"""A child that has not stopped by then is ended: its runs can be continued at any time."""
ROOM_BYTES = 3 << 30
"""Free memory without which no child is started before it is needed."""


HOLD_OFF_S = 0.8
"""So long what can wait does so after the user has moved the slide."""
WISH_S = 2.0
"""So long a job that asked for the child and did not get it counts as waiting; it asks more often than that."""


class Children(Protocol):
    """Where a job takes its child from."""

    @property
    def waits_for(self) -> str:
        """What has the child, for the user: "the training to pause"."""

    def take(self) -> Child | None:
        """A child that runs; it is the caller's until it is put back. None while another job has it: ask again."""

    def put_back(self, child: Child) -> None:
        """Have it stop what it does, and wait until it has."""


class KeptChild:
    """One child for all jobs of a window; they take it by turns. All methods may be called in any thread.

    Detections come first: a training takes the child with :meth:`take_unless_wanted`, and puts it back when it is
    :attr:`wanted`.

    Attributes
    ----------
    keep
        Whether it waits for the next job; otherwise it ends with each.
    """

    def __init__(self) -> None:
        self.keep = True
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._lent = self._closed = self._yielding = False
        self._wish = self._told_at = -WISH_S

    @property
    def free(self) -> bool:
        """Whether no job has it."""
        return not self._lent

    @property
    def running(self) -> bool:
        """Whether there is a child."""
        child = self._child
        return child is not None and child.running

    def get_ready(self, model: str = "") -> None:
        """Start a child before it is needed, if there is none, and let it load the program and a model.

        Parameters
        ----------
        model
            Name of a bundled model, or a model's folder; "" is any bundled one.
        """
        with self._lock:
            if self.keep and not (self._lent or self._closed or self.running) and _there_is_room():
                self._child = Child()
                self._child.get_ready(model)

    @property
    def wanted(self) -> bool:
        """Whether a detection waits for it."""
        return time.monotonic() - self._wish < WISH_S

    @property
    def waits_for(self) -> str:
        """See :class:`Children`."""
        return "the training to pause" if self._yielding else "the previous detection to end"

    def take(self) -> Child | None:
        """The child, started if need be; None while another job has it, which is told that it is wanted."""
        with self._lock:
            if self._lent:
                self._wish = time.monotonic()
                return None
            self._wish = -WISH_S
            return self._lend()

    def take_unless_wanted(self) -> Child | None:
        """The child for a job that lets others go first; None while another has it or waits for it."""
        with self._lock:
            if self._lent or self.wanted:
                return None
            self._yielding = True
            return self._lend()

    def _lend(self) -> Child:
        self._lent = True
        if self._child is None or not self.running:
            self._child = Child()
        return self._child

    def put_back(self, child: Child, *, patience_s: float | None = None) -> None:
        """Have it stop what it does; if it does not do so soon, another one is made ready in its place."""
        child.give_up()
        end = time.monotonic() + (ANSWER_S if patience_s is None else patience_s)
        while child.running and child.busy and (left := end - time.monotonic()) > 0:
            child.wait_for_news(left)
        lost = not child.running or child.busy or child.worn
        if lost:
            child.kill()
        with self._lock:
            self._lent = self._yielding = False
            if lost:
                self._child = None
                self.get_ready()
            elif not self.keep:
                self.rest()

    def hold_off(self) -> None:
        """The user moves the slide: what can wait, which is computing features, does so. To be called again and again.

        It does not wait for anything.
        """
        child, now = self._child, time.monotonic()
        if child is not None and self._yielding and now - self._told_at > HOLD_OFF_S / 2:
            self._told_at = now
            child.hold_off(HOLD_OFF_S)

    def rest(self) -> None:
        """End the child unless a job has it; the next job starts another one."""
        with self._lock:
            if self._lent or self._child is None:
                return
            child, self._child = self._child, None
            child.dismiss()
            threading.Thread(target=_see_it_end, args=(child,), name="detection-end").start()

    def close(self) -> None:
        """End the child, also in the middle of a job: the window is closed. Does not wait for it."""
        with self._lock:
            self._closed, self._lent = True, False
            self.rest()


def _see_it_end(child: Child) -> None:
    child.wait(2 * ANSWER_S)
    child.kill()


def _there_is_room() -> bool:
    import psutil

    return bool(psutil.virtual_memory().available >= ROOM_BYTES)
