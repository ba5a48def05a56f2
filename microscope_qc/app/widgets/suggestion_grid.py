"""The suggestions on the slide on screen as crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QAbstractListModel, QItemSelectionModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.review_order import BOX_ID
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_list import CropView
from microscope_qc.app.widgets.finding_paint import BoxStyle, FindingDelegate
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import class_of, confidence_text, size_text

if TYPE_CHECKING:
    from microscope_qc.core.defect_class import DefectClass
    from microscope_qc.project.records import SlideRecord

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()


class SuggestionModel(QAbstractListModel):
    """Those that are to be judged, in their order; a cell is named by its place in what was suggested."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._places: Ints = np.zeros(0, np.int64)
        self.classes: dict[int, DefectClass] = {}
        for signal in (session.suggested.changed, session.classes_changed, session.project_changed):
            link(self, signal, self._take)
        self._take()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: how many there are."""
        return 0 if parent.isValid() else len(self._places)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Qt: what a cell shows."""
        if not index.isValid() or index.row() >= len(self._places):
            return None
        place = int(self._places[index.row()])
        if role == BOX_ID:
            return place
        if role == int(Qt.ItemDataRole.ToolTipRole):
            row = self.box(place)
            if row is None:
                return None
            found = class_of(self.classes, row)
            size = size_text(row, self._session.pixel_size_um)
            sure = confidence_text(float(row["confidence"]))
            return f"Suggested: {found.code} ({found.name})\n{size}, {sure}\nEnter: right.  N: wrong.  1–9: its class."
        return None

    def box(self, box_id: int, /) -> np.void | None:
        """The row of a suggestion; None where that is gone."""
        suggested = self._session.suggested
        return suggested.row(box_id) if box_id < len(suggested.found) else None

    def row_of(self, place: int | None) -> int | None:
        """The row that shows a suggestion."""
        found = np.flatnonzero(self._places == (-1 if place is None else place))
        return int(found[0]) if len(found) else None

    def _take(self) -> None:
        self.beginResetModel()
        self._places = self._session.suggested.places
        self.classes = {item.id: item for item in self._session.classes}
        self.endResetModel()


class SuggestionDelegate(FindingDelegate):
    """Paints their cells: dotted, of the slide on screen."""

    def slide_of(self, row: np.void) -> SlideRecord | None:
        """The slide on screen."""
        return self._session.slide

    def pixel_size_of(self, row: np.void) -> tuple[float, float] | None:
        """The pixel size of the slide on screen."""
        return self._session.pixel_size_um

    def style_of(self, row: np.void, colour: str) -> BoxStyle:
        """Dotted."""
        return suggested_style(colour)


def suggested_style(colour: str, *, line_px: float = 2.0) -> BoxStyle:
    """How a suggestion is painted over its crop."""
    return BoxStyle(QColor(colour), ReviewState.UNREVIEWED, line_px, dotted=True)


class SuggestionGrid(CropView):
    """Cells of suggestions; a click looks at one, and the keys of the review judge it."""

    def __init__(self, session: Session, parent: QWidget | None = None, *, one_row: bool = False) -> None:
        super().__init__(session, parent, one_row=one_row)
        self.suggestions = SuggestionModel(session, self)
        self.delegate = SuggestionDelegate(session, self.suggestions, self.crops, self)
        self.setItemDelegate(self.delegate)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setModel(self.suggestions)
        self.set_side(self.delegate.side)
        self._syncing = False
        self.suggestions.modelReset.connect(self._show_current)
        link(self, session.suggested.current_changed, self._show_current)
        self.selectionModel().currentChanged.connect(self._on_current_changed)
        self._show_current()

    def set_side(self, side: int) -> None:
        """Show crops of another size; a single row adapts its height to them."""
        super().set_side(side)
        if self._one_row:
            self.setFixedHeight(self.cell_size().height() + self.horizontalScrollBar().sizeHint().height() + 4)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the current one in view."""
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    def _on_current_changed(self, index: QModelIndex, _before: QModelIndex) -> None:
        place = index.data(BOX_ID) if index.isValid() else None
        if not self._syncing and place is not None:
            self._session.suggested.select(int(place), go=True)

    def _show_current(self) -> None:
        row = self.suggestions.row_of(self._session.suggested.current)
        self._syncing = True
        try:
            if row is None:
                self.selectionModel().clear()
                return
            index = self.suggestions.index(row, 0)
            self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            self.scrollTo(index)
        finally:
            self._syncing = False
