"""Keys of a list that mean something else in the rest of the window."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget


class DeleteKey(QObject):
    """While ``widget`` has the focus, Delete (or another key) calls ``delete``, not what it does in the window."""

    def __init__(self, widget: QWidget, delete: Callable[[], None], *, key: Qt.Key = Qt.Key.Key_Delete) -> None:
        super().__init__(widget)
        self._delete, self._key = delete, key
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: take the key from the window's shortcut, then act on it."""
        if isinstance(event, QKeyEvent) and event.key() == self._key:
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._delete()
                return True
        return False
