"""Findings that a measurement may belong to, side by side: a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QAbstractButton, QHBoxLayout, QVBoxLayout, QWidget

from microscope_qc.app.widgets.crops import CropProvider, CropSpec
from microscope_qc.app.widgets.finding_paint import HALO, BoxStyle, box_of, paint_box, paint_crop
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.wording import metric_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import SlideRecord

SIDE = 150
MOST = 4
"""So many fit side by side into a narrow panel; they are the nearest ones."""
AROUND = 1.2
Place = tuple[int, float, float]
"""Slide, y and x of a place where something was measured."""


class FindingButton(QAbstractButton):
    """A finding with its surroundings and a cross where the measurement lies; a click takes it."""

    def __init__(self, session: Session, crops: CropProvider, row: np.void, place: Place | None) -> None:
        super().__init__()
        self.finding = int(row["id"])
        self._crops, self._row = crops, row
        self._slide: SlideRecord | None = session.slide_of(self.finding)
        self._class = session.class_of(int(row["class_id"]))
        at_hand = place is not None and self._slide is not None and place[0] == self._slide.id
        self._place = place[1:] if place is not None and at_hand else None
        self.setText(f"{self._class.code} {self.finding}{self._away()}")
        self.setAccessibleName(f"Finding {self.text()}")
        self.setToolTip(f"{self._class.name}. Click: the measurement belongs to this finding")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        crops.ready.connect(self._on_ready)

    def _away(self) -> str:
        """How far the middle of the finding is from where the measurement lies."""
        size = None if self._slide is None else self._slide.pixel_size_um
        if size is None or self._place is None:
            return ""
        y0, x0, y1, x1 = box_of(self._row)
        dy, dx = (self._place[0] - (y0 + y1) / 2) * size[0], (self._place[1] - (x0 + x1) / 2) * size[1]
        return f", {metric_text(float((dy * dy + dx * dx) ** 0.5))}"

    @property
    def _spec(self) -> CropSpec:
        side = round(SIDE * self.devicePixelRatioF())
        number = 0 if self._slide is None else self._slide.id
        return CropSpec.around(box_of(self._row), shape_px=(side, side), context=AROUND, slide_id=number)

    def _on_ready(self, specs: Sequence[CropSpec]) -> None:
        if self._spec in specs:
            self.update()

    def sizeHint(self) -> QSize:
        """Qt: a square and a line."""
        return QSize(SIDE, SIDE + self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: surroundings, box, cross, name."""
        painter, spec = QPainter(self), self._spec
        side = min(self.width(), SIDE)
        target = QRectF(0, 0, side, side)
        paint_crop(painter, target, spec, self._crops.get(spec))
        paint_box(painter, target, spec, box_of(self._row), BoxStyle.of(self._row, self._class.colour))
        if self._place is not None:
            scale_y, scale_x = target.height() / spec.region.shape[0], target.width() / spec.region.shape[1]
            at = QPointF((self._place[1] - spec.region.x0) * scale_x, (self._place[0] - spec.region.y0) * scale_y)
            painter.setClipRect(target)
            for width, colour in ((4.0, HALO), (1.6, QColor("white"))):
                painter.setPen(QPen(colour, width))
                painter.drawLine(at - QPointF(7, 0), at + QPointF(7, 0))
                painter.drawLine(at - QPointF(0, 7), at + QPointF(0, 7))
            painter.setClipping(False)
        if self.underMouse() or self.hasFocus():
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 3))
            painter.drawRect(target.adjusted(1.5, 1.5, -1.5, -1.5))
        painter.setPen(self.palette().color(QPalette.ColorRole.Text))
        line = QRectF(0, side, self.width(), self.height() - side)
        painter.drawText(line, int(Qt.AlignmentFlag.AlignCenter), self.text())


class CandidateView(QWidget):
    """Some findings side by side; ``taken`` tells the number of the one that was clicked."""

    taken = Signal(int)

    def __init__(self, session: Session, crops: CropProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._crops = session, crops
        self._shown: tuple[object, ...] = ()
        self.words = note()
        self.buttons: list[FindingButton] = []
        self._row = QHBoxLayout()
        self._row.setAlignment(Qt.AlignmentFlag.AlignLeft)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addLayout(self._row)
        self.hide()

    def show_candidates(self, label: str, ids: Sequence[int], place: Place | None) -> None:
        """Show what may be meant by a measurement of this label, which lies at ``place``; nothing for no ids."""
        if (label, *ids) != self._shown:
            self._shown = (label, *ids)
            self._rebuild(ids, place)
            hidden = len(ids) - len(self.buttons)
            more = f" {hidden} of {len(ids)} are farther away or on another slide: type the number." if hidden else ""
            self.words.setText(f"Which one is {label}?{more}")
        self.setVisible(bool(ids))

    def _rebuild(self, ids: Sequence[int], place: Place | None) -> None:
        for button in self.buttons:
            self._row.removeWidget(button)
            button.hide()
            button.deleteLater()
        rows = self._session.rows_of(np.array(ids, np.int64))
        self.buttons = [FindingButton(self._session, self._crops, row, place) for row in rows[:MOST]]
        for button in self.buttons:
            button.clicked.connect(lambda _on=False, number=button.finding: self.taken.emit(number))
            self._row.addWidget(button)
