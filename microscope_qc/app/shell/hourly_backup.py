"""Makes a backup of the open project every hour, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session

EVERY_MS = 3600_000


class HourlyBackup(QObject):
    """Counts the hours by itself: a clock that is set does not stop it."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(self.make)
        session.project_changed.connect(self._on_project_changed)

    def _on_project_changed(self) -> None:
        project = self._session.project
        if project is None or project.read_only:
            self._timer.stop()
        else:
            self._timer.start()

    def make(self) -> None:
        """Make one now, where anything was changed."""
        project = self._session.project
        if project is not None and not self._jobs.closed:
            self._jobs.call(project.back_up)  # where it fails the user is told
