"""The bar of a task: how far it is, or that it works."""

from __future__ import annotations

from qtpy.QtCore import QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QHideEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QProgressBar, QWidget

from microscope_qc.app.base import theme

STEP_MS = 250
STEPS = 8
"""Places of the moving part on its way along the bar."""


class JobBar(QProgressBar):
    """A bar that steps along while the total is not known.

    Qt's own moves many times a second, and each time the whole window is put together again, since the canvas is drawn
    by OpenGL: on a computer without a graphics card that takes half of what the task needs.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextVisible(False)
        self._step = 0
        self._next = QTimer(self)
        self._next.setInterval(STEP_MS)
        self._next.timeout.connect(self._on_next)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        if self.minimum() < self.maximum():
            self._next.stop()
            super().paintEvent(event)
            return
        if not self._next.isActive():
            self._next.start()
        colours, room = theme.current(), QRectF(self.rect())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(room, 3, 3)
        part = QRectF(room)
        part.setWidth(room.width() / 4)
        part.translate((room.width() - part.width()) * self._step / (STEPS - 1), 0)
        painter.setBrush(QColor(colours.accent))
        painter.drawRoundedRect(part, 3, 3)
        painter.end()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: stand still."""
        super().hideEvent(event)
        self._next.stop()

    def _on_next(self) -> None:
        self._step = (self._step + 1) % STEPS
        self.update()
