"""Two small charts of a training: the loss, which falls, and the score, which rises."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from microscope_qc.app.base import theme

Points = list[tuple[float, float]]
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 26, 22
_DOT = 2.5


class CurveChart(QWidget):
    """One curve over the epochs, with its newest value.

    Parameters
    ----------
    highest
        Top of the axis; None fits it to the values.
    """

    def __init__(self, title: str, *, highest: float | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self._highest = title, highest
        self.points: Points = []
        self._until = 0.0
        self.setMinimumHeight(110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName(title)

    def sizeHint(self) -> QSize:
        """Qt: wide and low."""
        return QSize(300, 150)

    def show_points(self, points: Points, *, title: str = "", until: float = 0.0) -> None:
        """Draw other points (epoch, value), under another title where one is given.

        The axis goes on to the epoch ``until`` where that is further than the last point.
        """
        title = title or self.title
        if (points, title, until) != (self.points, self.title, self._until):
            self.points, self.title, self._until = points, title, until
            self.setAccessibleName(title)
            last = f"{points[-1][1]:.3f}" if points else ""
            self.setToolTip(f"{self.title} after epoch {points[-1][0]:g}: {last}" if points else "")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        colours = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(colours.base))
        room = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        painter.setPen(QColor(colours.text))
        painter.drawText(QRectF(8, 4, self.width() - 16, 18), Qt.AlignmentFlag.AlignLeft, self.title)
        if not self.points:
            painter.setPen(QColor(colours.quiet))
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, "after the first epoch")
            painter.end()
            return
        newest = f"{self.points[-1][1]:.3f}"
        painter.setPen(QColor(colours.accent))
        painter.drawText(QRectF(8, 4, self.width() - 16, 18), Qt.AlignmentFlag.AlignRight, newest)
        top = self._highest or _rounded_up(max(value for _, value in self.points))
        last = max(1.0, self.points[-1][0], self._until)
        self._draw_axes(painter, room, top, last)
        where = [
            QPointF(room.left() + room.width() * epoch / last, room.bottom() - room.height() * min(value / top, 1.0))
            for epoch, value in self.points
        ]
        painter.setPen(QPen(QColor(colours.accent), 2))
        painter.drawPolyline(QPolygonF(where))
        painter.setBrush(QColor(colours.accent))
        for point in where[-1:] if len(where) > 40 else where:
            painter.drawEllipse(point, _DOT, _DOT)
        painter.end()

    def _draw_axes(self, painter: QPainter, room: QRectF, top: float, last: float) -> None:
        colours = theme.current()
        for share in (0.0, 0.5, 1.0):
            y = room.bottom() - share * room.height()
            painter.setPen(QColor(colours.line))
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
            painter.setPen(QColor(colours.quiet))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - 8, _LEFT - 6, 16), right, f"{share * top:.3g}")
        below = QRectF(room.left(), room.bottom() + 3, room.width(), _BOTTOM - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"epoch {last:.3g}")


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def column(rows: Sequence[dict[str, float]], name: str) -> Points:
    """The points of one column of a training's curve; epochs without it are left out."""
    return [(row["epoch"], row[name]) for row in rows if name in row and "epoch" in row]
