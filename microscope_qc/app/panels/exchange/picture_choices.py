"""Which slide a picture of an annotation file is, where its name does not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

OPEN, LEAVE_OUT = "", "leave out"
"""Of a choice that was not made yet, and of a picture that stays out."""
MOST_ROWS = 4


class PictureChoices(QTreeWidget):
    """A row for each picture that may be several slides, or that shares its slide with another one; hidden without."""

    choice_changed = Signal()

    def __init__(self, slides: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slides = slides
        self.setHeaderLabels(["Picture in the file", "Slide here"])
        self.setRootIsDecorated(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(0, 262)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.hide()

    def ask(self, asked: Mapping[str, tuple[str, ...]]) -> None:
        """Add the pictures that are not listed yet; those that were decided stay."""
        for path, fitting in asked.items():
            if path in self._rows():
                continue
            row = QTreeWidgetItem([path, ""])
            row.setToolTip(0, path)
            self.addTopLevelItem(row)
            chooser = QComboBox()
            chooser.addItem("Choose…", OPEN)
            for name in dict.fromkeys((*fitting, *self._slides)):
                chooser.addItem(name, f"={name}")
            chooser.addItem("Leave out", LEAVE_OUT)
            chooser.currentIndexChanged.connect(lambda _: self.choice_changed.emit())
            self.setItemWidget(row, 1, chooser)
        count = self.topLevelItemCount()
        self.setVisible(count > 0)
        if count:
            height = self.sizeHintForRow(0) * min(count, MOST_ROWS) + self.header().sizeHint().height()
            self.setFixedHeight(height + 2 * self.frameWidth() + 4)

    def forget(self) -> None:
        """Another file or format: nothing is asked."""
        self.clear()
        self.hide()

    def chosen(self) -> dict[str, str | None]:
        """The decisions so far, as an argument for the import."""
        values = {path: str(chooser.currentData()) for path, chooser in self._rows().items()}
        return {path: None if value == LEAVE_OUT else value[1:] for path, value in values.items() if value != OPEN}

    def chooser(self, path: str) -> QComboBox:
        """The list that chooses the slide of a picture."""
        return self._rows()[path]

    def _rows(self) -> dict[str, QComboBox]:
        rows: dict[str, QComboBox] = {}
        for place in range(self.topLevelItemCount()):
            row = self.topLevelItem(place)
            chooser = self.itemWidget(row, 1) if row is not None else None
            if row is not None and isinstance(chooser, QComboBox):
                rows[row.text(0)] = chooser
        return rows
