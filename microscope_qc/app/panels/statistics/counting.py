"""Counts the slides of the scope in a thread, from what is committed, and again when something has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.core.errors import Cancelled, MicroscopeQCError
from microscope_qc.core.jobs import CancelToken, run_job
from microscope_qc.workflows.results.counted_findings import CountedFindings, counted_projects

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

T = TypeVar("T")

AGAIN_MS = 400
"""Changes that follow each other as fast as a user judges are counted together."""


class Counting(QObject):
    """What the page shows is made in one thread of its own, which also owns what was counted.

    Attributes
    ----------
    found
        What was counted last, None before the first time. Only work for :meth:`make` may look at it.
    problem
        Why it could not be counted, "" otherwise.
    """

    changed = Signal()  # counted again, or out of date, or not to be counted

    def __init__(self, session: Session, widget: QWidget) -> None:
        super().__init__(widget)
        self._session = session
        self._work = NewestWork("statistics", self)
        self._token = CancelToken()
        self.found: CountedFindings | None = None
        self.problem = ""
        self._fresh = False
        self._due = Refresh(widget, self._count, after_ms=AGAIN_MS)
        for signal in (
            session.boxes_changed, session.history_changed, session.inclusion_changed, session.slides_changed,
            session.classes_changed, session.runs_changed, session.areas_changed, session.scope.changed,
        ):  # fmt: skip
            link(self, signal, self._on_changed)
        link(self, session.project_changed, self._on_project_changed)
        self._due.soon()

    @property
    def fresh(self) -> bool:
        """Whether what was counted holds now."""
        return self._fresh

    @property
    def busy(self) -> bool:
        """Whether it is being counted."""
        return self._work.busy("count")

    def make(self, name: str, work: Callable[[CountedFindings], T], take: Callable[[T], None]) -> None:
        """Make something of what was counted, in the thread; the newest work of a name counts."""
        found = self.found
        if found is not None:
            self._work.ask(name, lambda: work(found), take)

    def close(self) -> None:
        """Stop the thread."""
        self._token.cancel()
        self._work.close()

    def _on_project_changed(self) -> None:
        self._token.cancel()
        self._work.forget_all()
        self.found = None
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        told = self._fresh
        self._fresh = False
        if told or self.found is None:
            self.changed.emit()
        self._due.soon()

    def _count(self) -> None:
        project = self._session.project
        self._token.cancel()
        if project is None:
            return
        self._fresh = True  # unless something changes meanwhile
        path, slide_ids, token = project.path, self._session.scope.slide_ids, CancelToken()
        self._token = token

        def count() -> CountedFindings | MicroscopeQCError | None:
            try:
                return run_job(counted_projects([path], slide_ids), None, token)
            except Cancelled:
                return None
            except MicroscopeQCError as error:
                return error

        self._work.ask("count", count, self._take)
        self.changed.emit()

    def _take(self, counted: CountedFindings | MicroscopeQCError | None) -> None:
        if isinstance(counted, CountedFindings):
            self.found, self.problem = counted, ""
        elif counted is not None:
            self.found, self.problem = None, str(counted)
        self.changed.emit()
