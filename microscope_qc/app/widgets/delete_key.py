"""The Delete key in a list of its own."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget


class DeleteKey(QObject):
    """While ``widget`` has the focus, Delete calls ``delete`` instead of deleting the selected findings."""

    def __init__(self, widget: QWidget, delete: Callable[[], None]) -> None:
        super().__init__(widget)
        self._delete = delete
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: take the key from the window's shortcut, then act on it."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Delete:
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._delete()
                return True
        return False
