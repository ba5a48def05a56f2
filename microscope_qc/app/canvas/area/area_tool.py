"""The tool "I have looked at all of this": mouse and keys that outline an area, which is then declared complete.

While it is in hand the canvas' own tools rest; panning and zooming stay with the canvas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence, QMouseEvent
from qtpy.QtWidgets import QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.canvas.area.area_bar import AreaBar
from microscope_qc.app.canvas.area.area_hand import AreaHand, Point
from microscope_qc.app.canvas.area.area_paint import TOOL, AreaPaint
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.canvas.canvas import Canvas

LEFT = Qt.MouseButton.LeftButton
TOO_FEW = "An area needs at least three corners: go on clicking, or drag a rectangle."


class AreaTool(QObject):
    """Takes mouse and keys while the session's tool is "area".

    An outline that is not closed waits on its slide, also while another tool is in hand: its clicks are not lost.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas, self._session = canvas, canvas.session
        self._native: QWidget = canvas.picture.native
        self.hand = AreaHand()
        self.bar: AreaBar | None = None
        self._waiting: dict[int, list[Point]] = {}
        self._slide_id: int | None = None
        self._active = self._space = self._passing = False
        canvas.overlay.further.append(AreaPaint(self._session, self.hand).paint)
        session = self._session
        link(self, session.tool_changed, self._on_tool_changed)
        link(self, session.slide_changed, self._on_slide_changed)
        link(self, session.project_changed, self._on_project_changed)
        for signal in (session.areas_changed, session.classes_changed, session.declaring.changed):
            link(self, signal, self._on_changed)

    @property
    def active(self) -> bool:
        """Whether it is in hand."""
        return self._active

    def close_outline(self) -> None:
        """Declare what the corners enclose, or say that there are too few."""
        outline = self.hand.close()
        if outline is None:
            self._session.notice.emit(TOO_FEW)
        self._finish(outline)

    # -- coming and going --------------------------------------------------------------------------------------------

    def _on_tool_changed(self, tool: str) -> None:
        if (tool == TOOL) == self._active:
            return
        self._active = tool == TOOL
        self._space = self._passing = False
        if self._active:
            self._native.installEventFilter(self)
            self._show_bar()
        else:
            self._native.removeEventFilter(self)
            self.hand.rectangle = self.hand.place = None
            if self.bar is not None:
                self.bar.hide()
        self._canvas.update_later()

    def _on_slide_changed(self) -> None:
        if self._slide_id is not None and self.hand.corners:
            self._waiting[self._slide_id] = self.hand.corners
        slide = self._session.slide
        self._slide_id = None if slide is None else slide.id
        self.hand.drop()
        self.hand.corners = [] if slide is None else self._waiting.pop(slide.id, [])
        self._on_changed()

    def _on_project_changed(self) -> None:
        self._waiting.clear()  # another project's slides have the same numbers
        self.hand.drop()

    def _on_changed(self, *_: object) -> None:
        self._canvas.update_later()
        if self.bar is not None and self._active:
            self.bar.refresh(len(self.hand.corners))

    def _show_bar(self) -> None:
        if self.bar is None:
            self.bar = AreaBar(self._session, self._canvas)
            self.bar.close_requested.connect(self.close_outline)
            self.bar.view_requested.connect(lambda: self._session.declaring.declare_view(self._canvas.view.bounds))
            layout = self._canvas.layout()
            if layout is not None:
                layout.insertWidget(layout.count() - 1, self.bar)  # type: ignore[attr-defined]
        self.bar.begin()
        self.bar.refresh(len(self.hand.corners))

    # -- mouse and keys ----------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: take what belongs to the outline before the canvas does."""
        if self._session.slide is None:
            return False
        if isinstance(event, QKeyEvent):
            return self._on_key(event)
        if isinstance(event, QMouseEvent):
            return self._on_mouse(event)
        if event.type() == QEvent.Type.Leave:
            self.hand.place = None
            self._canvas.update_later()
        elif event.type() == QEvent.Type.FocusOut:
            self._space = False
        return False

    def _on_mouse(self, event: QMouseEvent) -> bool:
        kind, place = event.type(), event.position()
        if self._passing:  # the canvas pans
            self._passing = kind != QEvent.Type.MouseButtonRelease
            return False
        pressed = kind in {QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick}
        if pressed and (self._space or event.button() != LEFT):
            if self.hand.rectangle is not None:
                return True
            # the menu of the right button takes its release for itself
            self._passing = event.button() != Qt.MouseButton.RightButton
            return False
        if kind == QEvent.Type.MouseButtonDblClick:
            self.hand.move(place.x(), place.y(), self._canvas.view)
            self.close_outline()
        elif pressed:
            self._native.setFocus()
            self.hand.press(place.x(), place.y())
        elif kind == QEvent.Type.MouseMove:
            self._move(place)
        elif kind == QEvent.Type.MouseButtonRelease and event.button() == LEFT:
            self._finish(self.hand.release(place.x(), place.y(), self._canvas.view))
        return True

    def _move(self, place: QPointF) -> None:
        canvas = self._canvas
        self.hand.move(place.x(), place.y(), canvas.view)
        self._native.setCursor(Qt.CursorShape.CrossCursor)
        canvas.hover.leave()
        canvas.cursor_moved.emit(*canvas.view.to_slide(place.x(), place.y()))
        canvas.update_later()

    def _finish(self, outline: Region | list[Point] | None) -> None:
        self._on_changed()
        if outline is None:
            return
        try:
            self._session.declaring.declare(outline)
        except Exception:
            if isinstance(outline, list):
                self.hand.corners = outline  # the error says what to do; the clicks are still there
            raise
        finally:
            self._on_changed()

    def _on_key(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._space = event.type() == QEvent.Type.KeyPress
            return False
        act = self._act_of(event)
        if act == "":
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()  # Qt sends it as a plain key press then, not to the action that has the key
        elif event.type() == QEvent.Type.KeyPress:
            if act == "close":
                self.close_outline()
            elif act == "back":
                self.hand.back()
            else:
                self.hand.drop()
            self._on_changed()
        return True

    def _act_of(self, event: QKeyEvent) -> str:
        """What a key does to the outline; "" where it is none of its keys, or there is no outline."""
        if not self.hand.under_way:
            return ""
        if event.matches(QKeySequence.StandardKey.Undo):
            return "back"
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return ""
        keys = {
            Qt.Key.Key_Return: "close", Qt.Key.Key_Enter: "close", Qt.Key.Key_Backspace: "back",
            Qt.Key.Key_Escape: "drop",
        }  # fmt: skip
        return keys.get(Qt.Key(key), "") if (key := event.key()) in keys else ""
