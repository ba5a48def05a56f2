"""Findings and coverage of all slides, counted in the background; those of a few that changed at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.app.base.turns import Later
from microscope_qc.project.counting import StateCounts, count_rows, count_states
from microscope_qc.workflows.detection.coverage import all_area_sources, searched_shares

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project import Project

AFTER_MS = 250
FEW_SLIDES = 20
"""So many slides that changed are counted at once."""


class SlideNumbers(QObject):
    """What the list of slides says about findings, kept up to date.

    Attributes
    ----------
    counts
        By slide id, findings that count; slides without any are not in it.
    counted
        Whether that is known.
    shares
        By slide id, share that was scanned or declared complete; computed only while ``wants_shares``.
    """

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = context.session, context.jobs
        self.counts: dict[int, StateCounts] = {}
        self.shares: dict[int, float] = {}
        self._wants_shares = False
        self.counted = False
        self._shared = False
        self._running = False
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.setInterval(AFTER_MS)
        self._due.timeout.connect(self._start)
        self._changed = Later(self, self._count_changed, after_ms=AFTER_MS // 2)
        self._all_due = False
        self._as_of = 0  # version of the project that was counted
        session = self._session
        for signal in (session.slides_changed, session.inclusion_changed, session.runs_changed, session.areas_changed):
            link(self, signal, self.count_all)
        link(self, session.project_changed, self._on_project_changed)
        for signal in (session.boxes_changed, session.history_changed):  # undo and imports change any slide
            link(self, signal, self._changed.soon)
        self._on_project_changed()

    @property
    def ready(self) -> bool:
        """Whether everything was counted that is wanted."""
        return self.counted and (self._shared or not self._wants_shares) and not self._busy

    @property
    def _busy(self) -> bool:
        return self._running or self._due.isActive() or self._changed.due

    def want_shares(self, wanted: bool) -> None:
        """Whether coverage is shown: it is read from the folders of all runs."""
        if wanted and not self._wants_shares:
            self._wants_shares = True
            self.count_all()
        self._wants_shares = wanted

    def count_all(self, *_: object) -> None:
        """Count all slides again, soon."""
        self._all_due = True
        if not self._due.isActive() and not self._running:
            self._due.start()

    def _on_project_changed(self) -> None:
        self._running = False
        self.counts, self.shares, self._as_of = {}, {}, 0
        self.counted = self._shared = False
        if self._session.project is not None:
            self._all_due = True
            self._start()
        self.changed.emit()

    def _count_changed(self) -> None:
        """Count the slides again that changed since they were counted: a few at once, many in the background."""
        project = self._session.project
        if project is None:
            return
        boxes, slides = project.boxes, project.slides.ids
        there = frozenset(slides)
        changed = [slide_id for slide_id in boxes.changed_since(self._as_of) if slide_id in there]  # some were removed
        few = changed[:FEW_SLIDES]
        found = count_rows({slide_id: boxes.table(slide_id).rows for slide_id in few}, project.inclusion.current)
        for slide_id in few:
            self.counts.pop(slide_id, None)
        self.counts |= found
        if len(changed) > len(few) or boxes.unread(slides):
            self.count_all()
        else:
            self._as_of = boxes.version
        if few:
            self.changed.emit()

    def _start(self) -> None:
        project = self._session.project
        if project is None or self._running or not self._all_due or self._jobs.closed:
            return
        self._all_due = False
        self._running = True
        inclusion, folder, version = project.inclusion.current, project.path, project.boxes.version
        unread = project.boxes.unread(project.slides.ids)
        # what changes in these rows while they are counted is counted again after that
        in_memory = project.boxes.rows_in_memory()
        sources = all_area_sources(project) if self._wants_shares else []

        def count() -> tuple[dict[int, StateCounts], dict[int, float]]:
            found = count_rows(in_memory, inclusion)
            if unread:
                found |= count_states(folder, inclusion, unread)
            return found, searched_shares(sources)

        self._jobs.call(
            count,
            on_done=partial(self._on_counted, project, version),
            on_failed=partial(self._on_failed, project),
        )

    def _on_counted(
        self, project: Project, version: int, found: tuple[dict[int, StateCounts], dict[int, float]]
    ) -> None:
        if project is not self._session.project:
            return
        self._running = False
        self.counts, self.counted = found[0], True
        self._as_of = version
        if found[1] or not project.slides:
            self.shares, self._shared = found[1], True
        if project.boxes.changed_since(version):
            self._count_changed()
        self.changed.emit()
        if self._all_due:
            self._due.start()

    def _on_failed(self, project: Project, error: BaseException) -> None:
        if project is self._session.project:
            self._running = False
        raise error
