"""Measurements and their findings as a table in which the finding can be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
COLUMNS = ("Measured", "Finding", "By", "Composition", "Remark")
LABEL, FINDING, BY, COMPOSITION, REMARK = range(len(COLUMNS))


@dataclass(frozen=True, slots=True)
class EdxRow:
    """One measurement: ``finding`` is None where it belongs to none, and ``remark`` then says why."""

    label: str
    finding: int | None
    by: str
    composition: str
    remark: str


class EdxRows(QAbstractTableModel):
    """Rows of measurements; a number typed into the column of findings is told by ``finding_typed``."""

    finding_typed = Signal(int, str)  # place of the row, what was typed

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[EdxRow] = []
        self.editable = True

    def show(self, rows: Sequence[EdxRow]) -> None:
        """Show other rows."""
        rows = list(rows)
        if rows == self.rows:
            return
        if len(rows) == len(self.rows):  # the selection stays
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, REMARK))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of measurements."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column titles."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Qt: findings can be typed."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if self.editable and index.column() == FINDING else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            if column == FINDING:
                empty = "" if role == Qt.ItemDataRole.EditRole else "–"
                return empty if row.finding is None else str(row.finding)
            return (row.label, "", row.by, row.composition, row.remark)[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            if column == FINDING and self.editable:
                return "Type the number of the finding; nothing for none"
            return self.data(index)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: a finding was typed."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or index.column() != FINDING:
            return False
        typed = str(value).strip()
        if typed != self.data(index, Qt.ItemDataRole.EditRole):
            self.finding_typed.emit(index.row(), typed)
        return True
