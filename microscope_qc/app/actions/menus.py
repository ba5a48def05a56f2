"""Qt actions from the table of actions: menus, tool bar, shortcuts, and reasons in the tooltips of disabled ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QMainWindow, QMenu, QMenuBar, QToolBar

from microscope_qc.app.actions.table import ACTIONS, MENUS, Action
from microscope_qc.app.base import theme

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import Settings
    from microscope_qc.app.session.session import Session


class ActionBook(QObject):
    """All actions of a window.

    Parameters
    ----------
    resolve
        Gives the callable of an action's ``callback``.
    """

    def __init__(
        self,
        window: QMainWindow,
        session: Session,
        settings: Settings,
        resolve: Callable[[str], Callable[..., object]],
    ) -> None:
        super().__init__(window)
        self._session, self._settings = session, settings
        self._resolve = resolve
        self.actions: dict[str, QAction] = {}
        self.menus: dict[str, QMenu] = {}
        for entry in ACTIONS:
            action = QAction(entry.text, window)
            action.setObjectName(entry.id)
            action.setCheckable(entry.checkable)
            action.triggered.connect(lambda _checked=False, entry=entry: self.trigger(entry))
            self.actions[entry.id] = action
            window.addAction(action)
        self.apply_shortcuts()

    def trigger(self, entry: Action) -> None:
        """Do an action, or say why it cannot be done."""
        reason = entry.when(self._session)
        if reason:
            self._session.notice.emit(reason)
            return
        callback = self._resolve(entry.callback)
        if entry.argument is None:
            callback()
        else:
            callback(entry.argument)

    def shortcuts(self, entry: Action) -> list[str]:
        """The keys of an action: the person's, else the table's."""
        return self._settings.shortcuts.get(entry.id, list(entry.shortcuts))

    def apply_shortcuts(self) -> None:
        """Take the keys anew (the person changed them)."""
        for entry in ACTIONS:
            self.actions[entry.id].setShortcuts([QKeySequence(text) for text in self.shortcuts(entry)])
        self.refresh()

    def enable(self) -> None:
        """Enable what can be done now: at once, for a key may follow within milliseconds."""
        for entry in ACTIONS:
            self.actions[entry.id].setEnabled(not entry.when(self._session))

    def refresh(self) -> None:
        """Enable what can be done now and say at the rest why not."""
        for entry in ACTIONS:
            action = self.actions[entry.id]
            reason = entry.when(self._session)
            action.setEnabled(not reason)
            keys = ", ".join(QKeySequence(text).toString(QKeySequence.SequenceFormat.NativeText)
                             for text in self.shortcuts(entry))  # fmt: skip
            words = entry.text.rstrip("…") + (f"  ({keys})" if keys else "")
            if entry.tooltip:
                words += f"\n{entry.tooltip}"
            if reason:
                words += f"\nNot now: {reason}"
            action.setToolTip(words)

    def refresh_icons(self) -> None:
        """Make the icons in the colours of the theme."""
        for entry in ACTIONS:
            self.actions[entry.id].setIcon(theme.icon(entry.icon))

    def build_menus(self, bar: QMenuBar) -> None:
        """Fill the menu bar."""
        for title in MENUS:
            self._menu(bar, title)
        last_group: dict[str, int] = {}
        for entry in ACTIONS:
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
        for entry in ACTIONS:
            if not entry.toolbar:
                continue
            area = entry.id.partition(".")[0]
            if last and area != last:
                bar.addSeparator()
            last = area
            bar.addAction(self.actions[entry.id])
