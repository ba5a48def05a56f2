"""The rules from composition to class as a table that can be typed into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.correlation.edx_rules import EdxRule

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
COLUMNS = ("Material", "Class", "Holds for", "Condition on atom %")
MATERIAL, CODE, HOLDS, CONDITION = range(len(COLUMNS))
_FIELDS = {MATERIAL: "name", CODE: "code", CONDITION: "when"}
NEW = EdxRule("New rule", "O > 50", used=False)


class RulesModel(QAbstractTableModel):
    """Rules in the order in which they are asked; the mark before a rule says whether it is used.

    ``refused`` tells why something that was typed is not taken.

    Parameters
    ----------
    count
        Returns for how many findings each rule holds.
    """

    edited = Signal()
    refused = Signal(str)

    def __init__(self, count: Callable[[Sequence[EdxRule]], list[int]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._count = count
        self._counts: list[int] = []
        self.rules: list[EdxRule] = []

    def show(self, rules: Sequence[EdxRule]) -> None:
        """Show other rules."""
        self.beginResetModel()
        self.rules = list(rules)
        self._counts = self._count(self.rules)
        self.endResetModel()

    def count_again(self) -> None:
        """Ask again for how many findings the rules hold."""
        self._counts = self._count(self.rules)
        if self.rules:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rules) - 1, CONDITION))

    def move(self, place: int, by: int) -> int:
        """Ask a rule earlier or later; return its place then."""
        to = min(max(place + by, 0), len(self.rules) - 1)
        rules = list(self.rules)
        rules.insert(to, rules.pop(place))
        self.show(rules)
        self.edited.emit()
        return to

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of rules."""
        return 0 if parent.isValid() else len(self.rules)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column titles."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Qt: all but the count can be typed."""
        flags = super().flags(index)
        if index.column() == MATERIAL:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() in _FIELDS else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        rule, column = self.rules[index.row()], index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == MATERIAL:
            return Qt.CheckState.Checked if rule.used else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.ToolTipRole and column == CODE:
            return f"{rule.code} {rule.class_name}".strip() or "No class: the rule names the material only"
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if column == HOLDS:
            return str(self._counts[index.row()]) if rule.used else "–"
        return getattr(rule, _FIELDS[column])

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: something was typed, or a mark set."""
        if not index.isValid():
            return False
        rule, column = self.rules[index.row()], index.column()
        if role == Qt.ItemDataRole.CheckStateRole:
            changes: dict[str, Any] = {"used": Qt.CheckState(value) == Qt.CheckState.Checked}
        elif role == Qt.ItemDataRole.EditRole and column in _FIELDS:
            changes = {_FIELDS[column]: str(value).strip()}
            if column == CODE and changes["code"] != rule.code:
                changes["class_name"] = ""
        else:
            return False
        try:
            self.rules[index.row()] = replace(rule, **changes)
        except MicroscopeQCError as error:
            self.refused.emit(str(error))
            return False
        self.count_again()
        self.edited.emit()
        return True
