"""The dialog of keyboard shortcuts; a double-click changes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.actions.table import FIXED_KEYS
from microscope_qc.app.base import theme

if TYPE_CHECKING:
    from microscope_qc.app.actions.action import Action
    from microscope_qc.app.actions.book import ActionBook
    from microscope_qc.app.base.settings import AppSettings


class ShortcutsDialog(QDialog):
    """All keys by menu, with a filter."""

    def __init__(
        self, book: ActionBook, settings: AppSettings, save: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.resize(560, 620)
        self._book, self._settings, self._save = book, settings, save
        self._search = QLineEdit()
        self._search.setPlaceholderText("Filter")
        self._search.setClearButtonEnabled(True)
        self._search.textChanged.connect(self._on_search_changed)
        self._tree = QTreeWidget()
        self._tree.setColumnCount(2)
        self._tree.setHeaderLabels(["Action", "Keys"])
        self._tree.setRootIsDecorated(False)
        self._tree.setAlternatingRowColors(True)
        header = self._tree.header()
        if header is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(False)
        self._tree.itemDoubleClicked.connect(self._on_item_double_clicked)
        hint = QLabel("Double-click a row to change its key.")
        hint.setProperty("quiet", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        reset = QPushButton("Restore defaults")
        reset.setAutoDefault(False)
        buttons.addButton(reset, QDialogButtonBox.ButtonRole.ResetRole)
        reset.clicked.connect(self._on_reset_clicked)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(theme.STEP)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        for widget in (self._search, self._tree, hint, buttons):
            column.addWidget(widget)
        self._fill()

    def _fill(self) -> None:
        self._tree.clear()
        groups: dict[str, QTreeWidgetItem] = {}
        for entry in self._book.entries:
            if not entry.menu:
                continue
            keys = self._book.native_keys(entry)
            title = entry.menu.partition("/")[0]
            if title not in groups:
                groups[title] = self._group(title)
            item = QTreeWidgetItem([entry.text.rstrip("…"), keys])
            item.setData(0, Qt.ItemDataRole.UserRole, entry.id)
            groups[title].addChild(item)
        canvas = self._group("On the canvas")
        for keys, words in FIXED_KEYS:
            canvas.addChild(QTreeWidgetItem([words, keys]))
        self._tree.expandAll()
        self._on_search_changed(self._search.text())

    def _group(self, title: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([title])
        font = item.font(0)
        font.setBold(True)
        item.setFont(0, font)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self._tree.addTopLevelItem(item)
        return item

    def _on_search_changed(self, words: str) -> None:
        wanted = words.casefold()
        for i in range(self._tree.topLevelItemCount()):
            group = self._tree.topLevelItem(i)
            if group is None:
                continue
            seen = 0
            for j in range(group.childCount()):
                child = group.child(j)
                if child is None:
                    continue
                shown = wanted in f"{child.text(0)} {child.text(1)}".casefold()
                child.setHidden(not shown)
                seen += shown
            group.setHidden(seen == 0)

    def _on_item_double_clicked(self, item: QTreeWidgetItem, _column: int) -> None:
        action_id = item.data(0, Qt.ItemDataRole.UserRole)
        if action_id is None:
            return
        entry = self._book.table[action_id]
        dialog = KeyDialog(entry, self._book, self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._change(entry, dialog.keys())

    def _change(self, entry: Action, keys: list[str]) -> None:
        changed = dict(self._settings.shortcuts)
        for other in self._book.entries:  # a key does one thing: it is taken from the action that had it
            if other.id != entry.id and set(self._book.shortcuts(other)) & set(keys):
                changed[other.id] = [key for key in self._book.shortcuts(other) if key not in keys]
        changed[entry.id] = keys
        self._settings.shortcuts = changed
        self._apply()

    def _on_reset_clicked(self) -> None:
        self._settings.shortcuts = {}
        self._apply()

    def _apply(self) -> None:
        self._save()
        self._book.apply_shortcuts()
        self._fill()


class KeyDialog(QDialog):
    """Press the new key."""

    def __init__(self, entry: Action, book: ActionBook, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(entry.text.rstrip("…"))
        self._entry, self._book = entry, book
        self._edit = QKeySequenceEdit()
        self._edit.setMaximumSequenceLength(1)
        first = book.shortcuts(entry)
        self._edit.setKeySequence(QKeySequence(first[0] if first else ""))
        self._taken = QLabel()
        self._taken.setWordWrap(True)
        self._taken.setProperty("quiet", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._edit.keySequenceChanged.connect(self._on_keys_changed)
        column = QVBoxLayout(self)
        column.setSpacing(theme.STEP)
        column.addWidget(QLabel("Press the new key:"))
        column.addWidget(self._edit)
        column.addWidget(self._taken)
        column.addWidget(buttons)

    def keys(self) -> list[str]:
        """The keys as text."""
        text = self._edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        return [text] if text else []

    def _on_keys_changed(self, _sequence: QKeySequence) -> None:
        taken = [
            other.text.rstrip("…")
            for other in self._book.entries
            if other.id != self._entry.id and set(self._book.shortcuts(other)) & set(self.keys())
        ]
        self._taken.setText(f"Taken from: {', '.join(taken)}" if taken else "")
