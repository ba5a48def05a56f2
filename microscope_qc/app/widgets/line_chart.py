"""Curves between 0 and 1 as a picture in the colours of the theme: precision over recall, ROC, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from microscope_qc.app.base import theme

SIZE = QSize(288, 244)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 28, 38
_DOT, _SWATCH, _LINE = 3.0, 8.0, 16.0
_TICKS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A curve: points (n, 2) as x and y; with ``intervals`` (n, 2) of each y they are drawn as dots.

    ``colour`` is "" for the accent of the theme.
    """

    name: str
    points: np.ndarray
    colour: str = ""
    intervals: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves, what the axes show, and whether the line is drawn on which both are equal."""

    title: str
    x: str
    y: str
    lines: Sequence[ChartLine]
    diagonal: bool = False


def chart_picture(chart: LineChart, *, ratio: float = 1.0, size: QSize = SIZE) -> QImage:
    """Draw a chart; the names of several lines stand below it, in as many rows as they need."""
    font, metrics = _font()
    rows = _legend(chart, metrics, size.width())
    height = size.height() + round(_LINE * len(rows))
    image = QImage(round(size.width() * ratio), round(height * ratio), QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(QColor(theme.current().base))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(font)
    room = QRectF(_LEFT, _TOP, size.width() - _LEFT - _RIGHT, size.height() - _TOP - _BOTTOM)
    _draw_axes(painter, chart, room)
    for line in chart.lines:
        _draw_line(painter, line, room)
    _draw_legend(painter, rows, size.height())
    painter.end()
    return image


def _font() -> tuple[QFont, QFontMetricsF]:
    font = QFont()
    font.setPointSizeF(0.9 * font.pointSizeF())
    return font, QFontMetricsF(font)


def _draw_axes(painter: QPainter, chart: LineChart, room: QRectF) -> None:
    colours, align = theme.current(), Qt.AlignmentFlag
    painter.setPen(QColor(colours.text))
    painter.drawText(QRectF(8, 4, room.right() - 8, 20), align.AlignLeft | align.AlignVCenter, chart.title)
    for share in _TICKS:
        y, x = room.bottom() - share * room.height(), room.left() + share * room.width()
        painter.setPen(QColor(colours.line))
        painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
        painter.drawLine(QPointF(x, room.bottom()), QPointF(x, room.bottom() + 3))
        painter.setPen(QColor(colours.quiet))
        painter.drawText(QRectF(0, y - 8, _LEFT - 6, 16), align.AlignRight | align.AlignVCenter, f"{share:.3g}")
        painter.drawText(QRectF(x - 20, room.bottom() + 3, 40, 16), align.AlignHCenter, f"{share:.3g}")
    painter.drawText(QRectF(room.left(), room.bottom() + 18, room.width(), 18), align.AlignHCenter, chart.x)
    painter.save()
    painter.translate(2, room.bottom())
    painter.rotate(-90)
    painter.drawText(QRectF(0, 0, room.height(), 18), align.AlignHCenter, chart.y)
    painter.restore()
    if chart.diagonal:
        painter.setPen(QPen(QColor(colours.quiet), 1, Qt.PenStyle.DashLine))
        painter.drawLine(room.bottomLeft(), room.topRight())


def _draw_line(painter: QPainter, line: ChartLine, room: QRectF) -> None:
    colour = QColor(line.colour or theme.current().accent)

    def place(x: float, y: float) -> QPointF:
        return QPointF(room.left() + x * room.width(), room.bottom() - y * room.height())

    points = [place(x, y) for x, y in np.clip(line.points, 0, 1).tolist()]
    painter.setPen(QPen(colour, 2))
    if line.intervals is None:
        painter.drawPolyline(QPolygonF(points))
        return
    painter.drawPolyline(QPolygonF(points))
    painter.setBrush(colour)
    for (x, _), (low, high), point in zip(line.points.tolist(), line.intervals.tolist(), points, strict=True):
        painter.setPen(QPen(colour, 1))
        painter.drawLine(place(x, low), place(x, high))
        painter.drawEllipse(point, _DOT, _DOT)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _legend(chart: LineChart, metrics: QFontMetricsF, width: int) -> list[list[tuple[ChartLine, float]]]:
    """Rows of lines, each with the place where its name begins; none for a single line."""
    rows: list[list[tuple[ChartLine, float]]] = []
    x = float(width)
    for line in chart.lines if len(chart.lines) > 1 else ():
        wide = _SWATCH + 4 + metrics.horizontalAdvance(line.name) + 12
        if x + wide > width:
            rows.append([])
            x = float(_LEFT)
        rows[-1].append((line, x))
        x += wide
    return rows


def _draw_legend(painter: QPainter, rows: list[list[tuple[ChartLine, float]]], top: float) -> None:
    for number, row in enumerate(rows):
        y = top + number * _LINE
        for line, x in row:
            painter.fillRect(QRectF(x, y + 3, _SWATCH, _SWATCH), QColor(line.colour or theme.current().accent))
            painter.setPen(QColor(theme.current().text))
            painter.drawText(QPointF(x + _SWATCH + 4, y + 11), line.name)
