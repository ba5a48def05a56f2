"""Panels are updated once after many changes, and only while they are visible."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget


class Refresh(QObject):
    """Calls ``refresh`` once after any number of calls of :meth:`soon`; a hidden widget waits until it is shown.

    Further changes do not restart the timer, so that a visible widget never stays out of date.
    """

    def __init__(self, widget: QWidget, refresh: Callable[[], object], *, after_ms: int = 0) -> None:
        super().__init__(widget)
        self._widget = widget
        self._refresh = refresh
        self._due = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(after_ms)
        self._timer.timeout.connect(self._on_timeout)
        widget.installEventFilter(self)

    @property
    def due(self) -> bool:
        """Whether the widget may be out of date."""
        return self._due

    def soon(self, *_: object) -> None:
        """Refresh after the next delay, because something changed."""
        self._due = True
        if self._widget.isVisible() and not self._timer.isActive():
            self._timer.start()

    def now(self) -> None:
        """Refresh at once, visible or not."""
        self._timer.stop()
        self._due = False
        self._refresh()

    def catch_up(self) -> None:
        """Refresh at once if something changed."""
        if self._due:
            self.now()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: refresh the widget when it is shown."""
        if event.type() == QEvent.Type.Show:
            self.catch_up()
        return False

    def _on_timeout(self) -> None:
        if self._widget.isVisible():
            self.catch_up()
