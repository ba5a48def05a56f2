"""The large picture of one finding, and the small map that shows where it is on the slide."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.review_order import FindingModel
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crops import MISSING, CropImage, CropProvider, CropSpec
from microscope_qc.app.widgets.finding_paint import HALO, BoxStyle, box_of, paint_box, paint_crop
from microscope_qc.app.widgets.suggestion_grid import suggested_style
from microscope_qc.core.wording import class_of, metric_text, round_length

if TYPE_CHECKING:
    from microscope_qc.project.records import SlideRecord

AHEAD = 3
"""Pictures of so many findings are read before the user comes to them."""
CONTEXT = 1.2
CONTEXT_RANGE = (0.15, 12.0)
NOTHING = "No findings to review. Run a detection, draw boxes, or change what is filtered out."


def paint_scale_bar(painter: QPainter, target: QRectF, px_per_um: float) -> None:
    """White bar with a dark rim at the lower left, about a fifth of the picture wide."""
    length_um = round_length(target.width() * 0.22 / px_per_um)
    text = metric_text(length_um)
    left, bottom = target.left() + 16, target.bottom() - 18
    bar = QRectF(left, bottom, length_um * px_per_um, 4)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QPen(HALO, 1))
    painter.setBrush(QColor("white"))
    painter.drawRect(bar)
    font = QFont(painter.font())
    font.setBold(True)
    painter.setFont(font)
    width = max(bar.width(), painter.fontMetrics().horizontalAdvance(text) + 8)
    label = QRectF(left, bottom - painter.fontMetrics().height() - 3, width, painter.fontMetrics().height())
    for shift, colour in ((1.0, QColor(0, 0, 0, 200)), (0.0, QColor("white"))):
        painter.setPen(colour)
        painter.drawText(label.translated(shift, shift), int(Qt.AlignmentFlag.AlignLeft), text)


class BigCrop(QWidget):
    """The current finding with its surroundings; the wheel shows more or less of them.

    ``zoomed`` tells the zoom in screen points for each pixel of the slide.
    """

    zoomed = Signal(float)

    def __init__(
        self, session: Session, model: FindingModel, crops: CropProvider, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 200)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._session = session
        self._model = model
        self._crops = crops
        self._context = CONTEXT
        self._wanted: CropSpec | None = None
        self._last: tuple[CropSpec, CropImage] | None = None
        self._zoom = 0.0
        crops.ready.connect(self._on_crops_ready)

    @property
    def context(self) -> float:
        """Margin around the box as a share of its longer side."""
        return self._context

    def set_context(self, context: float) -> None:
        """Show more or less of the surroundings."""
        self._context = min(max(context, CONTEXT_RANGE[0]), CONTEXT_RANGE[1])
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: zoom."""
        self.set_context((self._context + 0.5) * 1.2 ** (-event.angleDelta().y() / 120) - 0.5)

    def spec(self, row: np.void) -> CropSpec:
        """What to read for a box."""
        ratio = self.devicePixelRatioF()
        size = (max(1, round(self.height() * ratio)), max(1, round(self.width() * ratio)))
        slide = self._slide_of(row)
        within, number = (None, 0) if slide is None else (slide.shape_px, slide.id)
        return CropSpec.around(box_of(row), shape_px=size, context=self._context, within=within, slide_id=number)

    def _slide_of(self, row: np.void) -> SlideRecord | None:
        """The slide of a finding; suggestions, which have no number, are of the slide on screen."""
        return self._session.slide_of(int(row["id"])) if row["id"] else self._session.slide

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: picture, box, scale bar."""
        painter = QPainter(self)
        target = QRectF(self.rect())
        painter.fillRect(target, QColor(24, 24, 26))
        current, row = self._session.selection.current, looked_at(self._session, self._model)
        if row is None:
            painter.setPen(QColor(190, 190, 190))
            hint = "Press → for the first finding." if self._model.count else NOTHING
            painter.drawText(target, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), hint)
            return
        self._wanted = spec = self.spec(row)
        self._tell_zoom(target.width() / spec.region.shape[1])
        crop = self._crops.get(spec)
        reason = self._why_nothing(crop, spec) if crop is None or crop.image is None else ""
        if reason:
            painter.setPen(QColor(190, 190, 190))
            painter.drawText(target, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), reason)
        elif crop is not None or self._last is None or not _overlap(self._last[0], spec):
            paint_crop(painter, target, spec, crop)
        else:
            self._paint_last(painter, target, spec)
        colour = class_of(self._model.classes, row).colour
        style = BoxStyle.of(row, colour, line_px=2.5) if row["id"] else suggested_style(colour, line_px=2.5)
        paint_box(painter, target, spec, box_of(row), style)
        pixel_size = self._session.pixel_size_of(int(row["id"])) if row["id"] else self._session.pixel_size_um
        if pixel_size is not None:
            paint_scale_bar(painter, target, target.width() / spec.region.shape[1] / pixel_size[1])
        if crop is not None:
            self._last = (spec, crop)
            self._read_ahead(current)

    def _tell_zoom(self, zoom: float) -> None:
        if zoom != self._zoom:
            self._zoom = zoom
            self.zoomed.emit(zoom)

    def _why_nothing(self, crop: CropImage | None, spec: CropSpec) -> str:
        """What to say where there is no picture; "" while it is being read from an open slide."""
        session = self._session
        if session.slide is not None and spec.slide_id == session.slide.id and session.mosaic is None:
            return str(session.mosaic_error) if session.mosaic_error is not None else "Opening the slide …"
        if crop is not None and crop.error == MISSING:
            slide = session.slide_of(session.selection.current or 0)
            return "" if slide is None else f"The file of {slide.name} was not found: show it in the list of slides."
        return ""

    def _paint_last(self, painter: QPainter, target: QRectF, spec: CropSpec) -> None:
        """Stretch the previous picture into place while a zoom step is read."""
        assert self._last is not None
        old, crop = self._last
        scale_y, scale_x = target.height() / spec.region.shape[0], target.width() / spec.region.shape[1]
        place = QRectF(
            target.left() + (old.region.x0 - spec.region.x0) * scale_x,
            target.top() + (old.region.y0 - spec.region.y0) * scale_y,
            old.region.shape[1] * scale_x,
            old.region.shape[0] * scale_y,
        )
        paint_crop(painter, place, old, crop)

    def _read_ahead(self, current: int | None) -> None:
        """Request the pictures of the next findings, so that they are ready when the user goes on."""
        place = self._model.row_of(current)
        if place is None:
            return
        for following in range(place + 1, min(place + 1 + AHEAD, self._model.count)):
            row = self._model.box(self._model.id_at(following))
            if row is not None:
                self._crops.get(self.spec(row))
                if following == place + 1:
                    self._session.open_ahead(int(row["id"]))
                    slide = self._session.slide_of(int(row["id"]))
                    if slide is not None:
                        self._crops.get(map_of(slide))

    def _on_crops_ready(self, specs: Collection[CropSpec]) -> None:
        if self._wanted in specs:  # those read ahead change nothing on screen
            self.update()


def looked_at(session: Session, model: FindingModel) -> np.void | None:
    """The row of the suggestion that is looked at, which has the number 0, or of the current finding."""
    place, current = session.suggested.current, session.selection.current
    if place is not None:
        return session.suggested.row(place)
    return None if current is None else model.box(current)


def _overlap(a: CropSpec, b: CropSpec) -> bool:
    cut = a.region
    rows, columns = cut.y0 < b.region.y1 and b.region.y0 < cut.y1, cut.x0 < b.region.x1 and b.region.x0 < cut.x1
    return a.slide_id == b.slide_id and rows and columns


def map_of(slide: SlideRecord) -> CropSpec:
    """What to read for the small map of a slide."""
    return CropSpec.whole(slide.shape_px, longest_px=512, slide_id=slide.id)


class SlideMap(QWidget):
    """The whole slide, small, with a ring around the current finding; a click selects the nearest finding."""

    place_clicked = Signal(float, float)  # y, x in slide pixels

    def __init__(
        self, session: Session, model: FindingModel, crops: CropProvider, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._model = model
        self._crops = crops
        self._wanted: CropSpec | None = None
        self.setMinimumHeight(96)
        crops.ready.connect(self._on_crops_ready)
        for signal in (session.selection.changed, session.suggested.current_changed):
            link(self, signal, self._on_selection_changed)

    def sizeHint(self) -> QSize:
        """Qt: a thumbnail."""
        return QSize(260, 170)

    def _slide(self) -> SlideRecord | None:
        """The slide of the current finding; without one that on screen."""
        current = self._session.selection.current
        if self._session.suggested.current is not None:
            return self._session.slide
        found = None if current is None else self._session.slide_of(current)
        return self._session.slide if found is None else found

    def _place(self) -> QRectF | None:
        slide = self._slide()
        if slide is None:
            return None
        height, width = slide.shape_px
        scale = min(self.width() / max(width, 1), self.height() / max(height, 1))
        return QRectF((self.width() - width * scale) / 2, 0, width * scale, height * scale)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: thumbnail and ring."""
        place, slide = self._place(), self._slide()
        if place is None or slide is None:
            return
        painter = QPainter(self)
        self._wanted = spec = map_of(slide)
        paint_crop(painter, place, spec, self._crops.get(spec))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(place.adjusted(0, 0, -1, -1))
        row = looked_at(self._session, self._model)
        if row is None:
            return
        scale = place.width() / slide.shape_px[1]
        centre = QPointF(
            place.left() + (row["x0"] + row["x1"]) / 2 * scale, place.top() + (row["y0"] + row["y1"]) / 2 * scale
        )
        for width, colour in ((4.5, HALO), (2.0, QColor("white"))):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(centre, 7, 7)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: report the position on the slide that was clicked."""
        place, slide = self._place(), self._slide()
        if place is not None and place.contains(event.position()) and slide is not None:
            scale = slide.shape_px[1] / place.width()
            self.place_clicked.emit(
                (event.position().y() - place.top()) * scale, (event.position().x() - place.left()) * scale
            )

    def _on_crops_ready(self, specs: Collection[CropSpec]) -> None:
        if self._wanted in specs:  # those read ahead change nothing on screen
            self.update()

    def _on_selection_changed(self) -> None:
        self.update()
