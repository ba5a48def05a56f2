"""Reads the slides of the open project whole, one after the other and unseen: a slide is its content."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from pathlib import Path

    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.jobs import CancelToken
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord

log = logging.getLogger(__name__)

START_MS = 5000
"""The slide on screen comes first."""

BATCH = 32


class ContentReader(QObject):
    """Looks for slides without a content while a project is open for writing; stops when it is closed."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._tried: set[tuple[int, Path]] = set()
        self._token: CancelToken | None = None
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(START_MS)
        self._wait.timeout.connect(self.go_on)
        session.project_changed.connect(self._on_project_changed)
        session.slides_changed.connect(self._on_slides_changed)

    def _on_project_changed(self) -> None:
        if self._token is not None:
            self._token.cancel()
            self._token = None
        self._tried.clear()
        self._wait.start()

    def _on_slides_changed(self) -> None:
        if self._token is None and not self._wait.isActive():
            self._wait.start()

    def go_on(self) -> None:
        """Read the next slides, if there are any."""
        from microscope_qc.workflows.intake.identity import read_contents, without_content

        project = self._session.project
        if self._token is not None or project is None or project.read_only or self._jobs.closed:
            return
        slides = without_content(project.slides, most=BATCH, but=self._tried)
        if slides:
            self._tried.update((slide.id, slide.path) for slide in slides)
            read = {slide.id: slide.path for slide in slides}
            job = read_contents(slides, idle=True)
            self._token = self._jobs.behind(job, partial(self._on_read, project, read), self._on_failed)

    def _on_read(self, project: Project, read: dict[int, Path], contents: dict[int, str]) -> None:
        self._token = None
        if project is not self._session.project:
            return
        if project.is_writing:  # the database is locked: the window must not wait for it
            QTimer.singleShot(200, partial(self._on_read, project, read, contents))
            return
        now: dict[int, SlideRecord] = {slide.id: slide for slide in project.slides}
        # a slide may have got another file since
        known = {n: content for n, content in contents.items() if n in now and now[n].path == read[n]}
        if not known:
            self.go_on()
            return
        # the disk is waited for by a worker
        self._jobs.call(
            partial(project.slides.write_contents, known),
            on_done=lambda _: self._on_written(project, known),
            on_failed=lambda error: log.warning("contents of slides were not stored: %s", error),
        )

    def _on_written(self, project: Project, contents: dict[int, str]) -> None:
        if project is self._session.project:
            project.slides.take_contents(contents)
            self.go_on()

    def _on_failed(self, error: BaseException) -> None:
        self._token = None
        log.error("slides could not be read whole", exc_info=error)
