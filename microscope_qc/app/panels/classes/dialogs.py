"""Questions about classes in use: what happens to their findings on deletion, what a merge would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QListView,
    QRadioButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.crop_list import CropList
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.wording import count_text, plural, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

MOST_SHOWN = 60
MARGIN = 2 * theme.STEP


class DeleteClassDialog(QDialog):
    """Says what the deletion affects, and asks what to do with the findings."""

    def __init__(
        self, item: DefectClass, count: int, classes: Sequence[DefectClass], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Delete class {item.code}")
        findings = f"{things(count, 'finding')} {plural(count, 'has', 'have')}"
        text = QLabel(f"{findings} the class {item.code}, {item.name}, on all slides of the project.")
        text.setWordWrap(True)
        text.setMinimumWidth(340)
        many = "it" if count == 1 else "them"
        self.move_button = QRadioButton(f"Give {many} the class")
        self.delete_button = QRadioButton(f"Delete {many} too")
        self.target = QComboBox()
        for other in classes:
            if other.id != item.id:
                self.target.addItem(chip_icon(other.colour), f"{other.code}  {other.name}", other.id)
        can_move = self.target.count() > 0
        self.move_button.setEnabled(can_move)
        self.target.setEnabled(can_move)
        (self.move_button if can_move else self.delete_button).setChecked(True)
        self.move_button.toggled.connect(self.target.setEnabled)
        hint = QLabel("One undo restores the class and its findings.")
        hint.setProperty("quiet", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton("Delete class", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(theme.STEP)
        for widget in (text, self.move_button, self.target, self.delete_button, hint, buttons):
            column.addWidget(widget)
        column.setAlignment(self.target, Qt.AlignmentFlag.AlignLeft)

    def move_to(self) -> int | None:
        """Class that the findings get, None if they are deleted too."""
        return int(self.target.currentData()) if self.move_button.isChecked() else None


class MergeDialog(QDialog):
    """Which class stays, the counts now and after the merge, and crops of the findings that change."""

    def __init__(
        self, session: Session, class_ids: Sequence[int], counts: Mapping[int, int], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Merge classes")
        self._session, self._counts = session, counts
        self._items = [item for item in session.classes if item.id in class_ids]
        self.into = QComboBox()
        for item in self._items:
            self.into.addItem(chip_icon(item.colour), f"{item.code}  {item.name}", item.id)
        most = max(self._items, key=lambda item: counts.get(item.id, 0))
        self.into.setCurrentIndex(self.into.findData(most.id))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.table = QTreeWidget()
        self.table.setHeaderLabels(["Class", "Name", "Findings now", "After"])
        self.table.setRootIsDecorated(False)
        self.table.setIconSize(QSize(14, 14))
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for place in (2, 3):
            self.table.headerItem().setTextAlignment(place, right)
        self.table.setFixedHeight(32 + 24 * min(6, len(self._items)))
        self.crops_words = QLabel()
        self.crops_words.setProperty("quiet", True)
        self.crops: CropList | None = None
        self._place = QVBoxLayout()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.merge = buttons.addButton("Merge", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.finished.connect(lambda _result: self._close_crops())
        hint = QLabel("Into which class?")
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(theme.STEP)
        for widget in (hint, self.into, self.words, self.table, self.crops_words):
            column.addWidget(widget)
        column.setAlignment(self.into, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(self._place, 1)
        column.addWidget(buttons)
        self.into.currentIndexChanged.connect(lambda _place: self._show())
        self._show()
        self.resize(640, 520)

    def target_id(self) -> int:
        """The class that stays."""
        return int(self.into.currentData())

    def moving(self) -> int:
        """Number of findings that change their class."""
        return sum(self._counts.get(item.id, 0) for item in self._items if item.id != self.target_id())

    def _show(self) -> None:
        target = next(item for item in self._items if item.id == self.target_id())
        going = [item for item in self._items if item.id != target.id]
        codes = ", ".join(item.code for item in going)
        moving = self.moving()
        verb = "changes" if moving == 1 else "change"
        self.words.setText(
            f"{things(moving, 'finding')} on all slides {verb} to {target.code}; "
            f"{codes} {plural(len(going), 'is', 'are')} removed. One undo reverts it."
        )
        self.table.clear()
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for item in self._items:
            now = self._counts.get(item.id, 0)
            after = count_text(now + moving) if item is target else "removed"
            row = QTreeWidgetItem([item.code, item.name, count_text(now), after])
            row.setIcon(0, chip_icon(item.colour))
            for place in (2, 3):
                row.setTextAlignment(place, right)
            self.table.addTopLevelItem(row)
        self._show_crops([item.id for item in going])

    def _show_crops(self, class_ids: list[int]) -> None:
        self._close_crops()
        rows = self._session.table.rows
        ids = rows["id"][np.isin(rows["class_id"], class_ids)]
        shown = min(len(ids), MOST_SHOWN)
        self.crops_words.setText(
            f"{'All' if shown == len(ids) else f'{shown} of'} {count_text(len(ids))} that change on this slide:"
            if len(ids)
            else "None of them is on this slide."
        )
        if len(ids):
            self.crops = CropList(self._session, ids[:MOST_SHOWN].tolist(), self)
            self.crops.setSelectionMode(QListView.SelectionMode.NoSelection)
            self._place.addWidget(self.crops, 1)

    def _close_crops(self) -> None:
        if self.crops is not None:
            self.crops.crops.close()
            self._place.removeWidget(self.crops)
            self.crops.deleteLater()
            self.crops = None
