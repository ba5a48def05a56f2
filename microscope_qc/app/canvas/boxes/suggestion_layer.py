"""The suggestions on the slide on screen: dotted, under the findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF
from qtpy.QtGui import QPainter, QPixmap

from microscope_qc.app.canvas.boxes.boxes_visual import (
    FRAME_DTYPE,
    Frames,
    frame_records,
    packed_colour,
    packed_style,
)
from microscope_qc.app.canvas.view import View

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

DOTTED = packed_style(2, 4, 1)
HALO, MARKED = packed_style(6, 0, 3.5, 0.75), packed_style(2, 4, 1.5)
LABEL_FROM_PX = 14.0
LABELS_UP_TO = 120


class SuggestionLayer:
    """Draws what is suggested on a session's slide into a vispy scene: at most a few thousand, all at once."""

    def __init__(self, session: Session, scene: object) -> None:
        self._session = session
        self._frames = Frames(parent=scene)
        self._frames.order = 999_999  # above every picture, under the findings
        self._origin = (0.0, 0.0)
        self._stale = True

    def reload(self) -> None:
        """Draw what is suggested now with the next frame."""
        self._stale = True

    def set_view(self, view: View) -> None:
        """Draw another view from the next frame on."""
        y, x = self._origin
        self._frames.set_view(view.x - x, view.y - y, view.zoom)

    def refresh(self, view: View) -> bool:
        """Upload what has changed; returns whether something has."""
        if not self._stale:
            return False
        self._stale = False
        suggested = self._session.suggested
        places = np.sort(suggested.places)
        boxes = suggested.found.boxes[places]
        y, x = np.rint(boxes[:, :2].mean(axis=0)).tolist() if len(boxes) else (0.0, 0.0)
        self._origin = (y, x)
        rects = boxes[:, [1, 0, 3, 2]] - np.array([x, y, x, y])
        colour_of = {item.id: packed_colour(item.colour) for item in self._session.classes}
        colours = np.array([colour_of.get(number, 0.0) for number in suggested.found.class_ids[places].tolist()])
        records = frame_records(rects, colours, DOTTED) if len(boxes) else np.empty(0, FRAME_DTYPE)
        marked = rects[places == suggested.current]
        white = packed_colour("#ffffff")
        self._frames.set_frames(
            np.concatenate([records, frame_records(marked, 0.0, HALO), frame_records(marked, white, MARKED)])
        )
        self.set_view(view)
        return True

    def paint(self, painter: QPainter, view: View, tag: Callable[[str, str], QPixmap]) -> None:
        """Write the codes of those that are large enough, with a question mark: the overlay does."""
        suggested = self._session.suggested
        if not len(suggested):
            return
        top, left, bottom, right = view.bounds
        y0, x0, y1, x1 = suggested.found.boxes[suggested.places].T
        large = np.maximum(y1 - y0, x1 - x0) * view.zoom >= LABEL_FROM_PX
        seen = suggested.places[large & (y1 > top) & (y0 < bottom) & (x1 > left) & (x0 < right)]
        if len(seen) > LABELS_UP_TO:
            return
        classes = {item.id: item for item in self._session.classes}
        for place in seen.tolist():
            item = classes.get(int(suggested.found.class_ids[place]))
            if item is None:
                continue
            pixmap = tag(f"{item.code}?", item.colour)
            x, y = view.to_screen(*suggested.box(place)[:2])
            height = pixmap.height() / pixmap.devicePixelRatio()
            painter.drawPixmap(QPointF(x - 1, y - height - 3 if y > height + 3 else y + 3), pixmap)
