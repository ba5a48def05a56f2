"""The manual in a window of its own: contents and search at the left, the page at the right."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.turns import Later
from microscope_qc.app.widgets.manual_page import ManualBrowser
from microscope_qc.core.manual import INDEX, Manual, ManualHit

SEARCH_MS = 150
PLACE = Qt.ItemDataRole.UserRole


class ManualWindow(QDialog):
    """Stays open beside the work.

    Parameters
    ----------
    words_of
        Where in the menus an action stands, with its keys, as Markdown.
    """

    def __init__(self, pages: Manual, words_of: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Manual")
        self.setWindowFlag(Qt.WindowType.Window)
        self.resize(1040, 720)
        self._manual = pages
        self._search_soon = Later(self, self._search, after_ms=SEARCH_MS)
        self.browser = ManualBrowser(pages, words_of)
        self.browser.shown.connect(self._on_page_shown)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Search the manual")
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(self._search_soon.soon)
        self.field.returnPressed.connect(self._on_return_pressed)
        self.contents = _tree()
        self.contents.itemSelectionChanged.connect(lambda: self._go(self.contents))
        self.hits = _tree()
        self.hits.itemSelectionChanged.connect(lambda: self._go(self.hits))
        self.nothing = QLabel()
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.nothing.setWordWrap(True)
        self.nothing.setProperty("quiet", True)
        self.nothing.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        self.left = QStackedWidget()
        for widget in (self.contents, self.hits, self.nothing):
            self.left.addWidget(widget)
        self._fill_contents()
        self._lay_out()
        self.open_page(INDEX)

    def open_page(self, name: str, anchor: str = "") -> None:
        """Show a page, at one of its headings."""
        self.browser.open_page(name, anchor)

    # -- putting together --------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.back = _button("arrow-left", "Back  (Alt+Left)", self.browser.go_back)
        self.forward = _button("arrow-right", "Forward  (Alt+Right)", self.browser.go_forward)
        home = _button("home-outline", "Contents", lambda: self.open_page(INDEX))
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        row.setSpacing(theme.STEP // 2)
        for button in (self.back, self.forward, home):
            row.addWidget(button)
        row.addWidget(self.field, 1)
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.left, 1)
        split = QSplitter()
        split.addWidget(side)
        split.addWidget(self.browser)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 740])
        split.setChildrenCollapsible(False)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(split)
        for keys, act in (
            ("Alt+Left", self.browser.go_back), ("Alt+Right", self.browser.go_forward), ("Ctrl+F", self._to_field),
        ):  # fmt: skip
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    def _fill_contents(self) -> None:
        for title, names in self._manual.contents:
            group = QTreeWidgetItem([title])
            font = group.font(0)
            font.setBold(True)
            group.setFont(0, font)
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for name in names:
                item = QTreeWidgetItem([self._manual.pages[name].title])
                item.setData(0, PLACE, (name, ""))
                group.addChild(item)
            self.contents.addTopLevelItem(group)
        self.contents.expandAll()

    # -- searching ---------------------------------------------------------------------------------------------------

    def _to_field(self) -> None:
        self.field.setFocus()
        self.field.selectAll()

    def _search(self) -> None:
        words = self.field.text().strip()
        self.browser.mark(self._manual.marked(words))
        self.hits.clear()
        found = self._manual.search(words)
        for hit in found:
            self.hits.addTopLevelItem(self._item(hit))
        self.hits.expandAll()
        if not words:
            self.left.setCurrentWidget(self.contents)
        elif found:
            self.left.setCurrentWidget(self.hits)
        else:
            self.nothing.setText(f"Nothing in the manual has “{escape(words)}”. Try fewer or other words.")
            self.left.setCurrentWidget(self.nothing)

    def _item(self, hit: ManualHit) -> QTreeWidgetItem:
        where = hit.title if hit.heading == hit.title else f"{hit.title}: {hit.heading}"
        item = QTreeWidgetItem([where])
        item.setToolTip(0, hit.around)
        item.setData(0, PLACE, (hit.page, "" if hit.heading == hit.title else hit.anchor))
        around = QTreeWidgetItem([hit.around])
        around.setForeground(0, self.palette().placeholderText())
        around.setData(0, PLACE, item.data(0, PLACE))
        around.setToolTip(0, hit.around)
        item.addChild(around)
        return item

    def _on_return_pressed(self) -> None:
        self._search_soon.stop()
        self._search()
        first = self.hits.topLevelItem(0)
        if first is not None and self.field.text().strip():
            self.hits.setCurrentItem(first)

    # -- going -------------------------------------------------------------------------------------------------------

    def _go(self, tree: QTreeWidget) -> None:
        items = tree.selectedItems()
        place = items[0].data(0, PLACE) if items else None
        if place:
            self.open_page(*place)

    def _on_page_shown(self, name: str) -> None:
        """Show in the contents where the user is."""
        self.setWindowTitle(f"Manual – {self._manual.pages[name].title}" if name != INDEX else "Manual")
        back, forward = self.browser.can_go
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)
        self.contents.blockSignals(True)
        self.contents.clearSelection()
        for number in range(self.contents.topLevelItemCount()):
            group = self.contents.topLevelItem(number)
            for place in range(0 if group is None else group.childCount()):
                item = None if group is None else group.child(place)
                if item is not None and item.data(0, PLACE)[0] == name:
                    self.contents.setCurrentItem(item)
        self.contents.blockSignals(False)


def _tree() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setHeaderHidden(True)
    tree.setRootIsDecorated(False)
    tree.setIndentation(theme.STEP)
    tree.setTextElideMode(Qt.TextElideMode.ElideRight)
    tree.setStyleSheet("QTreeView::item { padding: 2px 0px; }")
    return tree


def _button(icon: str, tip: str, act: Callable[[], None]) -> QToolButton:
    button = QToolButton()
    button.setIcon(theme.icon(icon))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.clicked.connect(lambda _checked=False: act())
    return button
