"""The command palette: type a few letters of a command, a slide or a class, press Enter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.dialogs.destinations import Destination

if TYPE_CHECKING:
    from microscope_qc.app.actions.action import Action
    from microscope_qc.app.actions.book import ActionBook

MOST = 30
"""Slides and classes that are offered at once."""


def match_score(words: str, text: str) -> int:
    """How well typed ``words`` fit a ``text``: 0 not at all; whole words and beginnings count most."""
    low = text.casefold()
    score = 1
    for word in words.casefold().split():
        place = low.find(word)
        if place < 0:
            return 0
        score += 4 if place == 0 else 3 if low[place - 1] in " /-" else 1
    return score


class CommandPalette(QFrame):
    """A popup at the top of the window.

    Parameters
    ----------
    destinations
        Gives what is offered besides commands for what was typed.
    """

    def __init__(
        self, book: ActionBook, parent: QWidget, *, destinations: Callable[[str], Iterable[Destination]] | None = None
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("palette")
        self._book = book
        self._destinations = destinations
        self.line = QLineEdit()
        self.line.setPlaceholderText("Type what you want to do, or a slide, a class, or the number of a finding")
        self.line.setClearButtonEnabled(True)
        self.items = QListWidget()
        self.items.setUniformItemSizes(True)
        self.items.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        column.setSpacing(theme.STEP)
        column.addWidget(self.line)
        column.addWidget(self.items)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._choose)
        self.items.itemClicked.connect(lambda _item: self._choose())
        self.line.installEventFilter(self)

    def popup(self) -> None:
        """Open at the top of the window, centred."""
        parent = self.parentWidget()
        assert parent is not None
        colours = theme.current()
        self.setStyleSheet(
            f"#palette {{ background: {colours.window}; border: 1px solid {colours.line}; border-radius: 6px; }}"
        )
        width = min(560, parent.width() - 80)
        self.resize(width, min(420, parent.height() - 120))
        self.move(parent.mapToGlobal(parent.rect().topLeft()).x() + (parent.width() - width) // 2,
                  parent.mapToGlobal(parent.rect().topLeft()).y() + 60)  # fmt: skip
        self.line.clear()
        self._fill("")
        self.show()
        self.line.setFocus()

    def _fill(self, words: str) -> None:
        offered = [entry for entry in self._book.entries if entry.menu]
        scored = [(match_score(words, f"{entry.menu} {self._text(entry)}"), entry) for entry in offered]
        # what can be done now comes first
        scored.sort(key=lambda pair: (bool(self._book.why_not(pair[1])), -pair[0]))
        fitting = [entry for score, entry in scored if score]
        doable = [entry for entry in fitting if not self._book.why_not(entry)]
        self.items.clear()
        for entry in doable:
            self.items.addItem(self._item(entry))
        for destination in self._fitting_destinations(words):
            item = QListWidgetItem(theme.icon(destination.icon), destination.words)
            item.setData(Qt.ItemDataRole.UserRole, destination)
            self.items.addItem(item)
        for entry in fitting[len(doable) :]:
            self.items.addItem(self._item(entry))
        self.items.setCurrentRow(0)

    def _fitting_destinations(self, words: str) -> list[Destination]:
        """The slides and classes that fit best, none before anything is typed."""
        if self._destinations is None or not words.strip():
            return []
        scored = [(match_score(words, offered.words), offered) for offered in self._destinations(words)]
        return [offered for score, offered in nlargest(MOST, scored, key=lambda pair: pair[0]) if score]

    def _text(self, entry: Action) -> str:
        return self._book.actions[entry.id].text().replace("&", "")

    def _item(self, entry: Action) -> QListWidgetItem:
        keys = self._book.native_keys(entry)
        reason = self._book.why_not(entry)
        words = f"{entry.menu.replace('/', ' › ')} › {self._text(entry)}"
        words += f"     {keys}" if keys else ""
        words += f"     ({reason.rstrip('.')})" if reason else ""
        item = QListWidgetItem(theme.icon(entry.icon or "circle-small"), words)
        item.setData(Qt.ItemDataRole.UserRole, entry.id)
        if reason:
            item.setForeground(self.palette().placeholderText())
        return item

    def _choose(self) -> None:
        item = self.items.currentItem()
        if item is not None:
            self.hide()
            chosen = item.data(Qt.ItemDataRole.UserRole)
            if isinstance(chosen, Destination):
                chosen.go()
            else:
                self._book.trigger(chosen)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up and Down move in the list while the line keeps the keyboard."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}.get(
                Qt.Key(event.key())
            )
            if step is not None:
                row = min(max(self.items.currentRow() + step, 0), self.items.count() - 1)
                self.items.setCurrentRow(row)
                return True
        return False
