"""Records which parts of a slide the user has viewed: closely enough to judge, and for long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session

STILL_MS = 700
"""A view that does not change for this long counts as viewed."""


class SeenWatch(QObject):
    """Marks a view as seen when it stays on screen, sharp and large enough."""

    def __init__(self, session: Session, canvas: Canvas, settings: AppSettings) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._settings = session, canvas, settings
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(STILL_MS)
        self._still.timeout.connect(self._on_still)
        canvas.view_changed.connect(self._still.start)
        canvas.thumbnail_ready.connect(lambda *_: self._still.start())  # a slide that was just opened

    def _on_still(self) -> None:
        canvas = self._canvas
        if self._session.mosaic is None or not canvas.isVisible() or canvas.window().isMinimized():
            return
        view = canvas.view
        zoom = view.zoom * canvas.devicePixelRatioF()
        if zoom < self._settings.judge_zoom * 0.999:
            return
        if not canvas.picture.complete:  # what is still blurred does not count
            self._still.start()
            return
        self._session.slide_view.mark_seen(*view.bounds, zoom)
