"""The small map in the corner of the canvas: where on the slide the view is; click or drag to go elsewhere."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QWidget

from microscope_qc.app.canvas.view import View

LONGEST = QSize(216, 160)


class OverviewMap(QWidget):
    """Thumbnail with the visible rectangle. ``place_chosen`` carries slide y, x."""

    place_chosen = Signal(float, float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("Overview: click or drag to go there")
        self._pixmap = QPixmap()
        self._slide_shape = (1, 1)
        self._view = View()
        self.hide()

    def set_slide(self, shape: tuple[int, int] | None) -> None:
        """Take the size of another slide; without one the map hides."""
        self._pixmap = QPixmap()
        self.hide()  # until its thumbnail is there
        if shape is None:
            return
        self._slide_shape = shape
        parent = self.parentWidget()
        self.fit_into(parent.size() if parent is not None else LONGEST * 5)

    def fit_into(self, canvas: QSize) -> None:
        """Stay small against the canvas."""
        longest = QSize(min(LONGEST.width(), canvas.width() // 5), min(LONGEST.height(), canvas.height() // 4))
        size = QSize(self._slide_shape[1], self._slide_shape[0]).scaled(longest, Qt.AspectRatioMode.KeepAspectRatio)
        self.setFixedSize(max(size.width(), 24) + 2, max(size.height(), 24) + 2)

    def set_thumbnail(self, pixels: np.ndarray) -> None:
        """Show (h, w, 3) uint8 pixels."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._pixmap = QPixmap.fromImage(image.copy())
        self._show_or_hide()
        self.update()

    def set_view(self, view: View) -> None:
        """Show where the canvas looks."""
        self._view = view
        self._show_or_hide()
        self.update()

    def _show_or_hide(self) -> None:
        """A map helps only where part of the slide is out of sight; over the whole slide it hides some of it."""
        y0, x0, y1, x1 = self._view.bounds
        whole = y0 <= 0 and x0 <= 0 and y1 >= self._slide_shape[0] and x1 >= self._slide_shape[1]
        self.setVisible(not whole and not self._pixmap.isNull())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the map."""
        painter = QPainter(self)
        inner = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.fillRect(self.rect(), QColor(24, 24, 24))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(inner.toRect(), self._pixmap)
        y0, x0, y1, x1 = self._view.bounds
        sy, sx = inner.height() / self._slide_shape[0], inner.width() / self._slide_shape[1]
        rect = QRectF(inner.left() + x0 * sx, inner.top() + y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy)
        if rect.width() < 6 or rect.height() < 6:
            middle = rect.center()
            rect = QRectF(0, 0, max(rect.width(), 6), max(rect.height(), 6))
            rect.moveCenter(middle)
        rect = rect.intersected(inner)
        for pen in (QPen(QColor(0, 0, 0, 190), 3.5), QPen(QColor("#ffffff"), 1.5)):
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            painter.setPen(pen)
            painter.drawRect(rect)
        painter.setPen(QPen(QColor(150, 150, 150), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the place under the mouse."""
        self._choose(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse while it is pressed."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(event.position())

    def _choose(self, place: QPointF) -> None:
        height, width = self._slide_shape
        y = min(max((place.y() - 1) / max(self.height() - 2, 1), 0.0), 1.0) * height
        x = min(max((place.x() - 1) / max(self.width() - 2, 1), 0.0), 1.0) * width
        self.place_chosen.emit(y, x)
