"""Painting of one finding: crop with its box, badges, caption."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPoint, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from microscope_qc.app.base import theme
from microscope_qc.app.session.review_order import BOX_ID
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crops import MISSING, CropImage, CropProvider, CropSpec
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import class_of, confidence_text, size_text

if TYPE_CHECKING:
    from microscope_qc.core.defect_class import DefectClass
    from microscope_qc.project.records import SlideRecord

CONFIRMED = QColor("#009E73")
REJECTED = QColor("#8a8a8a")
CHOSEN = QColor("#F0E442")
HALO = QColor(0, 0, 0, 170)
PADDING = 4
CELLS_KEPT = 200
"""Drawn cells are cached: going from one finding to the next draws two cells, not all that are visible."""


class Badge(Enum):
    """Small signs in the corner of a crop."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CHOSEN = "chosen"


@dataclass(frozen=True, slots=True)
class BoxStyle:
    """How a box is painted over its crop."""

    colour: QColor
    state: ReviewState
    line_px: float = 2.0
    dotted: bool = False

    @classmethod
    def of(cls, row: np.void, colour: str, *, line_px: float = 2.0) -> BoxStyle:
        """Style of a box row."""
        return cls(QColor(colour), ReviewState(int(row["state"])), line_px)


def box_of(row: np.void) -> tuple[float, float, float, float]:
    """Corners y0, x0, y1, x1 of a row."""
    return float(row["y0"]), float(row["x0"]), float(row["y1"]), float(row["x1"])


@lru_cache(maxsize=2 * CELLS_KEPT)
def _spec_around(box: tuple[float, float, float, float], side: int, slide_id: int) -> CropSpec:
    return CropSpec.around(box, shape_px=(side, side), slide_id=slide_id)


def paint_crop(painter: QPainter, target: QRectF, spec: CropSpec, crop: CropImage | None) -> None:
    """Draw the picture into ``target``; a grey field while it is being read, a message if it cannot be read."""
    if crop is not None and crop.image is not None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(target, crop.image)
        return
    painter.fillRect(target, QColor(128, 128, 128, 60))
    if crop is not None:
        painter.setPen(QColor(160, 160, 160))
        words = MISSING if crop.error == MISSING else "cannot be read"
        painter.drawText(target, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), words)


def paint_box(
    painter: QPainter, target: QRectF, spec: CropSpec, box: tuple[float, float, float, float], style: BoxStyle
) -> QRectF:
    """Outline of a box over its crop: solid confirmed, dashed unreviewed, thin grey rejected, dotted suggested.

    Returns its rectangle.
    """
    height, width = spec.region.shape
    scale_y, scale_x = target.height() / max(height, 1), target.width() / max(width, 1)
    y0, x0, y1, x1 = box
    rect = QRectF(
        target.left() + (x0 - spec.region.x0) * scale_x,
        target.top() + (y0 - spec.region.y0) * scale_y,
        max((x1 - x0) * scale_x, 2.0),
        max((y1 - y0) * scale_y, 2.0),
    )
    # lines along the pixels are crisper and many times faster without smoothing
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    rejected = style.state is ReviewState.REJECTED
    width_px = 1.0 if rejected else style.line_px
    painter.setPen(QPen(HALO, width_px + 2.0))
    painter.drawRect(rect)
    pen = QPen(QColor(200, 200, 200) if rejected else style.colour, width_px)
    if style.dotted:
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([1.2, 1.6])
    elif style.state is ReviewState.UNREVIEWED:
        pen.setDashPattern([4.0, 2.5])
    painter.setPen(pen)
    painter.drawRect(rect)
    return rect


def paint_badge(painter: QPainter, centre: QPointF, radius: float, badge: Badge) -> None:
    """A tick, a cross or a star in a disc."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    disc = {Badge.CONFIRMED: CONFIRMED, Badge.REJECTED: REJECTED, Badge.CHOSEN: QColor(40, 40, 40)}[badge]
    painter.setPen(QPen(QColor(255, 255, 255, 230), 1.2))
    painter.setBrush(disc)
    painter.drawEllipse(centre, radius, radius)
    stroke = QPen(QColor("white"), max(1.6, radius * 0.24))
    stroke.setCapStyle(Qt.PenCapStyle.RoundCap)
    stroke.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    x, y, r = centre.x(), centre.y(), radius
    if badge is Badge.CONFIRMED:
        painter.setPen(stroke)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(
            QPolygonF(
                [
                    QPointF(x - 0.45 * r, y + 0.02 * r),
                    QPointF(x - 0.1 * r, y + 0.38 * r),
                    QPointF(x + 0.48 * r, y - 0.35 * r),
                ]
            )
        )
    elif badge is Badge.REJECTED:
        painter.setPen(stroke)
        painter.drawLine(QPointF(x - 0.36 * r, y - 0.36 * r), QPointF(x + 0.36 * r, y + 0.36 * r))
        painter.drawLine(QPointF(x - 0.36 * r, y + 0.36 * r), QPointF(x + 0.36 * r, y - 0.36 * r))
    else:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(CHOSEN)
        painter.drawPolygon(_star(x, y, 0.74 * r))
    painter.restore()


def _star(x: float, y: float, radius: float) -> QPolygonF:
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, radius, radius * 0.45)
    return QPolygonF(
        [QPointF(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(angles.tolist(), radii.tolist(), strict=True)]
    )


class Rows(Protocol):
    """What a delegate asks of a model."""

    @property
    def classes(self) -> Mapping[int, DefectClass]:
        """The classes by their numbers."""

    def box(self, box_id: int, /) -> np.void | None:
        """The row of what a cell shows."""


class FindingDelegate(QStyledItemDelegate):
    """Paints the cells of a gallery."""

    def __init__(self, session: Session, model: Rows, crops: CropProvider, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model = model
        self._crops = crops
        self._side = 128
        self.ratio = 1.0
        self.waiting: dict[CropSpec, int] = {}  # model rows of cells whose pictures were asked for
        self._cells: OrderedDict[Hashable, QPixmap] = OrderedDict()
        self._option: QStyleOptionViewItem | None = None
        self._look: Hashable = None

    @property
    def side(self) -> int:
        """Side of the crops on screen, in px."""
        return self._side

    def set_side(self, side: int) -> None:
        """Make crops larger or smaller."""
        self._side = side

    def caption_font(self, base: QFont) -> QFont:
        """Font of the two lines under a crop."""
        font = QFont(base)
        font.setPointSizeF(max(7.0, base.pointSizeF() - 0.5))
        return font

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: all cells have one size."""
        line = QFontMetrics(self.caption_font(option.font)).height()
        return QSize(self._side + 2 * PADDING + 4, self._side + 2 * PADDING + 2 * line + 6)

    def slide_of(self, row: np.void) -> SlideRecord | None:
        """The slide that a row is of."""
        return self._session.slide_of(int(row["id"]))

    def pixel_size_of(self, row: np.void) -> tuple[float, float] | None:
        """The pixel size of that slide."""
        return self._session.pixel_size_of(int(row["id"]))

    def style_of(self, row: np.void, colour: str) -> BoxStyle:
        """How its box is painted."""
        return BoxStyle.of(row, colour)

    def spec(self, row: np.void) -> CropSpec:
        """What to read for a box at the current size."""
        slide = self.slide_of(row)
        return _spec_around(box_of(row), round(self._side * self.ratio), 0 if slide is None else slide.id)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: one cell."""
        row = self._model.box(index.data(BOX_ID))
        if row is None:
            return
        place = QRect(option.rect)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        key = self._key(row, option, index.row(), selected=selected, hovered=hovered)
        drawn = self._cells.get(key)
        if drawn is None:
            drawn = QPixmap(place.size() * self.ratio)
            drawn.setDevicePixelRatio(self.ratio)
            drawn.fill(Qt.GlobalColor.transparent)
            sheet = QPainter(drawn)
            self._paint_cell(sheet, option, QRect(QPoint(), place.size()), row, selected=selected, hovered=hovered)
            sheet.end()
            self._cells[key] = drawn
            if len(self._cells) > CELLS_KEPT:
                self._cells.popitem(last=False)
        else:
            self._cells.move_to_end(key)
        painter.drawPixmap(place.topLeft(), drawn)

    def _key(self, row: np.void, option: QStyleOptionViewItem, at: int, *, selected: bool, hovered: bool) -> Hashable:
        """Everything a cell is drawn from: it is drawn again when any of it differs."""
        spec = self.spec(row)
        crop = self._crops.get(spec)
        if crop is None:
            self.waiting[spec] = at
        image = None if crop is None else 0 if crop.image is None else crop.image.cacheKey()
        values = row.item()
        if np.isnan(row["confidence"]):  # NaN, for none, is not equal to itself
            values = tuple(map(str, values))
        found = class_of(self._model.classes, row)
        slide = self.slide_of(row) if self._session.scoped.several else None
        place = spec.slide_id, None if slide is None else slide.name, self.pixel_size_of(row)
        return values, image, found.code, found.colour, place, selected, hovered, self._look_of(option)

    def _look_of(self, option: QStyleOptionViewItem) -> Hashable:
        """What is the same for all cells that a view paints with one option: it is asked for once."""
        if option is not self._option:
            size, font = option.rect.size(), option.font.key()
            ink = option.palette.color(QPalette.ColorRole.Text).rgba()
            self._option = option
            self._look = size.width(), size.height(), self._side, self.ratio, font, ink, theme.current().accent
        return self._look

    def _paint_cell(
        self, painter: QPainter, option: QStyleOptionViewItem, cell: QRect, row: np.void, *, selected: bool,
        hovered: bool,
    ) -> None:  # fmt: skip
        palette: QPalette = option.palette
        found = class_of(self._model.classes, row)
        painter.save()
        painter.setClipRect(cell)
        body = QRectF(cell.adjusted(2, 2, -2, -2))
        if selected or hovered:
            # the style sheet hides the accent from the view's own palette
            shade = QColor(theme.current().accent)
            shade.setAlpha(95 if selected else 40)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shade)
            painter.drawRoundedRect(body, 4, 4)
        side = self._side
        picture = QRectF(
            body.left() + PADDING - 1 + (body.width() - side - 2 * PADDING + 2) / 2, body.top() + PADDING, side, side
        )
        self._paint_picture(painter, picture, row, self.style_of(row, found.colour))
        if selected:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(HALO, 4))
            painter.drawRect(picture)
            painter.setPen(QPen(QColor("white"), 2))
            painter.drawRect(picture)
        caption = QRectF(picture.left(), picture.bottom() + 3, side, body.bottom() - picture.bottom() - 3)
        role = QPalette.ColorRole.Text
        painter.setFont(self.caption_font(option.font))
        self._paint_caption(painter, caption, row, palette.color(role), found.code, QColor(found.colour))
        painter.restore()

    def _paint_picture(self, painter: QPainter, picture: QRectF, row: np.void, style: BoxStyle) -> None:
        spec = self.spec(row)
        rejected = style.state is ReviewState.REJECTED
        painter.save()
        painter.setClipRect(picture)
        painter.setOpacity(0.45 if rejected else 1.0)
        paint_crop(painter, picture, spec, self._crops.get(spec))
        paint_box(painter, picture, spec, box_of(row), style)
        painter.restore()
        radius = 10.0 if self._side >= 112 else 8.0
        corner = QPointF(picture.right() - radius - 4, picture.top() + radius + 4)
        if style.state is ReviewState.CONFIRMED:
            paint_badge(painter, corner, radius, Badge.CONFIRMED)
        elif rejected:
            paint_badge(painter, corner, radius, Badge.REJECTED)
        if row["chosen"]:
            paint_badge(painter, QPointF(picture.left() + radius + 4, picture.top() + radius + 4), radius, Badge.CHOSEN)

    def _paint_caption(
        self, painter: QPainter, area: QRectF, row: np.void, ink: QColor, code: str, colour: QColor
    ) -> None:
        metrics = painter.fontMetrics()
        line = metrics.height()
        chip = QRectF(area.left(), area.top() + line * 0.22, line * 0.56, line * 0.56)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(HALO, 0.8))
        painter.setBrush(colour)
        painter.drawRoundedRect(chip, 2, 2)
        first = QRectF(chip.right() + 5, area.top(), area.right() - chip.right() - 5, line)
        right, left = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft
        painter.setPen(ink)
        confidence = confidence_text(float(row["confidence"]))
        bold = QFont(painter.font())
        bold.setBold(True)
        plain = painter.font()
        painter.drawText(first, int(right), confidence)
        painter.setFont(bold)
        room = int(first.width()) - metrics.horizontalAdvance(confidence) - 6
        painter.drawText(first, int(left), painter.fontMetrics().elidedText(code, Qt.TextElideMode.ElideRight, room))
        painter.setFont(plain)
        faint = QColor(ink)
        faint.setAlpha(190)
        painter.setPen(faint)
        rejected = int(row["state"]) == ReviewState.REJECTED
        size = size_text(row, self.pixel_size_of(row))
        slide = self.slide_of(row) if self._session.scoped.several else None
        text = str(row["reason"]) if rejected and row["reason"] else size if slide is None else slide.name
        # names of slides differ at their ends
        side = Qt.TextElideMode.ElideLeft if slide is not None and text == slide.name else Qt.TextElideMode.ElideRight
        second = QRectF(area.left(), area.top() + line, area.width(), line)
        elided = metrics.elidedText(text, side, int(area.width()))
        painter.drawText(second, int(left), elided)
