"""Panels are updated once after many changes, only while they are visible, and one after the other."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from microscope_qc.app.base.turns import Later

USES = (
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.KeyPress,
    QEvent.Type.ShortcutOverride,
    QEvent.Type.Wheel,
    QEvent.Type.FocusIn,
)


class Refresh(Later):
    """Calls ``refresh`` once after any number of calls of :meth:`soon`; a hidden widget waits until it is shown.

    Further changes do not restart the delay, so that a visible widget never stays out of date. Panels that are due at
    the same time take turns: each refreshes and is painted, then the window is free for a moment, so that eight panels
    stop it no longer than the slowest of them.

    Parameters
    ----------
    after_ms
        Delay after the first change: none for what the user looks at while working, 50 to 150 ms for the rest.
    """

    def __init__(self, widget: QWidget, refresh: Callable[[], object], *, after_ms: int = 0) -> None:
        super().__init__(widget, refresh, after_ms=after_ms)
        self._widget = widget
        widget.installEventFilter(self)

    def before_use_of(self, *widgets: QWidget) -> None:
        """Refresh before a key, the mouse or the focus reaches one of these: the user acts on what is there now."""
        for used in widgets:
            used.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: refresh the widget when it is shown or used."""
        if event.type() in (USES if watched is not self._widget else (QEvent.Type.Show,)):
            self.catch_up()
        return False

    def _wanted(self) -> bool:
        return self._widget.isVisible()
