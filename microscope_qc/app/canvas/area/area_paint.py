"""Declared areas over the slide: a thin outline each, saying for which classes, by whom and when; and the one drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF, QTransform

from microscope_qc.app.canvas.view import View
from microscope_qc.app.session.declaring import signed
from microscope_qc.core.wording import area_text, extent_text

if TYPE_CHECKING:
    from microscope_qc.app.canvas.area.area_hand import AreaHand
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import AreaRecord

TOOL = "area"
COLOUR = QColor("#7ee0b8")
DRAWN = QColor("#ffffff")
HALO = QColor(0, 0, 0, 170)
FAINT = QColor(255, 255, 255, 130)
PLATE = QColor(16, 16, 16, 205)
LEAST_POINTS = (110.0, 26.0)
"""Width and height on screen from which an area is large enough for its label."""
MARGIN = 6.0
CORNER_POINTS = 3.5


class AreaPaint:
    """Paints on the canvas' overlay."""

    def __init__(self, session: Session, hand: AreaHand) -> None:
        self._session, self._hand = session, hand
        self._polygons: dict[int, tuple[AreaRecord, QPolygonF]] = {}

    def paint(self, painter: QPainter, view: View) -> None:
        """Draw declared areas and the outline being drawn."""
        declaring, drawing = self._session.declaring, self._session.tool == TOOL
        if declaring.shown or drawing:
            self._paint_areas(painter, view)
        if drawing:
            self._paint_hand(painter, view)

    # -- what is declared --------------------------------------------------------------------------------------------

    def _paint_areas(self, painter: QPainter, view: View) -> None:
        declaring = self._session.declaring
        self._polygons = {area.id: self._known(area) for area in declaring.areas()}
        top, left, bottom, right = view.bounds
        in_view = QRectF(left, top, right - left, bottom - top)
        seen = [known for known in self._polygons.values() if known[1].boundingRect().intersects(in_view)]
        painter.save()
        painter.setTransform(_to_screen(view), True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for area, polygon in seen:
            wide = 3.0 if area.id == declaring.picked else 1.5
            for pen in (QPen(HALO, wide + 2.5), QPen(COLOUR, wide)):
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPolygon(polygon)
        painter.restore()
        taken: list[QRectF] = []
        for area, polygon in seen:
            self._paint_label(painter, view, area, polygon, taken)

    def _known(self, area: AreaRecord) -> tuple[AreaRecord, QPolygonF]:
        known = self._polygons.get(area.id)
        if known is not None and known[0] is area:
            return known
        return area, QPolygonF([QPointF(x, y) for ring in area.outline.rings() for y, x in ring])

    def _paint_label(
        self, painter: QPainter, view: View, area: AreaRecord, polygon: QPolygonF, taken: list[QRectF]
    ) -> None:
        """Write inside the upper left corner of what is in sight of an area, below labels that are there already."""
        box = _to_screen(view).mapRect(polygon.boundingRect())
        if box.width() < LEAST_POINTS[0] or box.height() < LEAST_POINTS[1]:
            return
        in_sight = box.intersected(QRectF(0, 0, view.width, view.height))
        font = _font(painter)
        metrics = QFontMetricsF(font)
        words = metrics.elidedText(
            f"Complete: {self._session.declaring.class_words(area.class_ids)} · {signed(area)}"
            if area.class_ids
            else "Drawn at random, to be searched",
            Qt.TextElideMode.ElideRight,
            max(LEAST_POINTS[0], in_sight.width() - 4 * MARGIN),
        )
        plate = QRectF(0, 0, metrics.horizontalAdvance(words) + 12, metrics.height() + 4)
        plate.moveTopLeft(in_sight.topLeft() + QPointF(MARGIN, MARGIN))
        while any(plate.intersects(other) for other in taken):
            plate.translate(0, plate.height() + 2)
        taken.append(plate)
        _write(painter, font, plate, words, COLOUR)

    # -- the outline that is drawn -----------------------------------------------------------------------------------

    def _paint_hand(self, painter: QPainter, view: View) -> None:
        hand = self._hand
        if hand.rectangle is not None:
            y0, x0, y1, x1 = hand.rectangle
            rect = QRectF(QPointF(*view.to_screen(y0, x0)), QPointF(*view.to_screen(y1, x1)))
            painter.setBrush(QColor(255, 255, 255, 20))
            for pen in (QPen(HALO, 4), QPen(DRAWN, 2)):
                painter.setPen(pen)
                painter.drawRect(rect)
            size, um = (y1 - y0, x1 - x0), self._session.pixel_size_um
            words = f"{extent_text(*size, um)}   {area_text(size[0] * size[1], um)}"
            self._say(painter, rect.bottomLeft() + QPointF(0, 8), words)
        elif hand.corners:
            self._paint_corners(painter, view)

    def _paint_corners(self, painter: QPainter, view: View) -> None:
        hand = self._hand
        points = [QPointF(*view.to_screen(y, x)) for y, x in hand.corners]
        line, closes = list(points), False
        if hand.place is not None:
            x, y = view.to_screen(*hand.place)
            closes = hand.closes(x, y, view)
            line.append(points[0] if closes else QPointF(x, y))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(HALO, 4), QPen(DRAWN, 2)):
            painter.setPen(pen)
            painter.drawPolyline(QPolygonF(line))
        if len(line) > 2 and not closes:  # how it would be closed now
            painter.setPen(QPen(FAINT, 1))  # no dots: a line may be millions of points long
            painter.drawLine(line[-1], points[0])
        painter.setPen(QPen(QColor(20, 20, 20), 1))
        painter.setBrush(DRAWN)
        for place, point in enumerate(points):
            reach = CORNER_POINTS + (3 if closes and place == 0 else 0)
            painter.drawEllipse(point, reach, reach)

    def _say(self, painter: QPainter, place: QPointF, words: str) -> None:
        font = _font(painter)
        metrics = QFontMetricsF(font)
        plate = QRectF(place.x(), place.y(), metrics.horizontalAdvance(words) + 12, metrics.height() + 4)
        _write(painter, font, plate, words, DRAWN)


def _to_screen(view: View) -> QTransform:
    left, top = view.to_screen(0, 0)
    return QTransform(view.zoom, 0, 0, view.zoom, left, top)


def _font(painter: QPainter) -> QFont:
    font = QFont(painter.font())
    font.setPointSizeF(max(8.0, font.pointSizeF() - 1))
    return font


def _write(painter: QPainter, font: QFont, plate: QRectF, words: str, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(PLATE)
    painter.drawRoundedRect(plate, 3, 3)
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, words)
