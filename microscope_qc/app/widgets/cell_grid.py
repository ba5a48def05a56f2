"""A view of equal cells that computes the position of each: a million of them need no layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qtpy.QtCore import (
    QAbstractItemModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
)
from qtpy.QtGui import QCursor, QPainter, QPaintEvent, QRegion, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem, QWidget

Index = QModelIndex | QPersistentModelIndex
_Action = QAbstractItemView.CursorAction
_Hint = QAbstractItemView.ScrollHint
MANY_RANGES = 500


class GridView(QAbstractItemView):
    """Cells of one size, row by row from left to right; with ``one_row`` all in a single row.

    Qt's own list lays out all cells again whenever one is added or removed: 20 ms with 100,000 of them.
    """

    def __init__(self, parent: QWidget | None = None, *, one_row: bool = False) -> None:
        super().__init__(parent)
        self._one_row = one_row
        self._cell = QSize(64, 64)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        unused = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if one_row:
            self.setVerticalScrollBarPolicy(unused)
        else:
            self.setHorizontalScrollBarPolicy(unused)

    # -- positions of cells ------------------------------------------------------------------------------------------

    def cell_size(self) -> QSize:
        """Size of one cell."""
        return self._cell

    def set_cell_size(self, size: QSize) -> None:
        """Make all cells larger or smaller."""
        if size != self._cell:
            self._cell = size
            self.updateGeometries()
            self.viewport().update()

    def count(self) -> int:
        """Number of cells."""
        model = self.model()
        return 0 if model is None else model.rowCount(self.rootIndex())

    def columns(self) -> int:
        """Number of cells in a row."""
        return max(1, self.count()) if self._one_row else max(1, self.viewport().width() // self._cell.width())

    def rows_in(self, area: QRect) -> Iterator[int]:
        """Model rows of the cells that touch a part of the viewport."""
        width, height, columns, count = self._cell.width(), self._cell.height(), self.columns(), self.count()
        left, top = area.left() + self.horizontalOffset(), area.top() + self.verticalOffset()
        first, last = max(0, top // height), (top + area.height() - 1) // height
        start, end = max(0, left // width), min(columns - 1, (left + area.width() - 1) // width)
        if self._one_row:
            first, last = 0, 0 if first == 0 else -1
        for line in range(first, last + 1):
            yield from range(line * columns + start, min(line * columns + end + 1, count))

    def rect_of(self, row: int) -> QRect:
        """The rectangle of a model row's cell, in pixels of the viewport."""
        line, column = divmod(row, self.columns())
        width, height = self._cell.width(), self._cell.height()
        return QRect(column * width - self.horizontalOffset(), line * height - self.verticalOffset(), width, height)

    def visualRect(self, index: Index) -> QRect:
        """Qt: the rectangle of a cell."""
        return self.rect_of(index.row()) if index.isValid() else QRect()

    def indexAt(self, point: QPoint) -> QModelIndex:
        """Qt: the cell at a position."""
        row = next(iter(self.rows_in(QRect(point, QSize(1, 1)))), None)
        model = self.model()
        return QModelIndex() if row is None or model is None else model.index(row, 0, self.rootIndex())

    def horizontalOffset(self) -> int:
        """Qt: how far it is scrolled."""
        return self.horizontalScrollBar().value() if self._one_row else 0

    def verticalOffset(self) -> int:
        """Qt: how far it is scrolled."""
        return 0 if self._one_row else self.verticalScrollBar().value()

    def isIndexHidden(self, index: Index) -> bool:
        """Qt: no cell is hidden."""
        return False

    def updateGeometries(self) -> None:
        """Qt: how far it can be scrolled."""
        super().updateGeometries()
        page = self.viewport().size()
        if self._one_row:
            bar, whole, shown = self.horizontalScrollBar(), self.count() * self._cell.width(), page.width()
        else:
            lines = -(-self.count() // self.columns())
            bar, whole, shown = self.verticalScrollBar(), lines * self._cell.height(), page.height()
        bar.setPageStep(shown)
        bar.setRange(0, max(0, whole - shown))

    def scrollTo(self, index: Index, hint: QAbstractItemView.ScrollHint = _Hint.EnsureVisible) -> None:
        """Qt: bring a cell into view."""
        if not index.isValid():
            return
        self.updateGeometries()  # so that cells that were just added can be reached
        rect, page = self.visualRect(index), self.viewport().rect()
        bar = self.horizontalScrollBar() if self._one_row else self.verticalScrollBar()
        low, high = (rect.left(), rect.right() + 1) if self._one_row else (rect.top(), rect.bottom() + 1)
        size = page.width() if self._one_row else page.height()
        if hint == _Hint.PositionAtCenter:
            bar.setValue(bar.value() + (low + high - size) // 2)
        elif low < 0 or hint == _Hint.PositionAtTop:
            bar.setValue(bar.value() + low)
        elif high > size or hint == _Hint.PositionAtBottom:
            bar.setValue(bar.value() + min(low, high - size))

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Qt: move what has already been painted."""
        self.viewport().scroll(dx, dy)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: another number of cells fits side by side."""
        super().resizeEvent(event)
        self.updateGeometries()
        self.viewport().update()

    # -- choosing ----------------------------------------------------------------------------------------------------

    def moveCursor(self, action: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        """Qt: the cell that an arrow key leads to."""
        model, count = self.model(), self.count()
        if model is None or count == 0:
            return QModelIndex()
        page = max(1, self.viewport().height() // self._cell.height()) * self.columns()
        steps = {
            _Action.MoveLeft: -1, _Action.MovePrevious: -1, _Action.MoveRight: 1, _Action.MoveNext: 1,
            _Action.MoveUp: -self.columns(), _Action.MoveDown: self.columns(),
            _Action.MovePageUp: -page, _Action.MovePageDown: page,
            _Action.MoveHome: -count, _Action.MoveEnd: count,
        }  # fmt: skip
        current = self.currentIndex()
        if not current.isValid():
            return model.index(0, 0, self.rootIndex())
        row = current.row() + steps.get(action, 0)
        if action in (_Action.MoveUp, _Action.MoveDown) and not 0 <= row < count:
            row = current.row()
        return model.index(min(max(row, 0), count - 1), 0, self.rootIndex())

    def setSelection(self, rect: QRect, flags: QItemSelectionModel.SelectionFlag) -> None:
        """Qt: select from the cell at one corner of a rectangle to the cell at the other."""
        model, chosen = self.model(), self.selectionModel()
        ends = [self.indexAt(corner) for corner in (rect.topLeft(), rect.bottomRight())]
        rows = sorted(index.row() for index in ends if index.isValid())
        selection = QItemSelection()
        if rows and model is not None:
            selection.select(model.index(rows[0], 0), model.index(rows[-1], 0))
        if chosen is not None:
            chosen.select(selection, flags)

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        """Qt: what is repainted when a selection changes: visible cells only."""
        page = self.viewport().rect()
        if selection.count() > MANY_RANGES:
            return QRegion(page)
        ranges = [(part.top(), part.bottom()) for part in selection]  # type: ignore[attr-defined]
        region = QRegion()
        for row in self.rows_in(page):
            if any(top <= row <= bottom for top, bottom in ranges):
                region = region.united(QRegion(self.rect_of(row)))
        return region

    # -- painting ----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: paint the visible cells."""
        model, chosen, delegate = self.model(), self.selectionModel(), self.itemDelegate()
        if model is None or delegate is None:
            return
        painter = QPainter(self.viewport())
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        plain = option.state & ~(QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver)
        under = -1
        if self.viewport().underMouse():
            under = self.indexAt(self.viewport().mapFromGlobal(QCursor.pos())).row()
        region = event.region()
        for row in self.rows_in(event.rect()):
            rect = self.rect_of(row)
            if not region.intersects(rect):
                continue
            index = model.index(row, 0, self.rootIndex())
            option.rect = rect
            option.state = plain
            if chosen is not None and chosen.isSelected(index):
                option.state |= QStyle.StateFlag.State_Selected
            if row == under:
                option.state |= QStyle.StateFlag.State_MouseOver
            delegate.paint(painter, option, index)
        painter.end()

    def dataChanged(self, top_left: Index, bottom_right: Index, roles: Sequence[int] = ()) -> None:
        """Qt: repaint the cells that changed, if they are visible."""
        first, last = top_left.row(), bottom_right.row()
        if first == last:
            self.viewport().update(self.rect_of(first))
        else:
            self.viewport().update()

    def setModel(self, model: QAbstractItemModel | None) -> None:
        """Qt: show another model."""
        before = self.model()
        if before is not None:
            before.rowsRemoved.disconnect(self._on_rows_removed)
        super().setModel(model)
        if model is not None:
            model.rowsRemoved.connect(self._on_rows_removed)

    def rowsInserted(self, parent: Index, start: int, end: int) -> None:
        """Qt: cells were added; those before them are not repainted."""
        super().rowsInserted(parent, start, end)
        self.updateGeometries()
        for row in self.rows_in(self.viewport().rect()):
            if row >= start:
                self.viewport().update(self.rect_of(row))

    def _on_rows_removed(self, _parent: QModelIndex, start: int, _end: int) -> None:
        self.updateGeometries()
        last = max(self.rows_in(self.viewport().rect()), default=-1)
        if start <= last + 1:
            self.viewport().update()
