"""Lists of crops: the gallery's, the strip of the review page, the preview of "same for all"."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
    QTimer,
)
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyleOptionViewItem, QWidget

from microscope_qc.app.crops import CropProvider
from microscope_qc.app.docks.gallery_link import link
from microscope_qc.app.docks.gallery_model import BOX_ID, FindModel, find_model
from microscope_qc.app.docks.gallery_paint import FindDelegate
from microscope_qc.app.session import Session

Index = QModelIndex | QPersistentModelIndex

NOWHERE = QModelIndex()
REPAINT_MS = 60


class CropView(QListView):
    """A list view that paints finds; it never reads pixels itself."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.crops = CropProvider(self)
        self.delegate = FindDelegate(session, find_model(session), self.crops, self)
        self.setItemDelegate(self.delegate)
        self.setUniformItemSizes(True)
        # list mode with wrapping lays out 100,000 equal cells at once; icon mode keeps a tree of them
        self.setViewMode(QListView.ViewMode.ListMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        self.setFrameShape(QListView.Shape.NoFrame)
        self._repaint = QTimer(self)
        self._repaint.setSingleShot(True)
        self._repaint.setInterval(REPAINT_MS)
        self._repaint.timeout.connect(self.viewport().update)
        self.crops.ready.connect(self._on_crops_ready)
        self.crops.follow(session.slide_view)
        link(self, session.mosaic_changed, self._on_mosaic_changed)
        link(self, session.slide_changed, self._on_mosaic_changed)
        self._on_mosaic_changed()
        self.set_side(self.delegate.side)

    def set_side(self, side: int) -> None:
        """Show crops of another size."""
        self.delegate.set_side(side)
        self.delegate.ratio = self.devicePixelRatioF()
        self.verticalScrollBar().setSingleStep(max(24, side // 3))
        self.horizontalScrollBar().setSingleStep(max(24, side // 3))
        self.scheduleDelayedItemsLayout()

    def cell_size(self) -> QSize:
        """Size of one cell."""
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        return self.delegate.sizeHint(option, QModelIndex())

    def keyboardSearch(self, search: str) -> None:
        """Qt: letters are keys of the review, not a search."""

    def dataChanged(self, top_left: Index, bottom_right: Index, roles: Sequence[int] = ()) -> None:
        """Qt: paint again; all cells have one size, so that nothing is laid out anew."""
        self.viewport().update()

    def _on_mosaic_changed(self) -> None:
        self.crops.set_mosaic(self._session.mosaic)
        self.viewport().update()

    def _on_crops_ready(self, _specs: object) -> None:
        if not self._repaint.isActive():
            self._repaint.start()


class FindView(CropView):
    """The finds in review order; selection is the session's."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self._finds: FindModel = find_model(session)
        self.setModel(self._finds)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._syncing = False
        self._finds.modelReset.connect(self._on_session_selection_changed)
        self._finds.rowsInserted.connect(self._on_rows_changed)
        self._finds.rowsRemoved.connect(self._on_rows_changed)
        link(self, session.selection.changed, self._on_session_selection_changed)
        self.selectionModel().selectionChanged.connect(self._on_view_selection_changed)
        self._on_session_selection_changed()

    def _on_view_selection_changed(self, *_: object) -> None:
        """Somebody clicked or moved in this view."""
        if self._syncing:
            return
        ids = [index.data(BOX_ID) for index in self.selectionModel().selectedRows()]
        current = self.currentIndex().data(BOX_ID) if self.currentIndex().isValid() else None
        self._finds.start_review()
        self._session.selection.set(ids, current=current if current in ids else None)
        if self._session.selection.current is not None:
            self._session.centre_requested.emit(self._session.selection.current)

    def _on_rows_changed(self, *_: object) -> None:
        self._on_session_selection_changed()

    def _on_session_selection_changed(self) -> None:
        """Show the session's selection, as few ranges."""
        self._syncing = True
        try:
            rows = sorted(
                row for row in map(self._finds.row_of, self._session.selection.ids.tolist()) if row is not None
            )
            selection = QItemSelection()
            start = 0
            for end in range(1, len(rows) + 1):
                if end == len(rows) or rows[end] != rows[end - 1] + 1:
                    selection.select(self._finds.index(rows[start], 0), self._finds.index(rows[end - 1], 0))
                    start = end
            model = self.selectionModel()
            model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            row = self._finds.row_of(self._session.selection.current)
            if row is not None:
                index = self._finds.index(row, 0)
                model.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
                self.show_current(index)
        finally:
            self._syncing = False
        self.viewport().update()

    def show_current(self, index: QModelIndex) -> None:
        """Bring the current find into sight."""
        self.scrollTo(index, QAbstractItemView.ScrollHint.EnsureVisible)


class StripView(FindView):
    """One row of finds with the current one near the left, so that the next ones are in sight."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.setWrapping(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def set_side(self, side: int) -> None:
        """Show crops of another size, and be just as high as they are."""
        super().set_side(side)
        self.setFixedHeight(self.cell_size().height() + self.horizontalScrollBar().sizeHint().height() + 4)

    def show_current(self, index: QModelIndex) -> None:
        """Leave one judged find in sight at the left."""
        self.executeDelayedItemsLayout()
        width = self.cell_size().width() + 2 * self.spacing()
        self.horizontalScrollBar().setValue(max(0, (index.row() - 1) * width))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the current one in place."""
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.show_current(self.currentIndex())


class _Ids(QAbstractListModel):
    def __init__(self, ids: Sequence[int], parent: QWidget) -> None:
        super().__init__(parent)
        self._ids = list(ids)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        return self._ids[index.row()] if index.isValid() and role == BOX_ID else None


class CropList(CropView):
    """A fixed list of finds, to look at."""

    def __init__(self, session: Session, ids: Sequence[int], parent: QWidget) -> None:
        super().__init__(session, parent)
        self.setModel(_Ids(ids, self))
