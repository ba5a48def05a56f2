"""Imports what the other workspaces need before the user opens them: that takes a second."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session

START_MS = 4000
"""The slide on screen comes first."""
_PANELS = "microscope_qc.app.panels"
MODULES = (
    f"{_PANELS}.review.page", f"{_PANELS}.learn.page", f"{_PANELS}.models.panel", f"{_PANELS}.models.comparisons.panel",
    f"{_PANELS}.learn.studies.panel", f"{_PANELS}.statistics.page", f"{_PANELS}.sem.panel",
    f"{_PANELS}.suggestions.panel", "microscope_qc.workflows.suggestions.keeping",
)  # fmt: skip


class ModulesAhead(QObject):
    """Imports them once, in another thread, when a slide has been on screen for a while and nothing else is done."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._begun = jobs, False
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(START_MS)
        self._wait.timeout.connect(self._on_timeout)
        session.mosaic_changed.connect(self._on_mosaic_changed)

    @property
    def waits(self) -> bool:
        """Whether it is still to come."""
        return bool(self._wait.isActive())

    def _on_mosaic_changed(self) -> None:
        if not self._begun:
            self._wait.start()

    def _on_timeout(self) -> None:
        if self._jobs.running:
            self._wait.start()
        elif not self._jobs.closed:
            self._begun = True
            self._jobs.call(import_ahead)


def import_ahead() -> None:
    """Import them, and know which networks there are."""
    for name in MODULES:
        import_module(name)
    from microscope_qc.ml.architectures.base import trainable

    trainable()
