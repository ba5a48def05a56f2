"""Looks whether the files of the open project's slides are still those that its findings were made on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.jobs import CancelToken
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.workflows.intake.changes import FileState

log = logging.getLogger(__name__)

START_MS = 2000
"""The slide on screen comes first."""

EVERY_MS = 5000
"""The file of the slide on screen is asked for its size and time so often."""

TRIED_AGAIN_MS = 200


class SlideWatch(QObject):
    """Compares all slides when a project is opened, and the one on screen as long as it is there.

    Parameters
    ----------
    tell
        Called with slides of which it was found out now that they have changed.
    """

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        parent: QObject | None = None,
        *,
        tell: Callable[[Sequence[SlideRecord]], None],
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._tell = session, jobs, tell
        self._token: CancelToken | None = None
        self._told: set[int] = set()
        self._begin = QTimer(self, singleShot=True, interval=START_MS)
        self._begin.timeout.connect(lambda: self.look(every=True))
        self._again = QTimer(self, interval=EVERY_MS)
        self._again.timeout.connect(self.look)
        session.project_changed.connect(self._on_project_changed)
        session.slide_changed.connect(self.look)

    def _on_project_changed(self) -> None:
        if self._token is not None:
            self._token.cancel()
            self._token = None
        self._told.clear()
        if self._session.project is None:
            self._begin.stop()
            self._again.stop()
        else:
            self._begin.start()
            self._again.start()

    def look(self, *, every: bool = False) -> None:
        """Compare the slide on screen in the background, or all."""
        from microscope_qc.workflows.intake.changes import compare, known_state

        project, slide = self._session.project, self._session.slide
        if self._token is not None or project is None or self._jobs.closed:
            return
        slides = list(project.slides) if every else [] if slide is None else [slide]
        if slides:
            job = compare(slides, {record.id: known_state(project, record.id) for record in slides}, idle=every)
            self._token = self._jobs.behind(job, partial(self._on_compared, project), self._on_failed)

    def _on_compared(self, project: Project, found: dict[int, FileState]) -> None:
        from microscope_qc.workflows.intake.changes import is_changed, note

        self._token = None
        if project is not self._session.project:
            return
        if project.is_writing:  # the database is locked: the window must not wait for it
            QTimer.singleShot(TRIED_AGAIN_MS, partial(self._on_compared, project, found))
            return
        if found and note(project, found):
            self._session.slides_changed.emit()
            shown = self._session.slide
            if shown is not None and shown.id in found:
                self._session.show_again()
        changed = [slide for slide in project.slides if is_changed(project, slide)]
        new = [slide for slide in changed if slide.id not in self._told]
        self._told = {slide.id for slide in changed}
        if new:
            self._tell(new)

    def _on_failed(self, error: BaseException) -> None:
        self._token = None
        log.error("slides could not be compared with their files", exc_info=error)
