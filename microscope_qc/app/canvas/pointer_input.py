"""Mouse and keys on the canvas: taken before napari does, and passed to the tools."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QNativeGestureEvent, QWheelEvent
from qtpy.QtWidgets import QWidget

from microscope_qc.app.canvas.hover import HoverCard
from microscope_qc.app.canvas.tools import Pointer, Tools
from microscope_qc.app.canvas.view import View

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

WHEEL_STEP = 1.0015  # per unit of angle delta: one notch (120) zooms by 1.2
CURSORS = {
    "arrow": Qt.CursorShape.ArrowCursor,
    "cross": Qt.CursorShape.CrossCursor,
    "move": Qt.CursorShape.SizeAllCursor,
    "hand": Qt.CursorShape.ClosedHandCursor,
    "open-hand": Qt.CursorShape.OpenHandCursor,
    "resize-h": Qt.CursorShape.SizeHorCursor,
    "resize-v": Qt.CursorShape.SizeVerCursor,
    "resize-fall": Qt.CursorShape.SizeFDiagCursor,
    "resize-rise": Qt.CursorShape.SizeBDiagCursor,
}
ARROWS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class Viewport(Protocol):
    """What mouse and keys move: the visible part of the slide."""

    @property
    def view(self) -> View:
        """The visible part."""

    def set_view(self, view: View) -> None:
        """Show another part."""

    def zoom_at(self, factor: float, place: QPointF) -> None:
        """Zoom about a point on screen."""

    def fit_selection(self) -> None:
        """Show the selected boxes with their surroundings."""

    def update_later(self, *_: object) -> None:
        """Redraw with the next frame."""

    def update_soon(self, *_: object) -> None:
        """Redraw once the window has answered what came meanwhile."""


class PointerInput(QObject):
    """Watches the widget that napari draws on.

    ``cursor_moved`` carries slide y, x (NaN when the mouse has left), ``menu_requested`` a global position,
    ``box_activated`` the id of a box that was double-clicked.
    """

    cursor_moved = Signal(float, float)
    menu_requested = Signal(object)
    box_activated = Signal(int)
    resized = Signal()

    def __init__(self, viewport: Viewport, session: Session, tools: Tools, hover: HoverCard, native: QWidget) -> None:
        super().__init__(native)
        self._viewport, self._session, self._tools, self._hover = viewport, session, tools, hover
        self._native = native
        self.pointer: Pointer | None = None
        self._space = False
        native.setMouseTracking(True)
        native.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        native.installEventFilter(self)

    def close(self) -> None:
        """Stop watching."""
        self._native.removeEventFilter(self)

    def set_cursor(self, name: str) -> None:
        """Show a mouse cursor, by its name in ``CURSORS``."""
        self._native.setCursor(CURSORS[name])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take mouse and keys before napari does."""
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self.resized.emit()
            return False
        if kind == QEvent.Type.Leave:
            self.cursor_moved.emit(math.nan, math.nan)
            self.pointer = None
            self._hover.leave()
            return False
        if kind == QEvent.Type.FocusOut:
            self._space = False
            return False
        if isinstance(event, QMouseEvent):
            return self._on_mouse(event)
        if isinstance(event, QWheelEvent):
            self._hover.leave()
            self._on_wheel(event)
            return True
        if isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self._viewport.zoom_at(1.0 + event.value(), event.position())
            return True
        if kind in {QEvent.Type.KeyPress, QEvent.Type.KeyRelease} and isinstance(event, QKeyEvent):
            return self._on_key(event, pressed=kind == QEvent.Type.KeyPress)
        return False

    def _on_mouse(self, event: QMouseEvent) -> bool:
        if self._session.slide is None:
            return True
        viewport, tools = self._viewport, self._tools
        kind = event.type()
        pointer = self.pointer = _pointer(event)
        button = event.button()
        if kind == QEvent.Type.MouseButtonPress:
            self._native.setFocus()
            if button == Qt.MouseButton.RightButton:
                self._on_right_click(pointer, event)
            elif button in {Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton}:
                tools.press(pointer, pan=self._space or button == Qt.MouseButton.MiddleButton)
        elif kind == QEvent.Type.MouseMove:
            before = viewport.view
            tools.move(pointer)
            if viewport.view is not before:
                viewport.set_view(viewport.view)
            y, x = viewport.view.to_slide(pointer.x, pointer.y)
            self.cursor_moved.emit(y, x)
        elif kind == QEvent.Type.MouseButtonRelease and button != Qt.MouseButton.RightButton:
            tools.release(pointer)
        elif kind == QEvent.Type.MouseButtonDblClick and button == Qt.MouseButton.LeftButton:
            self._on_double_click(pointer)
        if kind == QEvent.Type.MouseMove and not tools.gesture and event.buttons() == Qt.MouseButton.NoButton:
            self._hover.over(tools.box_at(pointer), event.position().toPoint())
        else:
            self._hover.leave()
        self.set_cursor("open-hand" if self._space and not tools.gesture else tools.cursor(pointer))
        if kind == QEvent.Type.MouseButtonRelease:
            viewport.update_soon()
        elif tools.gesture or kind != QEvent.Type.MouseMove:
            viewport.update_later()
        return True

    def _on_double_click(self, pointer: Pointer) -> None:
        hit = self._tools.box_at(pointer) if self._session.tool == "select" else None
        if hit is not None:
            self._session.selection.set([hit], current=hit)
            self._viewport.fit_selection()
            self.box_activated.emit(hit)
        else:
            self._tools.press(pointer)

    def _on_right_click(self, pointer: Pointer, event: QMouseEvent) -> None:
        self._tools.cancel()
        hit = self._tools.box_at(pointer)
        if hit is not None and hit not in self._session.selection:
            self._session.selection.set([hit], current=hit)
        self.menu_requested.emit(event.globalPosition().toPoint())

    def _on_wheel(self, event: QWheelEvent) -> None:
        if self._session.slide is None:
            return
        delta = event.angleDelta().y() or event.angleDelta().x()
        if delta:
            self._viewport.zoom_at(WHEEL_STEP**delta, event.position())

    def _on_key(self, event: QKeyEvent, *, pressed: bool) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._space = pressed
                self.set_cursor("open-hand" if pressed else "arrow")
            return True
        if not pressed:
            return True
        if key in ARROWS and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            step = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            dy, dx = ARROWS[Qt.Key(key)]
            if self._session.can_write:
                self._session.editing.nudge(self._session.selection.ids, dy * step, dx * step)
            return True
        event.ignore()
        return True


def _pointer(event: QMouseEvent) -> Pointer:
    place, keys = event.position(), event.modifiers()
    return Pointer(
        place.x(),
        place.y(),
        shift=bool(keys & Qt.KeyboardModifier.ShiftModifier),
        ctrl=bool(keys & Qt.KeyboardModifier.ControlModifier),
    )
