"""Pictures with boxes in a grid: where each goes, and how its boxes are drawn."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSizeF, Qt
from qtpy.QtGui import QColor, QPainter, QPen

GAP = 8
_LETTERS = 14
_DARK = 0.45
"""Lightness of colours that are not read on a dark edge."""


def fitting_cells(room: QSizeF, count: int, *, below: float = 0.0) -> list[QRectF]:
    """Squares for pictures, as large as they all fit, with ``below`` px under each."""
    best: list[QRectF] = []
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        side = min((room.width() - (columns + 1) * GAP) / columns, (room.height() - (rows + 1) * GAP) / rows - below)
        if side > 0 and (not best or side > best[0].width()):
            pitch = side + GAP
            places = [divmod(number, columns) for number in range(count)]
            best = [QRectF(GAP + column * pitch, GAP + row * (pitch + below), side, side) for row, column in places]
    return best


def draw_box(
    painter: QPainter, box: QRectF, colour: QColor, code: str, *, within: QRectF, dashed: bool = False
) -> None:
    """A box in the colour of its class, with its code at the corner, inside the picture."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 160), 4))
    painter.drawRect(box)
    colour_pen = QPen(colour, 2, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine)
    painter.setPen(colour_pen)
    painter.drawRect(box)
    place = box.topLeft() + (QPointF(1, -3) if box.top() - _LETTERS > within.top() else QPointF(2, 12))
    draw_words(painter, words_at(painter, place, code, within=within).bottomLeft(), code, colour)


def words_at(painter: QPainter, place: QPointF, words: str, *, within: QRectF) -> QRectF:
    """Where words are that begin at a place, on their line: as far to the left as they need to be inside a picture."""
    size = painter.fontMetrics()
    wide, high = size.horizontalAdvance(words), size.ascent()
    left = max(within.left() + 2, min(place.x(), within.right() - wide - 2))
    return QRectF(left, place.y() - high, wide, high)


def draw_words(painter: QPainter, place: QPointF, words: str, colour: QColor) -> None:
    """Words with an edge, dark or bright, so that they are read on any picture."""
    edge = QColor(0, 0, 0, 200) if colour.lightnessF() > _DARK else QColor(255, 255, 255, 210)
    painter.setPen(edge)
    for shift in (QPointF(1, 1), QPointF(-1, 0), QPointF(0, -1)):
        painter.drawText(place + shift, words)
    painter.setPen(colour)
    painter.drawText(place, words)
