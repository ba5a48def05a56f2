"""Has the process for models started a while before the user detects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from microscope_qc.app.base.turns import Later

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

START_MS = 3000
"""The slide on screen comes first."""


class DetectorReadiness(QObject):
    """Makes the detector ready when a slide has been on screen for a while and the window has nothing else to do."""

    def __init__(self, session: Session, jobs: JobRunner, settings: AppSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._when_free = Later(self, self._get_ready)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(START_MS)
        self._wait.timeout.connect(self._on_timeout)
        jobs.detector.keep = settings.detector_ready
        session.mosaic_changed.connect(self._on_mosaic_changed)

    def _on_mosaic_changed(self) -> None:
        self._wait.start()

    def _on_timeout(self) -> None:
        if self._jobs.running:
            self._wait.start()
        else:
            self._when_free.soon()

    def _get_ready(self) -> None:
        project, jobs = self._session.project, self._jobs
        if project is None or project.read_only or self._session.slide is None or jobs.closed:
            return
        models = [run.plan.model for run in project.runs]
        jobs.call(lambda: jobs.detector.get_ready(models[-1] if models else ""))


def keep_ready(jobs: JobRunner, ready: bool) -> None:
    """Make the detector ready now and keep it from now on, or end it."""
    jobs.detector.keep = ready
    jobs.call(jobs.detector.get_ready if ready else jobs.detector.rest)
