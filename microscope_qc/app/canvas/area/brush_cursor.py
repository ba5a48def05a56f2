"""The brush or the rectangle at the mouse while a mask is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from microscope_qc.app.canvas.canvas import Canvas

HALO = QColor(0, 0, 0, 190)
ADDS, LEAVES_OUT = QColor("#ffffff"), QColor("#ffb000")
SIGN_POINTS = 5.0


class BrushCursor(QWidget):
    """A transparent sheet over the canvas; the mouse goes through it.

    ``place`` is where the mouse is, ``corner`` where a rectangle began; ``brush_um`` is 0 without a brush.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self._canvas: Canvas | None = None
        self.place: QPointF | None = None
        self.corner: QPointF | None = None
        self.brush_um = 0.0
        self.adds = True
        self.hide()

    def begin(self, canvas: Canvas) -> None:
        """Show brush or rectangle on a canvas."""
        self._canvas = canvas
        parent = self.parentWidget()
        if parent is not None:
            parent.installEventFilter(self)
            self.setGeometry(parent.rect())
        self.place = self.corner = None
        self.show()
        self.stackUnder(canvas.overview)

    def end(self) -> None:
        """Stop showing them."""
        self.hide()
        parent = self.parentWidget()
        if parent is not None:
            parent.removeEventFilter(self)
        self._canvas = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the size of the canvas."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw it."""
        if self._canvas is None or self.place is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        um, zoom = self._canvas.session.pixel_size_um, self._canvas.view.zoom
        if self.corner is not None:
            rect = QRectF(self.corner, self.place).normalized()
            self._outline(painter, rect, round_=False)
        elif self.brush_um > 0 and um is not None:
            wide, high = self.brush_um / um[1] * zoom, self.brush_um / um[0] * zoom
            rect = QRectF(self.place.x() - wide / 2, self.place.y() - high / 2, wide, high)
            self._outline(painter, rect, round_=True)
        self._sign(painter, self.place + QPointF(14, 14))
        painter.end()

    def _outline(self, painter: QPainter, rect: QRectF, *, round_: bool) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(HALO, 3.5), QPen(ADDS if self.adds else LEAVES_OUT, 1.5)):
            painter.setPen(pen)
            if round_:
                painter.drawEllipse(rect)
            else:
                painter.drawRect(rect)

    def _sign(self, painter: QPainter, place: QPointF) -> None:
        """Draw a plus or a minus next to the cursor, so that it is not shown by colour alone."""
        across, down = QPointF(SIGN_POINTS, 0), QPointF(0, SIGN_POINTS)
        for pen in (QPen(HALO, 5), QPen(ADDS if self.adds else LEAVES_OUT, 2)):
            painter.setPen(pen)
            painter.drawLine(place - across, place + across)
            if self.adds:
                painter.drawLine(place - down, place + down)
