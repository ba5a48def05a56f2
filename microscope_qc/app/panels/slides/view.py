"""The view of the list of slides: which columns it shows, and its keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPalette
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.slides.model import SECOND_LINE, Index, SlidesModel
from microscope_qc.app.panels.slides.thumbnails import PICTURE

ROW_HIGH = PICTURE.height() + 6
NAME_WIDE = 170
COMPACT_BELOW = 300
"""A narrower list has no columns: what is left stands below the name."""
_WIDTHS = {"findings": 64, "left": 52, "coverage": 70, "pixel_size": 74, "size": 110, "file": 140}
_WIDE = 110


class _Rows(QStyledItemDelegate):
    """Rows as high as a thumbnail; in a narrow list with a second line."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Qt: paint one cell."""
        view = self.parent()
        if not (isinstance(view, SlidesView) and view.compact and index.column() == 0):
            super().paint(painter, option, index)
            return
        cell = QStyleOptionViewItem(option)
        self.initStyleOption(cell, index)
        name, cell.text = cell.text, ""
        style = view.style()
        if style is not None:
            style.drawControl(QStyle.ControlElement.CE_ItemViewItem, cell, painter, view)
        place = cell.rect.adjusted(PICTURE.width() + 12, 4, -4, -4)
        half = place.height() // 2
        painter.save()
        colour = cell.palette.color(QPalette.ColorRole.Text)
        quiet = QColor(theme.current().quiet)
        for text, font, pen, top in (
            (name, cell.font, colour if index.data(Qt.ItemDataRole.ForegroundRole) is None else quiet, 0),
            (str(index.data(SECOND_LINE)), view.font(), quiet, half),
        ):
            painter.setFont(font)
            painter.setPen(pen)
            short = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideMiddle, place.width())
            box = QRect(place.left(), place.top() + top, place.width(), half)
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Qt: size of a cell."""
        return QSize(super().sizeHint(option, index).width(), ROW_HIGH)


class SlidesView(QTreeView):
    """``opened`` asks for a slide on screen, ``columns_chosen`` carries the names of the shown columns."""

    opened = Signal(int)
    columns_chosen = Signal(list)
    sorted_by = Signal(str, bool)

    def __init__(self, model: SlidesModel) -> None:
        super().__init__()
        self._model = model
        self.setModel(model)
        model.repaint_wanted.connect(self._repaint)
        self.setItemDelegate(_Rows(self))
        self.setUniformRowHeights(True)
        self.setRootIsDecorated(False)
        self.setIconSize(PICTURE)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAllColumnsShowFocus(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._names: list[str] = []
        header = self.header()
        assert header is not None
        self._header = header
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(False)
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(36)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._on_header_menu_requested)
        header.sectionClicked.connect(self._on_section_clicked)
        self._order: tuple[str, bool] = ("", False)
        self.setStyleSheet("QTreeView::item { padding: 0px 4px; }")

    def _repaint(self) -> None:
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    # -- columns -----------------------------------------------------------------------------------------------------

    def show_columns(self, names: Iterable[str]) -> None:
        """Show these columns besides the name."""
        self._names = list(names)
        self._header.setVisible(not self.compact)
        for place, column in enumerate(self._model.columns):
            hidden = bool(place) and (self.compact or column.name not in self._names)
            was_hidden = self.isColumnHidden(place)
            self.setColumnHidden(place, hidden)
            if not hidden and (was_hidden or self.columnWidth(place) < 2):
                self.setColumnWidth(place, _WIDTHS.get(column.name, _WIDE))
            if place:
                self._header.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
        self._header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self._fit_name()

    @property
    def compact(self) -> bool:
        """Whether it is too narrow for columns."""
        return self.width() < COMPACT_BELOW

    def _fit_name(self) -> None:
        """Give the name what the other columns leave, and never too little."""
        viewport = self.viewport()
        others = sum(
            self.columnWidth(place) for place in range(1, len(self._model.columns)) if not self.isColumnHidden(place)
        )
        if viewport is not None:
            least = 0 if self.compact else NAME_WIDE
            self.setColumnWidth(0, max(least, viewport.width() - others))

    def column_menu(self) -> QMenu:
        """A menu to choose the columns."""
        menu = QMenu("Columns", self)
        if self.compact:
            menu.addAction("Widen the list to see columns").setEnabled(False)
            menu.addMenu(self._sort_menu())
            menu.addSeparator()
        for column in self._model.columns[1:]:
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setChecked(column.name in self._names)
            action.toggled.connect(lambda checked, name=column.name: self._on_column_toggled(name, checked))
        return menu

    def _on_column_toggled(self, name: str, checked: bool) -> None:
        names = [known for known in self._names if known != name] + ([name] if checked else [])
        self.show_columns(names)
        self.columns_chosen.emit(names)

    def _on_header_menu_requested(self, place: QPoint) -> None:
        self.column_menu().exec(self._header.mapToGlobal(place))

    def _sort_menu(self) -> QMenu:
        menu = QMenu("Sort by", self)
        menu.addAction("As added", lambda: self._sort_and_tell("", downwards=False))
        for column in self._model.columns:
            if not column.name.startswith("field:") or column.name in self._names:
                sort = partial(self._sort_and_tell, column.name, downwards=column.number)
                menu.addAction(column.title, sort)
        return menu

    def _sort_and_tell(self, name: str, *, downwards: bool) -> None:
        self.sort_by(name, downwards=downwards)
        self.sorted_by.emit(name, downwards)

    # -- order -------------------------------------------------------------------------------------------------------

    def sort_by(self, name: str, *, downwards: bool) -> None:
        """Sort by a column; "" is the order in which slides were added."""
        places = {column.name: place for place, column in enumerate(self._model.columns)}
        place = places.get(name, -1)
        order = Qt.SortOrder.DescendingOrder if downwards else Qt.SortOrder.AscendingOrder
        self._order = (name, downwards) if place >= 0 else ("", False)
        self._header.setSortIndicatorShown(place >= 0)
        if place >= 0:
            self._header.setSortIndicator(place, order)
        self._model.sort(place, order)

    def _on_section_clicked(self, place: int) -> None:
        """Numbers begin with the largest, the rest with the first; the third click is the order of adding."""
        column = self._model.columns[place]
        first = column.number
        name, downwards = self._order
        if name != column.name:
            wanted = column.name, first
        else:
            wanted = (column.name, not first) if downwards == first else ("", False)
        self._sort_and_tell(wanted[0], downwards=wanted[1])

    # -- selection ---------------------------------------------------------------------------------------------------

    def chosen_ids(self) -> list[int]:
        """Ids of the selected slides, from top to bottom."""
        selection = self.selectionModel()
        if selection is None:
            return []
        places: set[int] = set()
        for part in selection.selection():  # type: ignore[attr-defined]
            places.update(range(part.top(), part.bottom() + 1))
        ids = self._model.ids
        return [ids[place] for place in sorted(places)]

    def choose(self, slide_ids: Iterable[int], *, current: int | None = None) -> None:
        """Select slides, as far as they are listed, and scroll to the current one."""
        selection = self.selectionModel()
        if selection is None:
            return
        last = len(self._model.columns) - 1
        places = sorted(place for number in slide_ids if (place := self._model.place_of(number)) is not None)
        wanted = QItemSelection()
        start = 0
        for n, place in enumerate(places):
            if n + 1 == len(places) or places[n + 1] != place + 1:
                wanted.select(self._model.index(places[start], 0), self._model.index(place, last))
                start = n + 1
        selection.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        place = None if current is None else self._model.place_of(current)
        if place is not None:
            index = self._model.index(place, 0)
            selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.scrollTo(index)

    def id_at(self, index: QModelIndex) -> int | None:
        """The slide of an index."""
        return self._model.ids[index.row()] if index.isValid() and index.row() < len(self._model.ids) else None

    # -- keys and mouse ----------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter opens the current slide."""
        is_editing = self.state() == QAbstractItemView.State.EditingState
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not is_editing:
            number = self.id_at(self.currentIndex())
            if number is not None:
                self.opened.emit(number)
            return
        super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: a plain click opens the slide; with Ctrl or Shift it only selects."""
        super().mouseReleaseEvent(event)
        number = self.id_at(self.indexAt(event.position().toPoint()))
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        if (
            event.button() == Qt.MouseButton.LeftButton
            and plain
            and number is not None
            and self.chosen_ids() == [number]
        ):
            self.opened.emit(number)

    def resizeEvent(self, event: object) -> None:
        """Qt: the name takes what the other columns leave."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        if self.compact == self._header.isVisibleTo(self):
            self.show_columns(self._names)
        self._fit_name()
