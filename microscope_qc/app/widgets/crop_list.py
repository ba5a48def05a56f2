"""Lists of crops: the gallery's, the strip of the review page, the preview of similar findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    QTimer,
)
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QFrame, QStyleOptionViewItem, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.review_order import BOX_ID, FindingModel
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.cell_grid import GridView
from microscope_qc.app.widgets.crop_slides import follow_slides
from microscope_qc.app.widgets.crops import CropProvider, CropSpec
from microscope_qc.app.widgets.finding_paint import FindingDelegate

Index = QModelIndex | QPersistentModelIndex

NOWHERE = QModelIndex()
REPAINT_MS = 60
REST_MS = 8
AT_A_TIME = 6
"""So many new cells are drawn before the window answers again."""
MOST_WAITING = 2000


class CropView(GridView):
    """Cells that show findings; it never reads pixels itself."""

    def __init__(self, session: Session, parent: QWidget | None = None, *, one_row: bool = False) -> None:
        super().__init__(parent, one_row=one_row)
        self._session = session
        self.crops = CropProvider(self)
        self.delegate = FindingDelegate(session, session.findings, self.crops, self)
        self.setItemDelegate(self.delegate)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._repaint = QTimer(self)
        self._repaint.setSingleShot(True)
        self._repaint.timeout.connect(self._repaint_arrived)
        self._arrived: set[CropSpec] = set()
        self.crops.ready.connect(self._on_crops_ready)
        follow_slides(self, self.crops, session)
        for signal in (session.mosaic_changed, session.slide_changed, session.slides_changed):
            link(self, signal, self._on_slides_changed)
        self.set_side(self.delegate.side)

    def set_side(self, side: int) -> None:
        """Show crops of another size."""
        self.delegate.set_side(side)
        self.delegate.ratio = self.devicePixelRatioF()
        self.verticalScrollBar().setSingleStep(max(24, side // 3))
        self.horizontalScrollBar().setSingleStep(max(24, side // 3))
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        self.set_cell_size(self.delegate.sizeHint(option, QModelIndex()))

    def keyboardSearch(self, search: str) -> None:
        """Qt: letters are keys of the review, not a search."""

    def _on_slides_changed(self) -> None:
        self.viewport().update()

    def _on_crops_ready(self, specs: list[CropSpec]) -> None:
        self._arrived.update(specs)
        if not self._repaint.isActive():
            self._repaint.start(REPAINT_MS)

    def _repaint_arrived(self) -> None:
        """Repaint the visible cells whose pictures have arrived, a few at a time."""
        arrived, self._arrived = self._arrived, set()
        waiting = self.delegate.waiting
        if arrived <= waiting.keys():
            page = self.viewport().rect()
            seen = [spec for spec in arrived if page.intersects(self.rect_of(waiting[spec]))]
            seen.sort(key=waiting.__getitem__)
            self._arrived.update(seen[AT_A_TIME:])
            for spec in arrived - self._arrived:
                self.viewport().update(self.rect_of(waiting.pop(spec)))
            if self._arrived:
                self._repaint.start(REST_MS)
        else:  # pictures already on screen arrive again, with another brightness
            waiting.clear()
            self.viewport().update()
        if len(waiting) > MOST_WAITING:
            waiting.clear()
            self.viewport().update()


class FindingView(CropView):
    """The findings in review order; the selection is the session's."""

    def __init__(self, session: Session, parent: QWidget | None = None, *, one_row: bool = False) -> None:
        super().__init__(session, parent, one_row=one_row)
        self._findings: FindingModel = session.findings
        self.setModel(self._findings)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._syncing = False
        self._findings.modelReset.connect(self._show_selection)
        self._findings.rowsInserted.connect(self._show_selection)
        self._findings.rowsRemoved.connect(self._show_selection)
        link(self, session.selection.changed, self._show_selection)
        self.selectionModel().selectionChanged.connect(self._on_view_selection_changed)
        self._show_selection()

    def _on_view_selection_changed(self, *_: object) -> None:
        """Take over what the user selected in this view."""
        if self._syncing or self._findings.taking_out:
            return
        chosen = self.selectionModel().selection()
        parts = [self._findings.ids_between(part.top(), part.bottom()) for part in chosen]  # type: ignore[attr-defined]
        ids = np.concatenate([np.empty(0, np.int64), *parts])
        current = self.currentIndex().data(BOX_ID) if self.currentIndex().isValid() else None
        self._findings.start_review()
        self._session.selection.set(ids, current=current if current in ids else None)
        if self._session.selection.current is not None:
            self._session.navigation.centre(self._session.selection.current)

    def _show_selection(self, *_: object) -> None:
        """Show the session's selection, as few ranges as possible."""
        rows = self._findings.rows_of(self._session.selection.ids)
        at = self._findings.row_of(self._session.selection.current)
        self._syncing = True
        try:
            selection = QItemSelection()
            if len(rows):
                for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
                    selection.select(self._findings.index(int(run[0]), 0), self._findings.index(int(run[-1]), 0))
            model = self.selectionModel()
            model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            if at is not None:
                index = self._findings.index(at, 0)
                model.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
                self.show_current(index)
        finally:
            self._syncing = False

    def show_current(self, index: QModelIndex) -> None:
        """Bring the current finding into view."""
        self.scrollTo(index, QAbstractItemView.ScrollHint.EnsureVisible)


class StripView(FindingView):
    """One row of findings with the current one near the left, so that the next ones are visible."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent, one_row=True)

    def set_side(self, side: int) -> None:
        """Show crops of another size, and adapt the height to them."""
        super().set_side(side)
        self.setFixedHeight(self.cell_size().height() + self.horizontalScrollBar().sizeHint().height() + 4)

    def show_current(self, index: QModelIndex) -> None:
        """Keep one judged finding visible at the left."""
        self.updateGeometries()
        self.horizontalScrollBar().setValue(max(0, (index.row() - 1) * self.cell_size().width()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the current one in place."""
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.show_current(self.currentIndex())


class _Ids(QAbstractListModel):
    def __init__(self, ids: Sequence[int], parent: QWidget) -> None:
        super().__init__(parent)
        self._ids = list(ids)

    def show_ids(self, ids: Sequence[int]) -> None:
        self.beginResetModel()
        self._ids = list(ids)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        return self._ids[index.row()] if index.isValid() and role == BOX_ID else None


class CropList(CropView):
    """A list of findings, for viewing only."""

    def __init__(self, session: Session, ids: Sequence[int], parent: QWidget) -> None:
        super().__init__(session, parent)
        self._ids = _Ids(ids, self)
        self.setModel(self._ids)

    def show_ids(self, ids: Sequence[int]) -> None:
        """Show other findings."""
        self._ids.show_ids(ids)
        self.updateGeometries()
        self.viewport().update()
