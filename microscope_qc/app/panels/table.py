"""All shown findings as a sortable table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
)
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QStackedWidget,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.nothing_found import NothingFound
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.boxes import BoxChange
from microscope_qc.core.composition import composition_text
from microscope_qc.core.wording import confidence_text, count_text, number_text, rounded_text, state_text, things
from microscope_qc.project.wording import finder_words

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.session.session import Session

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
COLUMNS = ("No.", "Class", "Name", "Confidence", "Size", "State", "SEM", "Found by", "Composition", "Note", "Slide")
ONE_BY_ONE = 50
"""If more findings are added or removed, the list is made again."""
FEW = 8
NOTHING = np.empty(0, np.int64)
NUMBER, CLASS, NAME, CONFIDENCE, SIZE, STATE, SEM, FOUND_BY, COMPOSITION, NOTE, SLIDE = range(len(COLUMNS))
IN_ORDER = NUMBER, Qt.SortOrder.AscendingOrder
REFRESH_MS = 60
CELLS_KEPT = 1000
TEXT, PICTURE, ALIGNMENT = ROLES = (
    int(Qt.ItemDataRole.DisplayRole),
    int(Qt.ItemDataRole.DecorationRole),
    int(Qt.ItemDataRole.TextAlignmentRole),
)
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class FindingsTableModel(QAbstractTableModel):
    """The shown rows in the chosen order; cells are made on demand."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._sort = IN_ORDER
        self._chips: dict[str, QIcon] = {}
        self._ids = np.empty(0, np.int64)
        self._cells: dict[int, tuple[str, ...]] = {}  # what was asked for, while it stays as it is
        self._runs: dict[int, str] = {}
        self.reload()

    def reload(self) -> None:
        """Read the shown rows again."""
        self.beginResetModel()
        project = self._session.project
        self._runs = {} if project is None else {run.id: run.title for run in project.runs}
        self._ids = self._sorted()
        self._cells.clear()
        self.endResetModel()

    def follow(self, ids: np.ndarray) -> bool:
        """Follow findings that changed, came or went without reloading; False if that is not possible.

        Changed findings keep their place until the table is sorted again.
        """
        if not len(ids):
            return True
        if len(ids) > ONE_BY_ONE:
            self._cells.clear()
        for number in ids.tolist() if self._cells else ():
            self._cells.pop(number, None)
        scoped = self._session.scoped
        table = scoped.table
        exist = table.has(ids)
        shown = np.zeros(len(ids), bool)
        shown[exist] = scoped.shown.mask()[table.rows_of(ids[exist])]
        listed = np.isin(ids, self._ids) if len(ids) > FEW else np.array([self._has(number) for number in ids], bool)
        gone, new = ids[listed & ~exist], np.sort(ids[shown & ~listed])
        if (listed & exist & ~shown).any() or max(len(gone), len(new)) > ONE_BY_ONE:
            return False  # the filter now hides some, or there are many
        if len(new) and (self._sort != IN_ORDER or (len(self._ids) and new[0] < self._ids[-1])):
            return False  # they do not belong at the end
        self._take_out(gone)
        places = self.places_of(ids[listed & shown])
        if len(places):
            last = self.index(int(places.max()), len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(int(places.min()), 0), last)
        self._append(new)
        return True

    def _take_out(self, gone: np.ndarray) -> None:
        for place in np.sort(self.places_of(gone))[::-1].tolist():
            self.beginRemoveRows(NOWHERE, place, place)
            self._ids = np.delete(self._ids, place)
            self.endRemoveRows()

    def _append(self, new: np.ndarray) -> None:
        if len(new):
            first = len(self._ids)
            self.beginInsertRows(NOWHERE, first, first + len(new) - 1)
            self._ids = np.concatenate([self._ids, new])
            self.endInsertRows()

    def places_of(self, ids: np.ndarray) -> np.ndarray:
        """Row numbers of those of some findings that are listed."""
        if len(ids) <= FEW:  # searching for each is faster than sorting all
            found = [np.flatnonzero(self._ids == number) for number in ids]
            return np.concatenate([np.empty(0, np.int64), *found])
        return np.flatnonzero(np.isin(self._ids, ids))

    def _has(self, box_id: int) -> bool:
        return bool((self._ids == box_id).any())

    def _cells_at(self, place: int) -> tuple[str, ...] | None:
        """Texts of a row, then the colour of its class; None if it was deleted and the list does not know yet."""
        number = int(self._ids[place])
        found = self._cells.get(number)
        if found is None:
            table = self._session.scoped.table
            if number not in table:
                return None
            if len(self._cells) > CELLS_KEPT:
                self._cells.clear()
            row = table.get([number])[0]
            colour = self._session.class_of(int(row["class_id"])).colour
            found = (*(self._text(row, column) for column in range(len(COLUMNS))), colour)
            self._cells[number] = found
        return found

    @property
    def ids(self) -> np.ndarray:
        """Ids in the order on screen (read only)."""
        return self._ids

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of findings."""
        return 0 if parent.isValid() else len(self._ids)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column titles."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return f"Size, {self._unit()}" if section == SIZE else COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            # at the right stands the arrow of the sorted column
            return LEFT if section == self._sort[0] else _alignment(section)
        if role == Qt.ItemDataRole.ToolTipRole and section == SIZE:
            return "The longer side"
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if role not in ROLES or not index.isValid():  # most of what Qt asks for each cell is not there
            return None
        column = index.column()
        if role == ALIGNMENT:
            return _alignment(column)
        if role == PICTURE and column != CLASS:
            return None
        cells = self._cells_at(index.row())
        if cells is None:
            return None
        return self._chip(cells[-1]) if role == PICTURE else cells[column]

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Qt: a click on a title."""
        self._sort = (column, order)
        self.layoutAboutToBeChanged.emit()
        self._ids = self._sorted()
        self._cells.clear()
        self.layoutChanged.emit()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(COLUMNS) - 1)

    def _text(self, row: np.void, column: int) -> str:
        if column == NUMBER:
            return str(int(row["id"]))
        if column in {CLASS, NAME}:
            item = self._session.class_of(int(row["class_id"]))
            return item.code if column == CLASS else item.name
        if column == CONFIDENCE:
            return confidence_text(float(row["confidence"]))
        if column == SIZE:
            return self._size_text(row)
        if column == STATE:
            return state_text(row)
        if column == SEM:
            return "★" if row["chosen"] else ""
        if column == FOUND_BY:
            return "" if self._session.project is None else finder_words(self._session.project, row)
        if column == COMPOSITION:
            return self._composition(int(row["id"]))
        if column == SLIDE:
            slide = self._session.slide_of(int(row["id"]))
            return "" if slide is None else slide.name
        return str(row["note"])

    def _composition(self, finding_id: int) -> str:
        project = self._session.project
        return "" if project is None else composition_text(project.measurements.composition(finding_id, "at"))

    def _unit(self) -> str:
        """Unit of the sizes; where not all slides have a pixel size, cells in pixels say so."""
        return "µm" if self._session.scoped.known_sizes.by_slide else "px"

    def _size_text(self, row: np.void) -> str:
        size = self._session.pixel_size_of(int(row["id"]))
        sides = float(row["y1"] - row["y0"]), float(row["x1"] - row["x0"])
        if size is None:
            return number_text(max(sides)) + (" px" if self._unit() == "µm" else "")
        return rounded_text(max(sides[0] * size[0], sides[1] * size[1]))

    def _slide_name(self, slide_id: int) -> str:
        project = self._session.project
        return "" if project is None else next((s.name for s in project.slides if s.id == slide_id), "")

    def _found_by(self, run_id: int) -> str:
        return "user" if run_id == 0 else self._runs.get(run_id, f"detection {run_id}")

    def _chip(self, colour: str) -> QIcon:
        if colour not in self._chips:
            self._chips[colour] = chip_icon(colour)
        return self._chips[colour]

    def _sorted(self) -> np.ndarray:
        """Ids of the shown findings in the chosen order."""
        column, order = self._sort
        scoped = self._session.scoped
        rows, mask = scoped.table.rows, scoped.shown.mask()

        def values(name: str) -> np.ndarray:
            column: np.ndarray = rows[name][mask]
            return column

        keys: np.ndarray
        if column == NUMBER:
            ids = values("id")  # the table is sorted by it
            return ids if order == Qt.SortOrder.AscendingOrder else ids[::-1]
        if column in {CLASS, NAME}:
            item_of = self._session.class_of
            keys = _ranks(values("class_id"), lambda n: item_of(n).code if column == CLASS else item_of(n).name)
        elif column == FOUND_BY:
            keys = _ranks(values("run_id"), self._found_by)
        elif column == COMPOSITION:
            keys = _text_ranks([self._composition(number) for number in values("id").tolist()])
        elif column == NOTE:
            texts = values("note")
            keys = _text_ranks([text.casefold() for text in texts.tolist()])
        elif column == SLIDE:
            keys = _ranks(scoped.slides()[mask], self._slide_name)
        elif column == CONFIDENCE:
            keys = np.nan_to_num(values("confidence"), nan=2.0)
        elif column == SIZE:
            size = scoped.pixel_sizes(values("id")) or (1.0, 1.0)
            y0, x0, y1, x1 = scoped.table.corners[:, mask]
            keys = np.maximum((y1 - y0) * size[0], (x1 - x0) * size[1])
        else:
            keys = values("state" if column == STATE else "chosen").astype(int)
        places = np.argsort(keys, kind="stable")
        return values("id")[places if order == Qt.SortOrder.AscendingOrder else places[::-1]]


def _ranks(numbers: np.ndarray, text_of: Callable[[int], str]) -> np.ndarray:
    """The rank of each number's text among the few different texts."""
    known, which = np.unique(numbers, return_inverse=True)
    return _text_ranks([text_of(number).casefold() for number in known.tolist()])[which]


def _text_ranks(texts: list[str]) -> np.ndarray:
    """The rank of each text among the different ones."""
    place = {text: number for number, text in enumerate(sorted(set(texts)))}
    return np.array([place[text] for text in texts], np.int64)


def _alignment(column: int) -> Qt.AlignmentFlag:
    return RIGHT if column in {NUMBER, CONFIDENCE, SIZE} else LEFT


class TableDock(QWidget):
    """The table, and a line with the number of findings shown."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.model = FindingsTableModel(session, self)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(NUMBER, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.view.setShowGrid(False)
        self.view.setAlternatingRowColors(True)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        vertical, horizontal = self.view.verticalHeader(), self.view.horizontalHeader()
        if vertical is not None and horizontal is not None:
            vertical.hide()
            vertical.setDefaultSectionSize(24)
            horizontal.setStretchLastSection(True)
            horizontal.setHighlightSections(False)
            horizontal.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for place, width in enumerate((64, 80, 200, 92, 84, 180, 48, 140, 200)):
            self.view.setColumnWidth(place, width)
        self._counts = QLabel()
        self._counts.setProperty("quiet", True)
        self._counts.setContentsMargins(theme.STEP, 4, theme.STEP, 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.scope = ScopeSwitch(session)
        top = QHBoxLayout()
        top.addWidget(self.scope)
        top.addStretch(1)
        column.addLayout(top)
        self.empty = NothingFound(session, "Open a slide: its findings are listed here.")
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.empty)
        column.addWidget(self.pages, 1)
        last = QHBoxLayout()
        last.setSpacing(0)
        last.addWidget(self._counts)
        self.show_all = QToolButton()
        self.show_all.setText("Show all")
        self.show_all.setIcon(theme.icon("filter-off-outline"))
        self.show_all.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.show_all.setToolTip("Remove the filter")
        self.show_all.clicked.connect(session.clear_filter)
        last.addWidget(self.show_all)
        last.addStretch(1)
        column.addLayout(last)
        self._taking = False
        self._changed: list[np.ndarray] | None = []  # findings since the last refresh; None: all
        self._due = Refresh(self, self._refresh, after_ms=REFRESH_MS)
        link(self, session.scoped.changed, self._on_boxes_changed)
        link(self, session.selection.changed, self._on_session_selection_changed)
        for signal in (session.filter_changed, session.classes_changed, session.runs_changed, session.slides_changed):
            link(self, signal, self._reload_soon)
        link(self, session.scoped.loading_changed, self._count)
        self._due.before_use_of(self.view, self.view.viewport())
        selection = self.view.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._on_selection_changed)
        self.view.doubleClicked.connect(self._on_double_clicked)
        self._reload()

    def _on_boxes_changed(self, change: BoxChange) -> None:
        if change.kind == "reset":
            self._reload()  # the rows on screen are of other slides
            return
        if self._changed is not None:
            self._changed.append(change.ids)
        self._due.soon()

    def _on_session_selection_changed(self) -> None:
        if not self._taking:
            self._due.soon()

    def _reload_soon(self) -> None:
        self._changed = None
        self._due.soon()

    def _reload(self) -> None:
        self._changed = None
        self._due.now()

    def _refresh(self) -> None:
        """Follow what has changed since the last time, and show the selection."""
        changed, self._changed = self._changed, []
        self._taking = True
        try:
            if changed is None or not self.model.follow(np.unique(np.concatenate([NOTHING, *changed]))):
                self.model.reload()
        finally:
            self._taking = False
        self._count()
        self._take_selection()

    def _count(self) -> None:
        shown, scoped = self.model.rowCount(), self._session.scoped
        total = int(scoped.shown.all_counts().sum())
        words = things(shown, "finding")
        if scoped.shown.limited:
            words += " in the comparison"
        elif shown != total:
            words = f"{count_text(shown)} of {things(total, 'finding')} pass the filter"
        self.view.setColumnHidden(SLIDE, not scoped.several)
        project = self._session.project
        self.view.setColumnHidden(COMPOSITION, project is None or not project.measurements.links)
        self.show_all.setVisible(self._session.filter_active)
        self._counts.setText(words)
        self._counts.setVisible(bool(total))
        if not shown:
            self.empty.refresh()
        self.pages.setCurrentWidget(self.view if shown else self.empty)

    def _take_selection(self) -> None:
        selection = self.view.selectionModel()
        if selection is None:
            return
        self._taking = True
        places = np.sort(self.model.places_of(self._session.selection.ids))
        wanted = QItemSelection()
        if len(places):
            for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
                last = self.model.index(int(run[-1]), len(COLUMNS) - 1)
                wanted.select(self.model.index(int(run[0]), 0), last)
        selection.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        number = self._session.selection.current
        current = self.model.places_of(np.array([-1 if number is None else number]))
        if len(current):
            index = self.model.index(int(current[0]), 0)
            selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.scrollTo(index)
        self._taking = False

    def _on_selection_changed(self, *_: object) -> None:
        selection = self.view.selectionModel()
        if self._taking or selection is None:
            return
        self._taking = True
        parts = [self.model.ids[part.top() : part.bottom() + 1] for part in selection.selection()]  # type: ignore[attr-defined]
        ids = np.unique(np.concatenate([np.empty(0, np.int64), *parts]))
        current = selection.currentIndex()
        current_id = int(self.model.ids[current.row()]) if current.isValid() else None
        self._session.selection.set(ids, current=current_id if current_id in ids else None)
        if len(ids) == 1:
            self._session.navigation.centre(int(ids[0]))
        self._taking = False

    def _on_double_clicked(self, index: QModelIndex) -> None:
        self._session.navigation.select_and_centre(int(self.model.ids[index.row()]))


def _make(context: Context, parent: QWidget) -> QWidget:
    table = TableDock(context.session, parent)
    table.empty.detect_requested.connect(lambda: context.navigator.show_panel("detect"))
    table.empty.open_requested.connect(lambda: context.navigator.trigger("file.open"))
    return table


PANEL = PanelSpec("table", "Table", "table", "bottom", _make, ("annotate", "sem"), tab_with="gallery")
