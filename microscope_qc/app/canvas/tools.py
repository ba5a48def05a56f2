"""Mouse gestures on the canvas: select, draw, move, resize, mark, pan.

No Qt: points on screen come in, slide rectangles and calls of the session go out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.canvas.view import View
from microscope_qc.app.session.slide_view import Measurement
from microscope_qc.core.boxes import BOX_DTYPE
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.canvas.boxes.box_layer import BoxLayer
    from microscope_qc.app.session.session import Session

CLICK_POINTS = 4
"""Moves shorter than this on screen are clicks."""
HANDLE_POINTS = 6
"""Half the size of a handle on screen, for the mouse."""
MIN_BOX_PX = 2.0
GREY_POINTS = 6
"""Radius on screen of the area that the white balance is taken from."""
TURN_DEG = 15

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Pointer:
    """A press, move or release of the mouse: its position on screen, and the keys held."""

    x: float
    y: float
    shift: bool = False
    ctrl: bool = False


class Tools:
    """The state of one gesture.

    ``ghost`` is the box being dragged and ``band`` the selection rectangle, both in slide pixels; ``view`` may be
    changed by a gesture (panning).
    """

    def __init__(self, session: Session, boxes: BoxLayer) -> None:
        self._session = session
        self._boxes = boxes
        self.view = View()
        self.ghost: Box | None = None
        self.band: Box | None = None
        self.line: Box | None = None  # start and end of a measured line, y, x each
        # "", "press", "pan", "draw", "mark", "measure", "length", "grey", "band", "move", "move-all" or "resize"
        self.gesture = ""
        self._start = Pointer(0, 0)
        self._last = Pointer(0, 0)
        self._hit: int | None = None
        self._edited: Box = (0, 0, 0, 0)
        self._edited_rows = np.empty(0, BOX_DTYPE)
        self._shift = (0.0, 0.0)
        self._grip: tuple[int, int] = (0, 0)

    # -- what is under the mouse -------------------------------------------------------------------------------------

    def box_at(self, pointer: Pointer) -> int | None:
        """Shown box at a point on screen, with a margin, so that small boxes are easy to hit."""
        y, x = self.view.to_slide(pointer.x, pointer.y)
        return self._boxes.at(y, x, margin_px=3.0 / self.view.zoom)

    def suggestion_at(self, pointer: Pointer) -> int | None:
        """Place of the suggestion at a point on screen."""
        y, x = self.view.to_slide(pointer.x, pointer.y)
        return self._session.suggested.at(y, x, margin_px=3.0 / self.view.zoom)

    def editable_box(self) -> Box | None:
        """The one selected box, if it may be edited and is large enough on screen for handles."""
        selection = self._session.selection
        if len(selection) != 1 or not self._session.can_write or selection.current is None:
            return None
        if selection.current not in self._session.table:
            return None
        row = self._session.table.get([selection.current])[0]
        box = (float(row["y0"]), float(row["x0"]), float(row["y1"]), float(row["x1"]))
        side = max(box[2] - box[0], box[3] - box[1]) * self.view.zoom
        return box if side >= 2 * HANDLE_POINTS else None

    def handle_at(self, pointer: Pointer) -> tuple[int, int] | None:
        """Handle under the mouse as (-1, 0, 1) for top, middle, bottom and the same for left to right."""
        box = self.editable_box()
        if box is None:
            return None
        for vertical, horizontal, x, y in handle_places(box, self.view):
            if abs(pointer.x - x) <= HANDLE_POINTS and abs(pointer.y - y) <= HANDLE_POINTS:
                return vertical, horizontal
        return None

    def cursor(self, pointer: Pointer) -> str:
        """Name of the mouse cursor: "arrow", "cross", "move", "hand" or "resize-" with the handle's direction."""
        if self.gesture == "pan":
            return "hand"
        if self.gesture in {"move", "move-all"}:
            return "move"
        handle = self.handle_at(pointer) if self.gesture in {"", "press"} else None
        if self.gesture == "resize":
            handle = self._grip
        if handle is not None:
            vertical, horizontal = handle
            if vertical == 0:
                return "resize-h"
            if horizontal == 0:
                return "resize-v"
            return "resize-fall" if vertical == horizontal else "resize-rise"
        if self._session.tool != "select":
            return "cross"
        hit = self.box_at(pointer)
        if hit is not None and hit in self._session.selection and self._session.can_write:
            return "move"
        return "arrow"

    # -- the gesture -------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer, *, pan: bool = False) -> None:
        """Begin a gesture with a button; ``pan`` for the middle button or with Space held."""
        self._start = self._last = pointer
        self._hit = None
        if pan:
            self.gesture = "pan"
            return
        handle = self.handle_at(pointer)
        box = self.editable_box()
        if handle is not None and box is not None and not pointer.ctrl:
            self.gesture, self._grip, self._edited = "resize", handle, box
            self._take_box(box)
            return
        tool = self._session.tool
        if tool == "select" or pointer.ctrl:
            self._hit = None if pointer.ctrl else self.box_at(pointer)
            self.gesture = "band" if pointer.ctrl else "press"
        else:
            self.gesture = tool

    def move(self, pointer: Pointer) -> None:
        """Continue the gesture: the mouse moves with the button down."""
        if self.gesture == "press" and self._moved(pointer):
            self._begin_drag()
        if self.gesture == "pan":
            self.view = self.view.panned(pointer.x - self._last.x, pointer.y - self._last.y)
        elif self.gesture == "draw":
            self.ghost = self._clipped(self._dragged(pointer))
        elif self.gesture == "band":
            self.band = self._dragged(pointer)
        elif self.gesture == "measure":
            self.line = (*self.view.to_slide(self._start.x, self._start.y), *self.view.to_slide(pointer.x, pointer.y))
        elif self.gesture == "length" and self._moved(pointer):
            self._session.slide_view.set_measurement(self._measured(pointer))
        elif self.gesture in {"move", "resize"}:
            self.ghost = self._edited_box(pointer)
        elif self.gesture == "move-all":
            self._shift = self._session.editing.possible_move(self._edited_rows, *self._drag_px(pointer))
            self._boxes.shift_selected(*self._shift)
        self._last = pointer

    def release(self, pointer: Pointer) -> None:
        """Finish the gesture: it becomes one command."""
        gesture, self.gesture = self.gesture, ""
        ghost, band, line, shift = self.ghost, self.band, self.line, self._shift
        hidden = self._boxes.hidden_id
        self._drop()
        if gesture == "press":
            self._click(pointer)
        elif gesture == "draw":
            if ghost is not None and self._moved(pointer) and _large_enough(ghost):
                self._session.editing.draw(*ghost)
            elif not self._moved(pointer):
                self._draw_click(pointer)
        elif gesture == "mark":
            y, x = self.view.to_slide(pointer.x, pointer.y)
            self._session.mark_placed.emit(y, x)
        elif gesture == "grey":
            y, x = self.view.to_slide(pointer.x, pointer.y)
            self._session.slide_view.grey_place_picked.emit(y, x, GREY_POINTS / self.view.zoom)
        elif gesture == "length":
            self._session.slide_view.set_measurement(self._measured(pointer) if self._moved(pointer) else None)
        elif gesture == "measure" and line is not None and self._moved(pointer):
            self._session.line_drawn.emit(math.hypot(line[2] - line[0], line[3] - line[1]))
        elif gesture == "band" and band is not None:
            self._select_band(band, add=pointer.shift)
        elif gesture == "move-all":
            self._session.editing.move_by(self._edited_rows["id"].copy(), *shift)
        elif gesture in {"move", "resize"} and ghost is not None and ghost != self._edited and hidden is not None:
            self._session.editing.move(hidden, *ghost, resized=gesture == "resize")

    def cancel(self) -> bool:
        """Cancel the gesture; returns whether there was one."""
        running = bool(self.gesture)
        if self.gesture == "length":
            self._session.slide_view.set_measurement(None)
        self.gesture = ""
        self._drop()
        return running

    def _measured(self, pointer: Pointer) -> Measurement:
        """The line from the press to the mouse; with Shift at a multiple of 15 degrees on screen."""
        dx, dy = pointer.x - self._start.x, pointer.y - self._start.y
        if pointer.shift:
            angle = round(math.degrees(math.atan2(dy, dx)) / TURN_DEG) * TURN_DEG
            uy, ux = math.sin(math.radians(angle)), math.cos(math.radians(angle))
            along = dx * ux + dy * uy
            dx, dy = along * ux, along * uy
        start = self.view.to_slide(self._start.x, self._start.y)
        return Measurement(*start, *self.view.to_slide(self._start.x + dx, self._start.y + dy))

    def _drop(self) -> None:
        self.ghost = self.band = self.line = None
        if self._shift != (0.0, 0.0):
            self._shift = (0.0, 0.0)
            self._boxes.shift_selected(0.0, 0.0)
        if self._boxes.hidden_id is not None:
            self._boxes.hidden_id = None
            self._boxes.restyle()

    def _take_box(self, box: Box) -> None:
        self.ghost = box
        self._boxes.hidden_id = self._session.selection.current
        self._boxes.restyle()

    def _moved(self, pointer: Pointer) -> bool:
        return max(abs(pointer.x - self._start.x), abs(pointer.y - self._start.y)) >= CLICK_POINTS

    def _begin_drag(self) -> None:
        selection = self._session.selection
        if self._hit is None or self._hit not in selection or not self._session.can_write:
            self.gesture = "pan"
            return
        if len(selection) > 1:
            self._edited_rows = self._session.table.get(self._session.on_screen(selection.ids))
            self.gesture = "move-all"
            return
        row = self._session.table.get([self._hit])[0]
        self._edited = (float(row["y0"]), float(row["x0"]), float(row["y1"]), float(row["x1"]))
        self.gesture = "move"
        self._take_box(self._edited)

    def _draw_click(self, pointer: Pointer) -> None:
        """Draw a box of the default size of the class; without one, or on a box of this class, select."""
        session = self._session
        self._hit = self.box_at(pointer)
        same = self._hit is not None and session.table.get([self._hit])["class_id"][0] == session.draw_class_id
        box = None if same or pointer.shift else session.editing.click_box(*self.view.to_slide(pointer.x, pointer.y))
        if box is not None:
            session.editing.draw(*box)
        else:
            self._click(pointer)

    def _click(self, pointer: Pointer) -> None:
        selection = self._session.selection
        if self._hit is None:
            if not pointer.shift:
                selection.clear()
                self._session.suggested.select(self.suggestion_at(pointer))
        elif pointer.shift:
            selection.toggle(self._hit)
        else:
            selection.set([self._hit], current=self._hit)

    def _select_band(self, band: Box, *, add: bool) -> None:
        region = Region(*(round(value) for value in band))
        ids = self._boxes.enclosed(region)
        if add:
            ids = np.union1d(ids, self._session.selection.ids)
        self._session.selection.set(ids)

    def _dragged(self, pointer: Pointer) -> Box:
        ya, xa = self.view.to_slide(self._start.x, self._start.y)
        yb, xb = self.view.to_slide(pointer.x, pointer.y)
        return min(ya, yb), min(xa, xb), max(ya, yb), max(xa, xb)

    def _drag_px(self, pointer: Pointer) -> tuple[float, float]:
        """Whole slide pixels from the press to the mouse, y and x."""
        ya, xa = self.view.to_slide(self._start.x, self._start.y)
        yb, xb = self.view.to_slide(pointer.x, pointer.y)
        return float(round(yb - ya)), float(round(xb - xa))

    def _clipped(self, box: Box) -> Box:
        """Round to whole pixels inside the slide."""
        height, width = self._session.slide.shape_px if self._session.slide is not None else (0, 0)
        y0, x0, y1, x1 = (float(round(value)) for value in box)
        return min(max(y0, 0), height), min(max(x0, 0), width), min(max(y1, 0), height), min(max(x1, 0), width)

    def _edited_box(self, pointer: Pointer) -> Box:
        dy, dx = self._drag_px(pointer)
        y0, x0, y1, x1 = self._edited
        if self.gesture == "move":
            height, width = self._session.slide.shape_px if self._session.slide is not None else (y1, x1)
            dy = min(max(dy, -y0), max(height - y1, -y0))
            dx = min(max(dx, -x0), max(width - x1, -x0))
            return y0 + dy, x0 + dx, y1 + dy, x1 + dx
        vertical, horizontal = self._grip
        if vertical < 0:
            y0 = min(y0 + dy, y1 - MIN_BOX_PX)
        elif vertical > 0:
            y1 = max(y1 + dy, y0 + MIN_BOX_PX)
        if horizontal < 0:
            x0 = min(x0 + dx, x1 - MIN_BOX_PX)
        elif horizontal > 0:
            x1 = max(x1 + dx, x0 + MIN_BOX_PX)
        return self._clipped((y0, x0, y1, x1))


def handle_places(box: Box, view: View) -> list[tuple[int, int, float, float]]:
    """The eight handles of a box: vertical and horizontal side, and screen x, y; corners first, as they matter most."""
    left, top = view.to_screen(box[0], box[1])
    right, bottom = view.to_screen(box[2], box[3])
    xs = {-1: left, 0: (left + right) / 2, 1: right}
    ys = {-1: top, 0: (top + bottom) / 2, 1: bottom}
    corners = [(v, h) for v in (-1, 1) for h in (-1, 1)]
    sides = []
    if right - left >= 5 * HANDLE_POINTS:
        sides += [(-1, 0), (1, 0)]
    if bottom - top >= 5 * HANDLE_POINTS:
        sides += [(0, -1), (0, 1)]
    return [(v, h, xs[h], ys[v]) for v, h in corners + sides]


def _large_enough(box: Box) -> bool:
    return box[2] - box[0] >= MIN_BOX_PX and box[3] - box[1] >= MIN_BOX_PX
