"""Notes which parts of a slide a person has looked at: near enough to judge, and for long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session

STILL_MS = 700
"""A view that stays this long has been looked at."""


class SeenWatch(QObject):
    """Marks a view as seen when it stands still on screen, sharp and near enough."""

    def __init__(self, session: Session, canvas: Canvas, settings: AppSettings) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._settings = session, canvas, settings
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(STILL_MS)
        self._still.timeout.connect(self._on_still)
        canvas.view_changed.connect(self._still.start)
        canvas.thumbnail_ready.connect(lambda *_: self._still.start())  # a slide that is just there

    def _on_still(self) -> None:
        canvas = self._canvas
        if self._session.mosaic is None or not canvas.isVisible() or canvas.window().isMinimized():
            return
        view = canvas.view
        if view.zoom * canvas.devicePixelRatioF() < self._settings.judge_zoom * 0.999:
            return
        if not canvas.picture.complete:  # what is still blurred has not been seen
            self._still.start()
            return
        self._session.slide_view.mark_seen(*view.bounds)
