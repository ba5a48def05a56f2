"""Drawing the outline of an area: a drag gives a rectangle, clicks give the corners of a polygon.

Pure of Qt: points on screen come in, an outline in slide pixels comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from microscope_qc.app.canvas.tools import CLICK_POINTS, Box
from microscope_qc.app.canvas.view import View
from microscope_qc.core.geometry import Region

NEAR_POINTS = 8
"""A click this near to the first corner closes the outline."""
LEAST_CORNERS = 3

Point = tuple[float, float]


@dataclass(slots=True)
class AreaHand:
    """One outline under way.

    Attributes
    ----------
    corners
        Of the polygon so far: y, x in slide pixels.
    rectangle
        While one is dragged: y0, x0, y1, x1.
    place
        Where the mouse is, y, x; None outside the canvas.
    """

    corners: list[Point] = field(default_factory=list)
    rectangle: Box | None = None
    place: Point | None = None
    _start: Point | None = None

    @property
    def under_way(self) -> bool:
        """Whether there is something to close or to drop."""
        return bool(self.corners) or self._start is not None

    @property
    def can_close(self) -> bool:
        """Whether the corners enclose something."""
        return len(self.corners) >= LEAST_CORNERS

    def closes(self, x: float, y: float, view: View) -> bool:
        """Return whether a click at a point on screen would close the outline."""
        if not self.can_close:
            return False
        first = view.to_screen(*self.corners[0])
        return math.hypot(first[0] - x, first[1] - y) <= NEAR_POINTS

    def press(self, x: float, y: float) -> None:
        """The button goes down at a point on screen."""
        self._start = x, y

    def move(self, x: float, y: float, view: View) -> None:
        """The mouse moves, with the button down or not."""
        self.place = view.to_slide(x, y)
        if self._start is None or self.corners:
            return
        if self.rectangle is not None or self._moved(x, y):
            a, b = view.to_slide(*self._start), self.place
            self.rectangle = min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])

    def release(self, x: float, y: float, view: View) -> Region | list[Point] | None:
        """The button goes up; returns the outline when that finishes one."""
        if self._start is None:  # the release after a double click
            return None
        self.move(x, y, view)
        rectangle, self.rectangle, self._start = self.rectangle, None, None
        if rectangle is not None:
            return Region(*(round(side) for side in rectangle))
        if self.closes(x, y, view):
            return self.close()
        corner = view.to_slide(x, y)
        corner = float(round(corner[0])), float(round(corner[1]))
        if corner not in self.corners[-1:]:
            self.corners.append(corner)
        return None

    def close(self) -> list[Point] | None:
        """Finish the polygon; None, and nothing happens, while it has too few corners."""
        self._start = self.rectangle = None
        if not self.can_close:
            return None
        done, self.corners = self.corners, []
        return done

    def back(self) -> bool:
        """Take the last corner back; returns whether there was one."""
        if self.corners:
            self.corners.pop()
            return True
        return False

    def drop(self) -> bool:
        """Give the outline up; returns whether there was one."""
        had = self.under_way
        self.corners, self.rectangle, self._start = [], None, None
        return had

    def _moved(self, x: float, y: float) -> bool:
        assert self._start is not None
        return max(abs(x - self._start[0]), abs(y - self._start[1])) >= CLICK_POINTS
