"""Editing the scan area of a detection with mouse and keys; meanwhile the canvas' own tools are inactive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from microscope_qc.app.base.key_guard import TEXT_FIELDS
from microscope_qc.app.canvas.area.brush_cursor import BrushCursor
from microscope_qc.app.canvas.area.mask_layer import MaskLayer
from microscope_qc.app.canvas.area.mask_paint import Cells, MaskPaint
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.wording import round_length

if TYPE_CHECKING:
    from microscope_qc.app.canvas.canvas import Canvas

LARGEST_SHARE = 0.25
"""Largest width of the brush, as a share of the slide's longer side."""
FIRST_SHARE = 0.06
"""Initial width of the brush, as a share of the height of the canvas."""
WHEEL_STEP = 1.0012
KEYS = {QKeySequence.StandardKey.Undo: "undo", QKeySequence.StandardKey.Redo: "redo"}


class MaskEditing(QObject):
    """A brush and rectangles on the canvas, from :meth:`begin` to :meth:`finish`.

    ``changed`` is sent after every step, ``tool_changed`` when brush, rectangle or their effect change. When the user
    is done or goes elsewhere, ``ending`` is sent while the painted mask is still there, and ``finished`` after that.
    """

    changed = Signal()
    tool_changed = Signal()
    ending = Signal()
    finished = Signal()

    def __init__(self, canvas: Canvas, layer: MaskLayer) -> None:
        super().__init__(canvas)
        self._canvas, self._layer = canvas, layer
        self._native: QWidget = canvas.picture.native
        self.paint: MaskPaint | None = None
        self.tool, self.add = "brush", True
        self.brush_um = 0.0
        self.limits_um = (1.0, 1.0)
        self._button = Qt.MouseButton.NoButton
        self._passing = self._space = self._ending = False
        self._start = self._last = QPointF()
        self._cursor = BrushCursor(self._native)
        canvas.view_changed.connect(self._cursor.update)
        # choosing another tool, another slide or another page ends the editing
        for signal in (canvas.session.tool_changed, canvas.session.slide_changed, canvas.session.project_changed):
            signal.connect(self._on_elsewhere)
        canvas.destroyed.connect(self._forget)

    @property
    def active(self) -> bool:
        """Whether the mask is being edited."""
        return self.paint is not None

    # -- from beginning to end ---------------------------------------------------------------------------------------

    def begin(self, mask: AreaMask, *, tool: str, add: bool) -> None:
        """Show a mask and let the user edit it."""
        self.finish()
        slide, um = self._canvas.session.slide, self._canvas.session.pixel_size_um
        if slide is None or um is None:
            return
        self._canvas.session.set_tool("select")
        self._canvas.cancel_gesture()
        self.paint = MaskPaint(mask)
        self.tool, self.add = tool, add
        smallest = min(side * size for side, size in zip(mask.cell_px, um, strict=True))
        largest = LARGEST_SHARE * max(side * size for side, size in zip(slide.shape_px, um, strict=True))
        self.limits_um = (smallest, max(largest, 2 * smallest))
        view = self._canvas.view
        self.set_brush(round_length(FIRST_SHARE * view.height / view.zoom * um[0]))
        self._layer.show(mask, slide.shape_px)
        self._native.installEventFilter(self)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._on_focus_changed)
        self._cursor.begin(self._canvas)
        self._canvas.hover.leave()
        self._native.setFocus()
        self._native.setCursor(Qt.CursorShape.CrossCursor)
        self.tool_changed.emit()
        self.changed.emit()

    def finish(self) -> None:
        """End the editing: mouse and keys belong to the canvas again."""
        if self.paint is None or self._ending:
            return
        self._ending = True  # a listener may hide the mask, which ends the editing too
        self._drop_stroke()
        self.ending.emit()
        self.paint, self._ending = None, False
        self._native.removeEventFilter(self)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.disconnect(self._on_focus_changed)
        self._on_focus_changed(app.focusWidget(), None)
        self._button, self._passing, self._space = Qt.MouseButton.NoButton, False, False
        self._cursor.end()
        self._native.setCursor(Qt.CursorShape.ArrowCursor)
        self.finished.emit()

    def _on_elsewhere(self, *_: object) -> None:
        self.finish()

    def _forget(self) -> None:
        session = self._canvas.session
        for signal in (session.tool_changed, session.slide_changed, session.project_changed):
            signal.disconnect(self._on_elsewhere, missing_ok=True)

    # -- commands of the bar -----------------------------------------------------------------------------------------

    def set_tool(self, tool: str, *, add: bool) -> None:
        """Choose "brush" or "rectangle", to add area or to leave it out."""
        self.tool, self.add = tool, add
        self.tool_changed.emit()
        self._show_cursor(None)

    def set_brush(self, width_um: float) -> None:
        """Make the brush wider or narrower."""
        self.brush_um = min(max(width_um, self.limits_um[0]), self.limits_um[1])
        self.tool_changed.emit()
        self._cursor.update()

    def undo(self) -> None:
        """Undo the last step."""
        if self.paint is not None:
            self._after_step(self.paint.undo())

    def redo(self) -> None:
        """Redo the last step that was undone."""
        if self.paint is not None:
            self._after_step(self.paint.redo())

    def replace(self, mask: AreaMask) -> None:
        """Replace the mask, by the one the program found or an empty one; one step, which can be undone."""
        if self.paint is not None and mask.scan.shape == self.paint.scan.shape:
            self._drop_stroke()
            self._after_step(self.paint.replace(mask.scan))

    def _after_step(self, cells: Cells | None) -> None:
        if cells is not None and self.paint is not None:
            self._layer.change(self.paint.scan, cells)
            self.changed.emit()

    # -- mouse and keys ----------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the events of painting before the canvas does; panning and zooming stay with the canvas."""
        kind = event.type()
        if isinstance(event, QKeyEvent):
            return self._on_key(watched, event)
        if watched is not self._native:
            return False
        if isinstance(event, QMouseEvent):
            return self._on_mouse(event)
        if isinstance(event, QWheelEvent):
            return self._on_wheel(event)
        if kind == QEvent.Type.Leave:
            self._cursor.place = None
            self._cursor.update()
        elif kind == QEvent.Type.FocusOut:
            self._space = False
        elif kind == QEvent.Type.Hide:
            self.finish()
        return False

    def _on_mouse(self, event: QMouseEvent) -> bool:
        kind, button, place = event.type(), event.button(), event.position()
        if kind in {QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick}:
            if self._button == Qt.MouseButton.NoButton and not self._passing:
                self._passing = self._space or button == Qt.MouseButton.MiddleButton
                if not self._passing:
                    self._press(button, place)
        elif self._passing:
            self._passing = kind != QEvent.Type.MouseButtonRelease
            return False
        elif kind == QEvent.Type.MouseMove:
            self._move(place)
        elif kind == QEvent.Type.MouseButtonRelease and button == self._button:
            self._release(place)
        return not self._passing

    def _press(self, button: Qt.MouseButton, place: QPointF) -> None:
        if self.paint is None or button not in {Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton}:
            return
        self._native.setFocus()
        self._button, self._start, self._last = button, place, place
        self.paint.begin()
        self._draw(place)

    def _move(self, place: QPointF) -> None:
        if self._button != Qt.MouseButton.NoButton:
            self._draw(place)
        else:
            self._show_cursor(place)
        self._native.setCursor(Qt.CursorShape.CrossCursor)
        self._canvas.hover.leave()
        self._canvas.cursor_moved.emit(*self._canvas.view.to_slide(place.x(), place.y()))

    def _release(self, place: QPointF) -> None:
        if self.paint is None:
            return
        if self.tool == "rectangle":
            box = (*self._slide(self._start), *self._slide(place))
            cells = self.paint.rectangle(
                *(min(box[a], box[a + 2]) for a in (0, 1)), *(max(box[a], box[a + 2]) for a in (0, 1)), add=self._adds
            )
            if cells is not None:
                self._layer.change(self.paint.scan, cells)
        self._button = Qt.MouseButton.NoButton
        changed = self.paint.end()
        self._show_cursor(place)
        if changed:
            self.changed.emit()

    def _draw(self, place: QPointF) -> None:
        """Continue the stroke with the button down."""
        um = self._canvas.session.pixel_size_um
        if self.paint is None or um is None:
            return
        if self.tool == "brush":
            radius = (self.brush_um / 2 / um[0], self.brush_um / 2 / um[1])
            cells = self.paint.brush(self._slide(self._last), self._slide(place), radius_px=radius, add=self._adds)
            if cells is not None:
                self._layer.change(self.paint.scan, cells)
        self._last = place
        self._show_cursor(place)

    @property
    def _adds(self) -> bool:
        """The right button does the opposite."""
        return self.add != (self._button == Qt.MouseButton.RightButton)

    def _slide(self, place: QPointF) -> tuple[float, float]:
        return self._canvas.view.to_slide(place.x(), place.y())

    def _show_cursor(self, place: QPointF | None) -> None:
        cursor = self._cursor
        cursor.place = place if place is not None else cursor.place
        cursor.brush_um = self.brush_um if self.tool == "brush" else 0.0
        cursor.adds = self._adds
        dragging = self.tool == "rectangle" and self._button != Qt.MouseButton.NoButton
        cursor.corner = self._start if dragging else None
        cursor.update()

    def _drop_stroke(self) -> bool:
        if self.paint is None or self._button == Qt.MouseButton.NoButton:
            return False
        self._button = Qt.MouseButton.NoButton
        cells = self.paint.drop()
        if cells is not None:
            self._layer.change(self.paint.scan, cells)
        self._show_cursor(None)
        return True

    def _on_wheel(self, event: QWheelEvent) -> bool:
        if self._button != Qt.MouseButton.NoButton:
            return True  # the slide must not move during a stroke
        if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            return False
        delta = event.angleDelta().y() or event.angleDelta().x()
        self.set_brush(self.brush_um * WHEEL_STEP**delta)
        self._show_cursor(None)
        return True

    def _on_key(self, watched: QObject, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Space:
            if watched is self._native and not event.isAutoRepeat():
                self._space = event.type() == QEvent.Type.KeyPress
            return False
        what = next((name for key, name in KEYS.items() if event.matches(key)), "")
        if event.key() == Qt.Key.Key_Escape and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            what = "escape"
        if not what:
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()  # Qt then sends it as a plain key press, not as the project's undo
        elif event.type() == QEvent.Type.KeyPress:
            if what == "escape":
                if not self._drop_stroke():
                    self.finish()
            elif self._button == Qt.MouseButton.NoButton:
                (self.undo if what == "undo" else self.redo)()
        return True

    def _on_focus_changed(self, before: QWidget | None, now: QWidget | None) -> None:
        """Watch the keys wherever the focus is, except in a text field, which needs them itself."""
        if before is not None and before is not self._native:
            before.removeEventFilter(self)
        if now is not None and now is not self._native and not isinstance(now, TEXT_FIELDS):
            now.installEventFilter(self)
