"""Qt actions from the table of actions: menus, tool bar, shortcuts, and reasons in the tooltips of disabled ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QMainWindow, QMenu, QMenuBar, QToolBar

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import Check
from microscope_qc.app.actions.table import ActionTable, same_key
from microscope_qc.app.base import theme
from microscope_qc.app.base.turns import Later

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

T = TypeVar("T")

FAULTY = "This action does not work; see the log for the reason."
WORDS_MS = 30
"""Delay before texts and tooltips follow a change, so that several changes cause one update."""


class ActionBook(QObject):
    """All actions of a window."""

    def __init__(self, window: QMainWindow, table: ActionTable, context: Context) -> None:
        super().__init__(window)
        self._context = context
        self.table = table
        self.entries = tuple(table)
        self.actions: dict[str, QAction] = {}
        self.menus: dict[str, QMenu] = {}
        self._faulty: set[str] = set()
        self._said: dict[str, tuple[str, ...]] = {}
        self._by_check: dict[Check, list[Action]] = {}  # many actions ask the same question
        for entry in self.entries:
            self._by_check.setdefault(entry.when, []).append(entry)
        self._possible: dict[Check, bool] = {}
        self._words = Later(self, self.refresh, after_ms=WORDS_MS)
        for entry in self.entries:
            action = QAction(entry.text, window)
            action.setObjectName(entry.id)
            action.setCheckable(entry.checked is not None)
            action.triggered.connect(lambda _checked=False, entry=entry: self.do(entry))
            self.actions[entry.id] = action
            window.addAction(action)
        self.apply_shortcuts()

    def trigger(self, action_id: str) -> None:
        """Do an action, or say why it cannot be done."""
        self.do(self.table[action_id])

    def do(self, entry: Action) -> None:
        """As :meth:`trigger`."""
        reason = self.why_not(entry)
        if reason:
            self._context.session.notice.emit(reason)
        else:
            entry.run(self._context)

    def why_not(self, entry: Action) -> str:
        """Why an action cannot be done now, "" when it can."""
        return FAULTY if entry.id in self._faulty else self._ask(entry, entry.when, FAULTY)

    def _ask(self, entry: Action, question: Callable[[Context], T], otherwise: T) -> T:
        """Call a function of an action; if it fails, that is reported once and only this action is disabled."""
        try:
            return question(self._context)
        except Exception as error:  # it may have come with a plugin
            self._faulty.add(entry.id)
            self._context.errors.take(error)
            return otherwise

    # -- keys --------------------------------------------------------------------------------------------------------

    def shortcuts(self, entry: Action) -> list[str]:
        """Keys of an action: the user's own, else those defaults that the user gave to no other action."""
        changed = self._context.settings.shortcuts
        if entry.id in changed:
            return changed[entry.id]
        given = {same_key(key) for keys in changed.values() for key in keys}
        return [key for key in entry.shortcuts if not given or same_key(key) not in given]

    def native_keys(self, entry: Action, between: str = "   ") -> str:
        """Keys of an action in the notation of this platform."""
        native = QKeySequence.SequenceFormat.NativeText
        return between.join(QKeySequence(text).toString(native) for text in self.shortcuts(entry))

    def apply_shortcuts(self) -> None:
        """Apply the keys, also after the user changed them."""
        for entry in self.entries:
            self.actions[entry.id].setShortcuts([QKeySequence(text) for text in self.shortcuts(entry)])
        self.refresh()

    # -- what can be done now ----------------------------------------------------------------------------------------

    def refresh_soon(self, *_: object) -> None:
        """Enable and disable actions now, and update their texts after the event that is being handled."""
        self.enable()
        self._words.soon()

    def enable(self) -> None:
        """Enable what can be done now: at once, because a key press may follow within milliseconds."""
        for check, entries in self._by_check.items():
            possible = not self.why_not(entries[0])
            if self._possible.get(check) == possible and not self._faulty:
                continue
            self._possible[check] = possible
            for entry in entries:
                self.actions[entry.id].setEnabled(not self.why_not(entry))

    def refresh(self) -> None:
        """Enable what can be done now, and explain in the tooltips of the others why not."""
        self._possible.clear()
        for entry in self.entries:
            action = self.actions[entry.id]
            reason = self.why_not(entry)
            action.setEnabled(not reason)
            if entry.words is not None:
                action.setText(self._ask(entry, entry.words, "") or entry.text)
            if entry.checked is not None:
                action.setChecked(self._ask(entry, entry.checked, False))
            said = (reason, *self.shortcuts(entry))
            if self._said.get(entry.id) == said:
                continue
            self._said[entry.id] = said
            keys = self.native_keys(entry, ", ")
            words = entry.text.rstrip("…") + (f"  ({keys})" if keys else "")
            if entry.tooltip:
                words += f"\n{entry.tooltip}"
            if reason:
                words += f"\nNot now: {reason}"
            action.setToolTip(words)

    def refresh_icons(self) -> None:
        """Update the icons to the colours of the theme."""
        for entry in self.entries:
            self.actions[entry.id].setIcon(theme.icon(entry.icon))

    # -- menus and tool bar ------------------------------------------------------------------------------------------

    def build_menus(self, bar: QMenuBar) -> None:
        """Fill the menu bar."""
        for title in self.table.menus():
            self._menu(bar, title)
        last_group: dict[str, int] = {}
        for entry in self.entries:
            if not entry.menu:
                continue
            menu = self._menu(bar, entry.menu)
            if last_group.get(entry.menu, entry.group) != entry.group:
                menu.addSeparator()
            last_group[entry.menu] = entry.group
            menu.addAction(self.actions[entry.id])

    def _menu(self, bar: QMenuBar, path: str) -> QMenu:
        if path not in self.menus:
            above, _, title = path.rpartition("/")
            made = self._menu(bar, above).addMenu(title) if above else bar.addMenu(f"&{title}")
            made.setToolTipsVisible(True)
            self.menus[path] = made
        return self.menus[path]

    def build_tool_bar(self, bar: QToolBar) -> None:
        """Fill the tool bar."""
        last = ""
        for entry in self.entries:
            if not entry.toolbar:
                continue
            area = entry.id.partition(".")[0]
            if last and area != last:
                bar.addSeparator()
            last = area
            bar.addAction(self.actions[entry.id])
