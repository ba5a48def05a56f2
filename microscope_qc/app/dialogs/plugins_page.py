"""A page of the settings: what other packages add to the program, from where, and what was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QShowEvent
from qtpy.QtWidgets import QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.workflows.plugins import InstalledPlugin

COLUMNS = ("What", "Name", "State")
OWN = "A package of your own begins with: microscope-qc plugin new NAME"


class PluginsPage(QWidget):
    """Filled when it is first seen: to know what can be used, everything must be imported.

    Parameters
    ----------
    find
        Returns what other packages add.
    """

    def __init__(self, find: Callable[[], Sequence[InstalledPlugin]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._find = find
        self._filled = False
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.tree = QTreeWidget()
        self.tree.setColumnCount(len(COLUMNS))
        self.tree.setHeaderLabels(list(COLUMNS))
        self.tree.setRootIsDecorated(False)
        header = self.tree.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(True)
        own = QLabel(OWN)
        own.setProperty("quiet", True)
        own.setWordWrap(True)
        own.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.STEP, 0, 0)
        column.setSpacing(theme.STEP)
        for widget in (self.words, self.tree, own):
            column.addWidget(widget)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: fill it."""
        super().showEvent(event)
        if not self._filled:
            self._filled = True
            self._fill(self._find())

    def _fill(self, plugins: Sequence[InstalledPlugin]) -> None:
        refused = sum(bool(one.refused) for one in plugins)
        if not plugins:
            self.words.setText("No other package adds anything to this program.")
        else:
            packages = things(len({one.package for one in plugins}), "package")
            self.words.setText(f"{packages}, {things(len(plugins), 'plugin')}, {refused or 'none'} refused.")
        self.tree.setVisible(bool(plugins))
        groups: dict[str, QTreeWidgetItem] = {}
        for one in plugins:
            if one.package not in groups:
                groups[one.package] = self._group(one)
            item = QTreeWidgetItem([one.what, one.name, f"Refused: {one.refused}" if one.refused else "in use"])
            if one.refused:
                item.setForeground(2, QColor(theme.current().error))
                item.setToolTip(2, one.refused)
            groups[one.package].addChild(item)
        self.tree.expandAll()

    def _group(self, one: InstalledPlugin) -> QTreeWidgetItem:
        place = f"   {one.place}" if one.place is not None else ""
        item = QTreeWidgetItem([f"{one.package} {one.version}".strip() + place])
        item.setToolTip(0, item.text(0))
        font = item.font(0)
        font.setBold(True)
        item.setFont(0, font)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.tree.addTopLevelItem(item)
        item.setFirstColumnSpanned(True)
        return item
