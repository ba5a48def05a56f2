"""All shown finds as a table that can be sorted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    QTimer,
)
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app import theme
from microscope_qc.app.docks.class_chip import chip_icon
from microscope_qc.app.docks.gallery_link import link
from microscope_qc.app.docks.gallery_text import confidence_text, count_text, length_text, state_text
from microscope_qc.core.boxes import BoxChange

if TYPE_CHECKING:
    from microscope_qc.app.session import Session

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
COLUMNS = ("No.", "Class", "Name", "Confidence", "Size", "State", "SEM", "Found by", "Note")
NUMBER, CLASS, NAME, CONFIDENCE, SIZE, STATE, SEM, FOUND_BY, NOTE = range(len(COLUMNS))


class FindsTableModel(QAbstractTableModel):
    """The shown rows in the chosen order; cells are made when they are looked at."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._sort = (NUMBER, Qt.SortOrder.AscendingOrder)
        self._chips: dict[str, QIcon] = {}
        self._rows = session.shown_rows()
        self._order = np.arange(len(self._rows))
        self._runs: dict[int, str] = {}
        self.reload()

    def reload(self) -> None:
        """Take the shown rows anew."""
        self.beginResetModel()
        self._rows = self._session.shown_rows()
        project = self._session.project
        self._runs = {} if project is None else {run.id: model_name(run.card) for run in project.runs}
        self._order = self._sorted()
        self.endResetModel()

    def take_values(self) -> bool:
        """Take changed values of the same finds without a reset; False when other finds are shown now."""
        rows = self._session.shown_rows()
        if len(rows) != len(self._rows) or not np.array_equal(rows["id"], self._rows["id"]):
            return False
        self._rows = rows
        if len(rows):
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(COLUMNS) - 1))
        return True

    @property
    def ids(self) -> np.ndarray:
        """Ids in the order on screen."""
        return self._rows["id"][self._order]

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of finds."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: titles of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            unit = "px" if self._session.pixel_size_um is None else "µm"
            return f"Size, {unit}" if section == SIZE else COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        if role == Qt.ItemDataRole.ToolTipRole and section == SIZE:
            return "The longer side"
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(self._rows[self._order[index.row()]], index.column())
        if role == Qt.ItemDataRole.DecorationRole and index.column() == CLASS:
            row = self._rows[self._order[index.row()]]
            return self._chip(self._session.class_of(int(row["class_id"])).colour)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Qt: a click on a title."""
        self._sort = (column, order)
        self.layoutAboutToBeChanged.emit()
        self._order = self._sorted()
        self.layoutChanged.emit()

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
            return self._found_by(int(row["run_id"]))
        return str(row["note"])

    def _size_text(self, row: np.void) -> str:
        size = self._session.pixel_size_um
        sides = float(row["y1"] - row["y0"]), float(row["x1"] - row["x0"])
        if size is None:
            return f"{max(sides):.0f}"
        return length_text(max(sides[0] * size[0], sides[1] * size[1]))

    def _found_by(self, run_id: int) -> str:
        return "person" if run_id == 0 else self._runs.get(run_id, f"detection {run_id}")

    def _chip(self, colour: str) -> QIcon:
        if colour not in self._chips:
            self._chips[colour] = chip_icon(colour)
        return self._chips[colour]

    def _sorted(self) -> np.ndarray:
        column, order = self._sort
        rows = self._rows
        keys: np.ndarray
        if column == NUMBER:
            keys = rows["id"]
        elif column in {CLASS, NAME, FOUND_BY, NOTE}:
            keys = np.array([self._text(row, column).casefold() for row in rows], dtype=str)
        elif column == CONFIDENCE:
            keys = np.nan_to_num(rows["confidence"], nan=2.0)
        elif column == SIZE:
            size = self._session.pixel_size_um or (1.0, 1.0)
            keys = np.maximum((rows["y1"] - rows["y0"]) * size[0], (rows["x1"] - rows["x0"]) * size[1])
        else:
            keys = rows["state" if column == STATE else "chosen"].astype(int)
        places = np.argsort(keys, kind="stable")
        return places if order == Qt.SortOrder.AscendingOrder else places[::-1]


def _alignment(column: int) -> Qt.AlignmentFlag:
    right = column in {NUMBER, CONFIDENCE, SIZE}
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def model_name(card: dict[str, Any]) -> str:
    """Short name of the model of a run."""
    name = str(card.get("model", "")).rstrip("/").replace("\\", "/").rpartition("/")[2]
    return name or "model"


class TableDock(QWidget):
    """The table, and a line that says how many are shown."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.model = FindsTableModel(session, self)
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
        for place, width in enumerate((64, 80, 200, 92, 84, 180, 48, 140)):
            self.view.setColumnWidth(place, width)
        self._counts = QLabel()
        self._counts.setProperty("quiet", True)
        self._counts.setContentsMargins(theme.STEP, 4, theme.STEP, 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.view, 1)
        last = QHBoxLayout()
        last.setSpacing(0)
        last.addWidget(self._counts)
        self.show_all = QToolButton()
        self.show_all.setText("Show all")
        self.show_all.setIcon(theme.icon("filter-off-outline"))
        self.show_all.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.show_all.setToolTip("Take the filter away")
        self.show_all.clicked.connect(session.clear_filter)
        last.addWidget(self.show_all)
        last.addStretch(1)
        column.addLayout(last)
        self._taking = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(60)
        self._soon.timeout.connect(self._reload)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.selection.changed, self._take_selection)
        for signal in (session.filter_changed, session.classes_changed, session.runs_changed, session.slides_changed):
            link(self, signal, self._reload_soon)
        link(self, session.slide_changed, self._reload)
        selection = self.view.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._on_selection_changed)
        self.view.doubleClicked.connect(self._on_double_clicked)
        self._reload()

    def _on_boxes_changed(self, change: BoxChange) -> None:
        if change.kind == "updated" and not self._soon.isActive() and self.model.take_values():
            return
        self._reload_soon()

    def _reload_soon(self, *_: object) -> None:
        self._soon.start()

    def _reload(self) -> None:
        self._soon.stop()
        self._taking = True
        self.model.reload()
        self._taking = False
        shown, total = self.model.rowCount(), len(self._session.table)
        words = f"{count_text(shown)} finds" if shown == total else (
            f"{count_text(shown)} of {count_text(total)} finds pass the filter"
        )  # fmt: skip
        self.show_all.setVisible(self._session.filter_active)
        self._counts.setText(words if self._session.slide is not None else "Open a slide: its finds are listed here.")
        self._take_selection()

    def _take_selection(self) -> None:
        selection = self.view.selectionModel()
        if selection is None or self._taking:
            return
        self._taking = True
        places = np.flatnonzero(np.isin(self.model.ids, self._session.selection.ids))
        wanted = QItemSelection()
        if len(places):
            for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
                last = self.model.index(int(run[-1]), len(COLUMNS) - 1)
                wanted.select(self.model.index(int(run[0]), 0), last)
        selection.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        current = np.flatnonzero(self.model.ids == (self._session.selection.current or -1))
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
        ids = self.model.ids[[index.row() for index in selection.selectedRows()]]
        current = selection.currentIndex()
        current_id = int(self.model.ids[current.row()]) if current.isValid() else None
        self._session.selection.set(ids, current=current_id if current_id in ids else None)
        if len(ids) == 1:
            self._session.centre_requested.emit(int(ids[0]))
        self._taking = False

    def _on_double_clicked(self, index: QModelIndex) -> None:
        self._session.select_and_centre(int(self.model.ids[index.row()]))


def as_text(session: Session, ids: np.ndarray) -> str:
    """Finds as tab-separated lines with a title line, for a spreadsheet."""
    size = session.pixel_size_um
    unit = "um" if size is not None else "px"
    scale = size if size is not None else (1.0, 1.0)
    lines = ["\t".join(("number", "class", "name", "confidence", f"width_{unit}", f"height_{unit}",
                        "x_px", "y_px", "state", "reason", "note"))]  # fmt: skip
    for row in session.table.get(ids):
        item = session.class_of(int(row["class_id"]))
        confidence = "" if math.isnan(row["confidence"]) else f"{row['confidence']:.3f}"
        cells = (
            str(int(row["id"])), item.code, item.name, confidence,
            f"{(row['x1'] - row['x0']) * scale[1]:.4g}", f"{(row['y1'] - row['y0']) * scale[0]:.4g}",
            f"{(row['x0'] + row['x1']) / 2:.1f}", f"{(row['y0'] + row['y1']) / 2:.1f}",
            ("unreviewed", "confirmed", "rejected")[int(row["state"])], str(row["reason"]), str(row["note"]),
        )  # fmt: skip
        lines.append("\t".join(" ".join(_harmless(cell).split()) for cell in cells))
    return "\n".join(lines) + "\n"


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    text = cell.strip()
    number = text.replace(".", "", 1).lstrip("-").replace("e", "").isdigit()
    return f"'{text}" if text[:1] in "=+-@" and not number else text
