"""The list of classes in the manager: order by dragging, several chosen for a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from microscope_qc.app.widgets.class_chip import chip_icon, short_key
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.wording import count_text, rounded_text

KEY, CODE, NAME, GROUP, SIZE, FINDINGS = range(6)
ID = Qt.ItemDataRole.UserRole


class ClassList(QTreeWidget):
    """``reordered`` carries the ids in the order the user dragged them to."""

    reordered = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderLabels(["Key", "Code", "Name", "Group", "Box µm", "Findings"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(True)
        self.setIconSize(QSize(14, 14))
        self.setStyleSheet("QTreeView::item { padding: 3px 0px; }")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        header = self.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(24)
        for place in (KEY, CODE, GROUP, SIZE, FINDINGS):
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for place in (SIZE, FINDINGS):
            self.headerItem().setTextAlignment(place, right)

    def show_classes(self, classes: Sequence[DefectClass], counts: Mapping[int, int]) -> None:
        """Show the classes, and keep the selection."""
        chosen, current = self.chosen_ids(), self.current_id()
        with QSignalBlocker(self):
            # rows are kept if their order is the same: this may be called from within a click on one of them
            if self.order() != [item.id for item in classes]:
                self.clear()
                for item in classes:
                    self.addTopLevelItem(_row(item))
            for row, item in zip(self._rows(), classes, strict=True):
                size = "" if item.box_size_um is None else rounded_text(item.box_size_um)
                for place, words in enumerate((short_key(item.key), item.code, item.name, item.group, size)):
                    row.setText(place, words)
                row.setIcon(CODE, chip_icon(item.colour))
                row.setToolTip(NAME, item.description or item.name)
            self.show_counts(counts)
        self.choose(chosen, current=current)

    def show_counts(self, counts: Mapping[int, int]) -> None:
        """Show how many findings each class has on all slides."""
        for row in self._rows():
            count = counts.get(int(row.data(0, ID)), 0)
            row.setText(FINDINGS, count_text(count) if count else "–")

    def choose(self, ids: Sequence[int], *, current: int | None = None) -> None:
        """Select classes, or the first one if none of them exists; emits nothing."""
        rows = {int(row.data(0, ID)): row for row in self._rows()}
        there = [number for number in ids if number in rows] or list(rows)[:1]
        if not there:
            return
        wanted = rows[current] if current in there and current is not None else rows[there[0]]
        with QSignalBlocker(self):
            self.setCurrentItem(wanted, 0, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.clearSelection()
            for number in there:
                rows[number].setSelected(True)

    def current_id(self) -> int | None:
        """The class whose fields are shown."""
        row = self.currentItem()
        return None if row is None else int(row.data(0, ID))

    def chosen_ids(self) -> list[int]:
        """Selected classes in order."""
        return [int(row.data(0, ID)) for row in self._rows() if row.isSelected()]

    def order(self) -> list[int]:
        """All classes in order."""
        return [int(row.data(0, ID)) for row in self._rows()]

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: move the selected classes to where they are dropped, through the project."""
        place = event.position().toPoint()
        index = self.indexAt(place)
        target = self.topLevelItemCount()
        if index.isValid():
            middle = self.visualRect(index).center().y()
            target = index.row() + (place.y() > middle)
        event.setDropAction(Qt.DropAction.IgnoreAction)  # Qt must not remove the rows itself
        event.accept()
        self.move_to(target)

    def move_to(self, target: int) -> None:
        """Move the selected classes before the row ``target``."""
        order, moving = self.order(), self.chosen_ids()
        before = [number for number in order[:target] if number not in moving]
        after = [number for number in order[target:] if number not in moving]
        new = [*before, *moving, *after]
        if new != order:
            self.reordered.emit(new)

    def move_by(self, step: int) -> None:
        """Move the selected classes one up (-1) or down (+1)."""
        order, moving = self.order(), self.chosen_ids()
        if moving:
            self.move_to(max(0, order.index(moving[0]) - 1) if step < 0 else order.index(moving[-1]) + 2)

    def _rows(self) -> list[QTreeWidgetItem]:
        return [row for place in range(self.topLevelItemCount()) if (row := self.topLevelItem(place)) is not None]


def _row(item: DefectClass) -> QTreeWidgetItem:
    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    row = QTreeWidgetItem()
    row.setData(0, ID, item.id)
    row.setFlags(row.flags() & ~Qt.ItemFlag.ItemIsDropEnabled)
    for place in (SIZE, FINDINGS):
        row.setTextAlignment(place, right)
    return row
