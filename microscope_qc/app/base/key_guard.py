"""Single keys are shortcuts, but not while the user types: the field with the focus keeps the keys it needs."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

TEXT_FIELDS = (QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox)
TEXT_KEYS = {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Tab, Qt.Key.Key_Escape}
MOVING_FIELDS = (QAbstractSlider, QAbstractItemView)
MOVING_KEYS = {Qt.Key.Key_Left, Qt.Key.Key_Right}


class KeyGuard(QObject):
    """Watches the widget that has the focus, and only that one: a filter on every event would cost every frame."""

    def __init__(self, app: QApplication, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        app.focusChanged.connect(self._on_focus_changed)

    def close(self) -> None:
        """Stop watching."""
        self._app.focusChanged.disconnect(self._on_focus_changed)
        self._on_focus_changed(None, None)

    def _on_focus_changed(self, before: QWidget | None, now: QWidget | None) -> None:
        if before is not None:
            before.removeEventFilter(self)
        if isinstance(now, (*TEXT_FIELDS, *MOVING_FIELDS)):
            now.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Accept a shortcut's key as the field's own: Qt then sends it as a plain key press."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        if event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier):
            return False
        key = Qt.Key(event.key())
        typed = isinstance(watched, TEXT_FIELDS) and (key in TEXT_KEYS or bool(event.text().strip()))
        moved = isinstance(watched, MOVING_FIELDS) and key in MOVING_KEYS
        if typed or moved:
            event.accept()
        return typed or moved
