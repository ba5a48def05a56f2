"""Two marks, or marks close together, fit a slide in two ways: the user chooses the picture that the SEM shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent, QPalette, QPen, QPolygonF, QTransform
from qtpy.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from microscope_qc.app.widgets.parts import sentence

if TYPE_CHECKING:
    from microscope_qc.correlation.registration import Registration

MARGIN = 16


class OrientationPicture(QAbstractButton):
    """The slide on the stage (x to the right, y upwards) under one alignment."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setText(title)
        self.setAccessibleName(title)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._fit: Registration | None = None
        self._shape_px = (1, 1)
        self._image: QImage | None = None

    def show_fit(self, fit: Registration, shape_px: tuple[int, int], image: QImage | None) -> None:
        """Draw a slide of ``shape_px`` under an alignment, with its thumbnail once it is there."""
        self._fit, self._shape_px, self._image = fit, shape_px, image
        self.update()

    def sizeHint(self) -> QSize:
        """Qt: two of them fit a narrow panel."""
        return QSize(156, 170)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: slide, marks, title."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        palette = self.palette()
        frame = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5)
        chosen = self.isChecked()
        edge = palette.color(QPalette.ColorRole.Highlight if chosen or self.underMouse() else QPalette.ColorRole.Mid)
        painter.setPen(QPen(edge, 3 if chosen else 1))
        painter.setBrush(palette.color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(frame, 5, 5)
        line = painter.fontMetrics().height()
        title = QRectF(frame.left(), frame.bottom() - line - 6, frame.width(), line + 2)
        font = QFont(painter.font())
        font.setBold(chosen)
        painter.setFont(font)
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        painter.drawText(title, int(Qt.AlignmentFlag.AlignCenter), self.text())
        if self._fit is not None:
            self._paint_slide(painter, frame.adjusted(MARGIN, MARGIN, -MARGIN, -line - MARGIN))

    def _paint_slide(self, painter: QPainter, area: QRectF) -> None:
        assert self._fit is not None
        height, width = self._shape_px
        corners_px = np.array([[0, 0], [0, width], [height, width], [height, 0]], float)
        stage = self._fit.to_stage(corners_px)
        low, high = stage.min(axis=0), stage.max(axis=0)
        scale = float(min(area.width() / max(high[0] - low[0], 1e-9), area.height() / max(high[1] - low[1], 1e-9)))
        middle = (low + high) / 2

        def place(xy_mm: np.ndarray) -> QPointF:
            x, y = (xy_mm - middle) * scale
            return QPointF(area.center().x() + float(x), area.center().y() - float(y))

        quad = QPolygonF([place(corner) for corner in stage])
        if self._image is not None:
            w, h = self._image.width(), self._image.height()
            source = QPolygonF([QPointF(0, 0), QPointF(w, 0), QPointF(w, h), QPointF(0, h)])
            transform = QTransform.quadToQuad(source, quad)
            if isinstance(transform, QTransform):
                painter.save()
                painter.setTransform(transform, True)
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
                painter.drawImage(QPointF(0, 0), self._image)
                painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush if self._image is not None else QColor(128, 128, 128, 70))
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Text), 1))
        painter.drawPolygon(quad)
        self._paint_corner(painter, quad)
        for name, xy in zip(self._fit.names, self._fit.to_stage(self._fit.marks_px), strict=True):
            _paint_mark(painter, place(xy), name)

    def _paint_corner(self, painter: QPainter, quad: QPolygonF) -> None:
        """Mark the slide's upper left corner with a dot, which shows rotation and mirroring without a picture."""
        painter.setPen(QPen(QColor("black"), 1))
        painter.setBrush(QColor("#E69F00"))
        painter.drawEllipse(quad.at(0), 4, 4)


def _paint_mark(painter: QPainter, at: QPointF, name: str) -> None:
    for width, colour in ((4.0, QColor(0, 0, 0, 190)), (1.6, QColor("white"))):
        painter.setPen(QPen(colour, width))
        painter.drawLine(at + QPointF(-6, 0), at + QPointF(6, 0))
        painter.drawLine(at + QPointF(0, -6), at + QPointF(0, 6))
    room = painter.window().right() - at.x() - 10
    width = painter.fontMetrics().horizontalAdvance(name)
    spot = at + QPointF(7 if width < room else -7 - width, -4)
    for shift, colour in ((QPointF(1, 1), QColor(0, 0, 0, 220)), (QPointF(0, 0), QColor("white"))):
        painter.setPen(colour)
        painter.drawText(spot + shift, name)


class OrientationChoice(QWidget):
    """Both pictures side by side; nothing is chosen until the user does."""

    chosen = Signal(bool)  # mirrored

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plain = OrientationPicture("not mirrored")
        self.mirrored = OrientationPicture("mirrored")
        self._group = QButtonGroup(self)
        self._group.addButton(self.plain)
        self._group.addButton(self.mirrored)
        self.plain.clicked.connect(lambda: self.chosen.emit(False))
        self.mirrored.clicked.connect(lambda: self.chosen.emit(True))
        row = QHBoxLayout()
        row.addWidget(self.plain, 1)
        row.addWidget(self.mirrored, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(
            sentence(
                "These marks do not tell which of the two it is. Drive to another place you know and choose the correct"
                " picture (stage X to the right, Y upwards; the dot is the slide’s upper left corner), or place a mark "
                "far from the others."
            )
        )
        column.addLayout(row)

    @property
    def mirror(self) -> bool | None:
        """The choice, or None."""
        return True if self.mirrored.isChecked() else False if self.plain.isChecked() else None

    def forget(self) -> None:
        """Clear the choice, because the marks have changed."""
        self._group.setExclusive(False)
        self.plain.setChecked(False)
        self.mirrored.setChecked(False)
        self._group.setExclusive(True)
