"""Pictures with boxes in a grid: where each goes, and how its boxes are drawn."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSizeF, Qt
from qtpy.QtGui import QColor, QPainter, QPen

GAP = 8
_LETTERS = 14


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
    draw_words(painter, place, code, colour, within=within)


def draw_words(painter: QPainter, place: QPointF, words: str, colour: QColor, *, within: QRectF) -> None:
    """Words with a dark edge, which are read on any picture; as far to the left as they need to be inside it."""
    room = within.right() - painter.fontMetrics().horizontalAdvance(words) - 2
    place = QPointF(max(within.left() + 2, min(place.x(), room)), place.y())
    painter.setPen(QColor(0, 0, 0, 200))
    for shift in (QPointF(1, 1), QPointF(-1, 0), QPointF(0, -1)):
        painter.drawText(place + shift, words)
    painter.setPen(colour)
    painter.drawText(place, words)
