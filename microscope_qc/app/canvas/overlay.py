"""Text and tools above the slide: short codes, handles, the box being dragged, marks, scale bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QLineF, QPointF, QRectF, QSizeF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QWidget

from microscope_qc.app.canvas.tools import Box, Tools, handle_places
from microscope_qc.app.canvas.view import View, scale_bar
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import extent_text, number_text

if TYPE_CHECKING:
    from microscope_qc.app.canvas.boxes.box_layer import BoxLayer
    from microscope_qc.app.session.session import Session

MARK_COLOUR = QColor("#ffd21f")
STAGE_COLOUR = QColor("#56b4e9")
HALO = QColor(0, 0, 0, 190)
WHITE = QColor("#ffffff")


class Overlay(QWidget):
    """A transparent sheet over the canvas; the mouse goes through it."""

    def __init__(self, session: Session, boxes: BoxLayer, tools: Tools, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self._session, self._boxes, self._tools = session, boxes, tools
        self.view = View()
        self.further: list[Callable[[QPainter, View], None]] = []
        """Draw what tools of their own have to show, above the codes."""
        self._tags: dict[tuple[str, str, float], QPixmap] = {}
        font = QFont(self.font())
        font.setPointSizeF(max(8.0, font.pointSizeF() - 1))
        font.setWeight(QFont.Weight.DemiBold)
        self._tag_font = font

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        if self._session.slide is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_codes(painter)
        for paint in self.further:
            paint(painter, self.view)
        self._paint_marks(painter)
        self._paint_stage(painter)
        self._paint_measurement(painter)
        self._paint_gesture(painter)
        self._paint_scale_bar(painter)
        painter.end()

    def forget_tags(self) -> None:
        """Redraw the short codes, because classes have changed."""
        self._tags.clear()

    def _paint_codes(self, painter: QPainter) -> None:
        rows = self._boxes.labelled(self.view)
        classes = {item.id: item for item in self._session.classes}
        hidden, view, tags = self._boxes.hidden_id, self.view, {}
        names = ("id", "class_id", "y0", "x0", "state")
        for box_id, class_id, y0, x0, state in zip(*(rows[name].tolist() for name in names), strict=True):
            if box_id == hidden:
                continue
            key = class_id, state == ReviewState.REJECTED
            if key not in tags:
                item = classes.get(class_id) or self._session.class_of(class_id)
                tag = self.tag(item.code, "#b8b8b8" if key[1] else item.colour)
                tags[key] = tag, tag.height() / tag.devicePixelRatio()
            tag, height = tags[key]
            left, top = view.to_screen(y0, x0)
            y = top - height - 3
            painter.drawPixmap(QPointF(left - 1, y if y > 0 else top + 3), tag)

    def tag(self, code: str, colour: str) -> QPixmap:
        """A short text on a dark ground, at the resolution of the screen."""
        ratio = self.devicePixelRatioF()
        key = (code, colour, ratio)
        if key not in self._tags:
            metrics = QFontMetricsF(self._tag_font)
            width, height = metrics.horizontalAdvance(code) + 8, metrics.height() + 1
            pixmap = QPixmap(round(width * ratio), round(height * ratio))
            pixmap.setDevicePixelRatio(ratio)
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setBrush(QColor(16, 16, 16, 205))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRoundedRect(QRectF(0, 0, width, height), 3, 3)
            painter.setFont(self._tag_font)
            painter.setPen(_readable(QColor(colour)))
            painter.drawText(QRectF(0, 0, width, height), Qt.AlignmentFlag.AlignCenter, code)
            painter.end()
            self._tags[key] = pixmap
        return self._tags[key]

    def _paint_marks(self, painter: QPainter) -> None:
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return
        for mark in project.marks.of_slide(slide.id):
            x, y = self.view.to_screen(mark.y_px, mark.x_px)
            lines = [QLineF(x - 11, y, x - 3, y), QLineF(x + 3, y, x + 11, y)]
            lines += [QLineF(x, y - 11, x, y - 3), QLineF(x, y + 3, x, y + 11)]
            for pen in (QPen(HALO, 4.5), QPen(MARK_COLOUR, 2)):
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawLines(lines)
                painter.drawEllipse(QPointF(x, y), 7, 7)
            tag = self.tag(mark.name, MARK_COLOUR.name())
            painter.drawPixmap(QPointF(x + 12, y - tag.height() / tag.devicePixelRatio() - 2), tag)

    def _paint_stage(self, painter: QPainter) -> None:
        """A cross-hair where the SEM's stage is."""
        place, slide = self._session.stage_now.place, self._session.slide
        if place is None or slide is None or place[0] != slide.id:
            return
        x, y = self.view.to_screen(*place[1:])
        lines = [QLineF(x - 22, y, x + 22, y), QLineF(x, y - 22, x, y + 22)]
        for pen in (QPen(HALO, 4.5), QPen(STAGE_COLOUR, 2)):
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawLines(lines)
            painter.drawEllipse(QPointF(x, y), 14, 14)
        tag = self.tag("stage", STAGE_COLOUR.name())
        painter.drawPixmap(QPointF(x + 16, y + 6), tag)

    def _paint_gesture(self, painter: QPainter) -> None:
        if self._tools.band is not None:
            painter.setPen(QPen(WHITE, 1, Qt.PenStyle.DashLine))
            painter.setBrush(QColor(255, 255, 255, 28))
            painter.drawRect(self._rect(self._tools.band))
        if self._tools.line is not None:
            y0, x0, y1, x1 = self._tools.line
            line = QLineF(QPointF(*self.view.to_screen(y0, x0)), QPointF(*self.view.to_screen(y1, x1)))
            for pen in (QPen(HALO, 5), QPen(MARK_COLOUR, 2)):
                painter.setPen(pen)
                painter.drawLine(line)
            self._text(painter, line.p2() + QPointF(10, -6), f"{number_text(math.hypot(y1 - y0, x1 - x0))} px")
        ghost = self._tools.ghost
        if ghost is not None:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for pen in (QPen(HALO, 5), QPen(WHITE, 2)):
                painter.setPen(pen)
                painter.drawRect(self._rect(ghost))
            self._paint_size(painter, ghost)
        box = ghost if self._tools.gesture in {"move", "resize"} else self._tools.editable_box()
        if box is not None and self._tools.gesture != "draw":
            painter.setPen(QPen(QColor(20, 20, 20), 1))
            painter.setBrush(WHITE)
            for _, _, x, y in handle_places(box, self.view):
                painter.drawRect(QRectF(x - 3.5, y - 3.5, 7, 7))

    def _paint_measurement(self, painter: QPainter) -> None:
        measured = self._session.slide_view.measurement
        if measured is None:
            return
        a = QPointF(*self.view.to_screen(measured.y0, measured.x0))
        b = QPointF(*self.view.to_screen(measured.y1, measured.x1))
        line = QLineF(a, b)
        across = QPointF(0, 6) if line.length() == 0 else QPointF(-line.dy(), line.dx()) * (6 / line.length())
        for pen in (QPen(HALO, 5), QPen(MARK_COLOUR, 2)):
            painter.setPen(pen)
            painter.drawLine(line)
            for end in (a, b):
                painter.drawLine(QLineF(end - across, end + across))
        self._plate(painter, line, measured.words(self._session.pixel_size_um))

    def _plate(self, painter: QPainter, line: QLineF, words: str) -> None:
        """Draw a text on a dark ground next to the middle of a line, without covering it, inside the canvas."""
        metrics = QFontMetricsF(self._tag_font)
        size = QSizeF(metrics.horizontalAdvance(words) + 16, metrics.height() + 8)
        length = line.length() or 1.0
        normal = QPointF(line.dy(), -line.dx()) / length  # perpendicular to the line, on its upper side
        if normal.y() > 0 or (normal.y() == 0 and normal.x() < 0):
            normal = -normal
        away = abs(normal.x()) * size.width() / 2 + abs(normal.y()) * size.height() / 2 + 10
        rect = QRectF(QPointF(0, 0), size)
        rect.moveCenter(line.center() + normal * away)
        rect.moveLeft(min(max(rect.left(), 8.0), max(8.0, self.width() - rect.width() - 8)))
        rect.moveTop(min(max(rect.top(), 8.0), max(8.0, self.height() - rect.height() - 8)))
        painter.setPen(QPen(QColor(255, 255, 255, 60), 1))
        painter.setBrush(QColor(16, 16, 16, 220))
        painter.drawRoundedRect(rect, 4, 4)
        painter.setFont(self._tag_font)
        painter.setPen(WHITE)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, words)

    def _paint_size(self, painter: QPainter, box: Box) -> None:
        words = extent_text(box[2] - box[0], box[3] - box[1], self._session.pixel_size_um)
        if self._tools.gesture == "draw":
            words = f"{self._session.class_of(self._session.draw_class_id).code}  {words}"
        rect = self._rect(box)
        self._text(painter, QPointF(rect.left(), rect.bottom() + 18), words)

    def _paint_scale_bar(self, painter: QPainter) -> None:
        length, words = scale_bar(self.view, self._session.pixel_size_um)
        if length < 4:
            return
        left, bottom = 24.0, self.height() - 24.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 110))
        painter.drawRoundedRect(QRectF(left - 12, bottom - 28, length + 24, 40), 4, 4)
        for pen, grow in ((QPen(HALO, 6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap), 1.5),
                          (QPen(WHITE, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap), 0.0)):  # fmt: skip
            painter.setPen(pen)
            painter.drawLine(QPointF(left - grow, bottom), QPointF(left + length + grow, bottom))
        metrics = QFontMetricsF(self._tag_font)
        x = left + max(0.0, (length - metrics.horizontalAdvance(words)) / 2)
        self._text(painter, QPointF(x, bottom - 8), words)

    def _text(self, painter: QPainter, place: QPointF, words: str) -> None:
        painter.setFont(self._tag_font)
        painter.setPen(HALO)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            painter.drawText(place + QPointF(dx, dy), words)
        painter.setPen(WHITE)
        painter.drawText(place, words)

    def _rect(self, box: Box) -> QRectF:
        left, top = self.view.to_screen(box[0], box[1])
        right, bottom = self.view.to_screen(box[2], box[3])
        return QRectF(left, top, right - left, bottom - top)


def _readable(colour: QColor) -> QColor:
    """The colour, light enough to read on a dark ground."""
    return QColor.fromHslF(max(0.0, colour.hslHueF()), colour.hslSaturationF(), max(colour.lightnessF(), 0.62))
