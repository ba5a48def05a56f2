"""The boxes that are shown: which of them are in view, and how each is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.canvas.boxes_visual import Frames, frame_vertices
from microscope_qc.app.canvas.view import View
from microscope_qc.core.boxes import ReviewState, coordinates
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.session import Session

DOT_BELOW_PX = 5.0
"""Boxes smaller than this on screen become dots, one per cell, so that a full slide shows where finds are dense."""
CELL_PX = 7.0
LABELS_UP_TO = 200
LABEL_FROM_PX = 14.0
REJECTED_COLOUR = (0.72, 0.72, 0.72, 0.85)
MARGIN = 0.5
"""Prepared around the view, as a share of its size, so that small pans upload nothing."""


class BoxLayer:
    """Draws the shown boxes of a session's slide into a vispy scene."""

    def __init__(self, session: Session, scene: object) -> None:
        self._session = session
        self._frames = Frames(parent=scene)
        self._frames.order = 1_000_000  # above every picture
        self._rows = session.shown_rows()
        self._boxes = coordinates(self._rows)
        self._prepared: View | None = None
        self.hidden_id: int | None = None  # the box under the hand: the overlay draws it

    def reload(self) -> None:
        """Take the shown rows anew (boxes, filter or classes changed)."""
        self._rows = self._session.shown_rows()
        self._boxes = coordinates(self._rows)
        self._prepared = None

    def restyle(self) -> None:
        """Draw anew (selection changed)."""
        self._prepared = None

    @property
    def rows(self) -> np.ndarray:
        """The shown rows."""
        return self._rows

    def refresh(self, view: View) -> bool:
        """Prepare what ``view`` needs; returns whether something was uploaded."""
        if self._covers(view):
            return False
        y0, x0, y1, x1 = view.bounds
        dy, dx = (y1 - y0) * MARGIN, (x1 - x0) * MARGIN
        inside = self.inside(y0 - dy, x0 - dx, y1 + dy, x1 + dx)
        if self.hidden_id is not None:
            inside = inside[self._rows["id"][inside] != self.hidden_id]
        self._frames.set_frames(self._vertices(inside, view))
        self._prepared = view
        return True

    def inside(self, y0: float, x0: float, y1: float, x1: float) -> np.ndarray:
        """Places in :attr:`rows` of the boxes that overlap a rectangle."""
        b = self._boxes
        return np.flatnonzero((b[:, 0] < y1) & (b[:, 2] > y0) & (b[:, 1] < x1) & (b[:, 3] > x0))

    def at(self, y: float, x: float, *, margin_px: float) -> int | None:
        """Id of the smallest shown box at a place."""
        b = self._boxes
        hit = (b[:, 0] - margin_px <= y) & (y < b[:, 2] + margin_px)
        hit &= (b[:, 1] - margin_px <= x) & (x < b[:, 3] + margin_px)
        places = np.flatnonzero(hit)
        if len(places) == 0:
            return None
        area = (b[places, 2] - b[places, 0]) * (b[places, 3] - b[places, 1])
        return int(self._rows["id"][places[int(np.argmin(area))]])

    def enclosed(self, region: Region) -> np.ndarray:
        """Ids of the shown boxes whose middle lies in a region."""
        middle = (self._boxes[:, :2] + self._boxes[:, 2:]) / 2
        keep = (middle[:, 0] >= region.y0) & (middle[:, 0] < region.y1)
        keep &= (middle[:, 1] >= region.x0) & (middle[:, 1] < region.x1)
        return self._rows["id"][keep].copy()

    def labelled(self, view: View) -> np.ndarray:
        """Places in :attr:`rows` of the boxes that get their short code: few in view, and large enough."""
        inside = self.inside(*view.bounds)
        large = np.maximum(
            self._boxes[inside, 2] - self._boxes[inside, 0], self._boxes[inside, 3] - self._boxes[inside, 1]
        )
        inside = inside[large * view.zoom >= LABEL_FROM_PX]
        return inside if len(inside) <= LABELS_UP_TO else inside[:0]

    def _covers(self, view: View) -> bool:
        last = self._prepared
        if last is None or not 0.8 < view.zoom / last.zoom < 1.25:
            return False
        y0, x0, y1, x1 = last.bounds
        dy, dx = (y1 - y0) * MARGIN, (x1 - x0) * MARGIN
        v = view.bounds
        return y0 - dy <= v[0] and x0 - dx <= v[1] and v[2] <= y1 + dy and v[3] <= x1 + dx

    def _vertices(self, places: np.ndarray, view: View) -> np.ndarray:
        rows, boxes = self._rows[places], self._boxes[places]
        side = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) * view.zoom
        chosen = np.isin(rows["id"], self._session.selection.ids)
        small = (side < DOT_BELOW_PX) & ~chosen
        framed = ~small & ~chosen
        parts = [
            self._dots(rows[small], boxes[small], view),
            frame_vertices(boxes[framed], self._colours(rows[framed]), _styles(rows[framed])),
        ]
        marked = boxes[chosen]
        for colour, style in (((0.0, 0.0, 0.0, 0.75), (6.0, 0.0, 3.5)), ((1.0, 1.0, 1.0, 1.0), (2.0, 0.0, 1.5))):
            parts.append(frame_vertices(marked, np.tile(colour, (len(marked), 1)), np.tile(style, (len(marked), 1))))
        return np.concatenate(parts)

    def _class_colours(self, class_ids: np.ndarray) -> np.ndarray:
        unique, inverse = np.unique(class_ids, return_inverse=True)
        table = np.array([hex_to_rgba(self._session.class_of(int(item)).colour) for item in unique]).reshape(-1, 4)
        return table[inverse]

    def _colours(self, rows: np.ndarray) -> np.ndarray:
        colours = self._class_colours(rows["class_id"])
        colours[rows["state"] == ReviewState.REJECTED] = REJECTED_COLOUR
        return colours

    def _dots(self, rows: np.ndarray, boxes: np.ndarray, view: View) -> np.ndarray:
        """One dot per occupied cell, larger where more finds lie, in the colour of the class found most often there."""
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        cell_px = CELL_PX / view.zoom
        if len(rows) == 0:
            return frame_vertices(boxes, np.empty((0, 4)), np.empty((0, 3)))
        cell = np.floor(middle / cell_px).astype(np.int64)
        cell -= cell.min(axis=0)
        corner = np.floor(middle.min(axis=0) / cell_px)
        class_ids, class_place = np.unique(rows["class_id"], return_inverse=True)
        columns = int(cell[:, 1].max()) + 1
        # one number for cell and class: sorting numbers is several times faster than sorting rows of them
        keys = (cell[:, 0] * columns + cell[:, 1]) * len(class_ids) + class_place
        unique, counts = np.unique(keys, return_counts=True)
        place = unique // len(class_ids)
        starts = np.flatnonzero(np.r_[True, np.diff(place) != 0])
        total = np.add.reduceat(counts, starts)
        group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(unique)]))
        order = np.lexsort((-counts, group))
        top = unique[order[starts]]  # the commonest class stands first in its group
        at = top // len(class_ids)
        centre = (np.stack([at // columns, at % columns], axis=1) + corner + 0.5) * cell_px
        radius = (2.0 + np.minimum(np.log2(total), 4.0) * 0.4) / view.zoom
        dots = np.stack(
            [centre[:, 0] - radius, centre[:, 1] - radius, centre[:, 0] + radius, centre[:, 1] + radius], axis=1
        )
        return frame_vertices(
            dots, self._class_colours(class_ids[top % len(class_ids)]), np.tile((50.0, 0.0, 0.0), (len(dots), 1))
        )


def _styles(rows: np.ndarray) -> np.ndarray:
    """Width, dash and outset by state: solid confirmed, dashed unreviewed, thin rejected."""
    table = np.zeros((3, 3))
    table[ReviewState.UNREVIEWED] = (2.0, 9.0, 1.0)
    table[ReviewState.CONFIRMED] = (2.0, 0.0, 1.0)
    table[ReviewState.REJECTED] = (1.0, 0.0, 1.0)
    return table[np.minimum(rows["state"], 2)]


def hex_to_rgba(colour: str) -> tuple[float, float, float, float]:
    """``#rrggbb`` as numbers in 0..1, opaque; anything else is grey."""
    try:
        value = int(colour.lstrip("#"), 16)
    except ValueError:
        value = 0x999999
    return (value >> 16 & 255) / 255, (value >> 8 & 255) / 255, (value & 255) / 255, 1.0
