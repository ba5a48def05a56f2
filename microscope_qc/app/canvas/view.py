"""The view of the canvas: slide pixels to screen points and back, and a round length for the scale bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.wording import metric_text, number_text, round_length

MAX_ZOOM = 64.0
"""Largest zoom, in screen points per slide pixel; beyond it there are only single pixels to see."""


@dataclass(frozen=True, slots=True)
class View:
    """The visible part of a slide.

    ``y``, ``x``: slide position at the middle of the canvas, in full-resolution pixels. ``zoom``: screen points per
    slide pixel. ``width``, ``height``: of the canvas in screen points.
    """

    y: float = 0.0
    x: float = 0.0
    zoom: float = 1.0
    width: int = 1
    height: int = 1

    def to_screen(self, y: float, x: float) -> tuple[float, float]:
        """Screen x, y of a slide position."""
        return (x - self.x) * self.zoom + self.width / 2, (y - self.y) * self.zoom + self.height / 2

    def to_slide(self, screen_x: float, screen_y: float) -> tuple[float, float]:
        """Slide y, x of a point on screen."""
        return (screen_y - self.height / 2) / self.zoom + self.y, (screen_x - self.width / 2) / self.zoom + self.x

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Visible slide rectangle y0, x0, y1, x1."""
        half_y, half_x = self.height / 2 / self.zoom, self.width / 2 / self.zoom
        return self.y - half_y, self.x - half_x, self.y + half_y, self.x + half_x

    def boxes_to_screen(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) y0, x0, y1, x1 in slide pixels -> (N, 4) left, top, right, bottom on screen."""
        out = np.empty((len(boxes), 4))
        out[:, [0, 2]] = (boxes[:, [1, 3]] - self.x) * self.zoom + self.width / 2
        out[:, [1, 3]] = (boxes[:, [0, 2]] - self.y) * self.zoom + self.height / 2
        return out

    def resized(self, width: int, height: int) -> View:
        """The same position on a canvas of another size."""
        return View(self.y, self.x, self.zoom, max(1, width), max(1, height))

    def panned(self, dx: float, dy: float) -> View:
        """Moved so that the slide follows the mouse by ``dx``, ``dy`` screen points."""
        return View(self.y - dy / self.zoom, self.x - dx / self.zoom, self.zoom, self.width, self.height)

    def zoomed(self, factor: float, screen_x: float, screen_y: float, *, least: float) -> View:
        """Zoomed about a point on screen, which stays in place."""
        zoom = min(max(self.zoom * factor, least), MAX_ZOOM)
        y, x = self.to_slide(screen_x, screen_y)
        return View(
            y - (screen_y - self.height / 2) / zoom,
            x - (screen_x - self.width / 2) / zoom,
            zoom,
            self.width,
            self.height,
        )

    def fitted(self, y0: float, x0: float, y1: float, x1: float, *, margin: float = 1.05) -> View:
        """Fitted to a rectangle, with a margin around it."""
        height, width = max(y1 - y0, 1e-6) * margin, max(x1 - x0, 1e-6) * margin
        zoom = min(self.width / width, self.height / height, MAX_ZOOM)
        return View((y0 + y1) / 2, (x0 + x1) / 2, zoom, self.width, self.height)

    def centred(self, y: float, x: float) -> View:
        """Centred on another position at the same zoom."""
        return View(y, x, self.zoom, self.width, self.height)


def scale_bar(
    view: View, pixel_size_um: tuple[float, float] | None, *, longest_points: float = 160
) -> tuple[float, str]:
    """Length of the scale bar on screen and its label, in um or mm, or in px without a pixel size."""
    if pixel_size_um is None:
        length = max(1.0, round_length(longest_points / view.zoom))
        return length * view.zoom, f"{number_text(length)} px"
    um_per_point = pixel_size_um[1] / view.zoom
    length_um = round_length(longest_points * um_per_point)
    return length_um / um_per_point, metric_text(length_um)
