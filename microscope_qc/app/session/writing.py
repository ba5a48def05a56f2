"""Carrying out commands: small ones at once, large ones by a worker, which the window does not wait for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import commands

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project import Project
    from microscope_qc.project.commands import Ahead, Pending
    from microscope_qc.project.records import LogEntry

log = logging.getLogger(__name__)

Done = Callable[["LogEntry | None"], object]


class Writing:
    """Carries out prepared commands, undos and redos.

    Until a large one is done the project takes no other, and says so; what is on screen stays as it was.
    """

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self._large: _Large | None = None

    def carry_out(self, command: Pending, done: Done = lambda _: None) -> None:
        """Write a command and follow it; ``done`` is called after that with its entry in the history.

        Raises
        ------
        MicroscopeQCError
            If a command that is written at once cannot be: nothing is changed. That of a worker is shown to the user.
        """
        session, project = self._session, self._session.project
        if session.jobs is None or session.jobs.closed or project is None or command.size <= commands.LARGE:
            try:
                command.write()
            except Exception:
                command.refuse()
                raise
            done(command.finish())
            return
        large = self._large = _Large(command, session.scoped.make_ahead)
        session.jobs.run(
            large.job(),
            command.title,
            on_done=lambda _: self._finish(project, large, done),
            on_failed=lambda error: self._failed(project, large, error),
            on_cancelled=lambda: self._given_up(project, large),
            urgent=True,
        )
        session.history_changed.emit()  # nothing can be undone until it is done

    def before_closing(self) -> None:
        """Wait until what a user did is written: the project is about to be closed."""
        large, self._large = self._large, None
        if large is not None:
            try:
                large.write()
            except MicroscopeQCError as error:
                log.error("%s was not done: %s", large.command.title, error)

    def _finish(self, project: Project, large: _Large, done: Done) -> None:
        self._forget(large)
        if self._session.project is project:
            done(large.command.finish())

    def _failed(self, project: Project, large: _Large, error: BaseException) -> None:
        self._forget(large)
        if self._session.project is not project:
            log.warning("%s was not done before the project was closed: %s", large.command.title, error)
            return
        large.command.refuse()
        self._session.history_changed.emit()
        raise error

    def _given_up(self, project: Project, large: _Large) -> None:
        self._forget(large)
        large.command.give_up()
        if self._session.project is project:
            self._session.history_changed.emit()

    def _forget(self, large: _Large) -> None:
        if self._large is large:
            self._large = None


class _Large:
    """A command that a worker writes; the first thread that asks writes it, once, and the others wait for it."""

    def __init__(self, command: Pending, make_ahead: Callable[[Ahead], object]) -> None:
        self.command = command
        self._make_ahead = make_ahead
        self._lock = threading.Lock()
        self._tried = False

    def job(self) -> Job[None]:
        """Write it as a job."""
        yield Progress(0, 0, "", "writing")
        self.write()
        if self.command.ahead is not None:
            self._make_ahead(self.command.ahead)

    def write(self) -> None:
        """Write it, if nobody has."""
        with self._lock:
            if not self._tried:
                self._tried = True
                self.command.write()
