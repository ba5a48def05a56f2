"""How the boxes around a view are drawn: as frames if they are large enough, as dots where they are dense.

No Qt or OpenGL here: it runs in the window's thread for few boxes, in a worker for many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.app.canvas.boxes.boxes_visual import FRAME_DTYPE, frame_records, packed_colour, packed_style
from microscope_qc.app.canvas.view import View
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import BoxTable, ReviewState
from microscope_qc.core.defect_class import DefectClass

DOT_BELOW_PX = 5.0
"""Boxes smaller than this on screen become dots, one per cell, so that a full slide shows where findings are dense."""
CELL_PX = 7.0
MOST_FRAMES = 30_000
ROOM_PX = 150.0
"""If boxes have less of the screen than this each, on average, the smaller ones become dots: overlapping lines cannot
be told apart."""
MANY_SELECTED = 5000
"""Number of selected boxes that are drawn one by one; of more, the smaller ones become dots."""
MARGIN = 0.5
"""Prepared around the view, as a share of its size, so that small pans upload nothing."""
REJECTED_COLOUR = packed_colour("#b8b8b8")
WHITE = packed_colour("#ffffff")
STYLES = np.zeros(3)
STYLES[ReviewState.UNREVIEWED] = packed_style(2, 9, 1)
STYLES[ReviewState.CONFIRMED] = packed_style(2, 0, 1)
STYLES[ReviewState.REJECTED] = packed_style(1, 0, 1, 0.85)
HALO_STYLE, SELECTED_STYLE = packed_style(6, 0, 3.5, 0.75), packed_style(2, 0, 1.5)
DOT_RADII = np.array([packed_style(15, 0, 2.0 + 0.25 * step, 0.85) for step in range(8)])

Area = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Boxes as they are now, without copying them: a thread that uses it may see an edit half done.

    ``corners`` is (4, N) y0, x0, y1, x1; ``class_ids`` is sorted, ``colours`` are in its order.
    """

    ids: np.ndarray
    corners: np.ndarray
    classes: np.ndarray
    states: np.ndarray
    shown: np.ndarray
    class_ids: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, table: BoxTable, shown: np.ndarray, classes: Sequence[DefectClass]) -> Snapshot:
        """Boxes of a table with the colours of their classes."""
        rows = table.rows
        known = sorted((item.id, packed_colour(item.colour)) for item in classes)
        ids = np.array([number for number, _ in known], np.int64)
        colours = np.array([colour for _, colour in known], float)
        return cls(rows["id"], table.corners, table.class_ids, table.states, shown, ids, colours)

    def overlapping(self, area: Area) -> np.ndarray:
        """Row numbers of all boxes that overlap an area, by testing each (the index belongs to the window's thread)."""
        low_y, low_x, high_y, high_x = self.corners
        y0, x0, y1, x1 = area
        return np.flatnonzero((low_y < y1) & (high_y > y0) & (low_x < x1) & (high_x > x0))

    def kinds(self, places: Ints) -> Ints:
        """Positions in :attr:`class_ids`; its length for a deleted class, one more for rejected findings."""
        wanted = self.classes[places]
        count = len(self.class_ids)
        found: Ints = np.searchsorted(self.class_ids, wanted)
        if count:
            found[self.class_ids[np.minimum(found, count - 1)] != wanted] = count
        found[self.states[places] == ReviewState.REJECTED] = count + 1
        return found

    @property
    def kind_colours(self) -> np.ndarray:
        """Colours of :meth:`kinds`."""
        return np.append(self.colours, [packed_colour("#999999"), REJECTED_COLOUR])


@dataclass(slots=True)
class Scene:
    """Frames and dots that are valid for every view inside ``area`` at about ``zoom``.

    ``records`` starts with ``dots`` dots; ``ids`` are those of the frames after them, in order, followed by those that
    were appended. A removed frame has no size.
    """

    origin: tuple[float, float]  # y, x
    area: Area
    zoom: float
    records: np.ndarray
    dots: int
    ids: np.ndarray
    frame_from_px: float = DOT_BELOW_PX
    places: dict[int, int] = field(default_factory=dict)  # of appended frames: id -> position in records

    def serves(self, view: View, *, margin: float = 0.0) -> bool:
        """Whether a view is inside, with a margin as a share of its size, and its zoom is close."""
        if not 0.8 < view.zoom / self.zoom < 1.25:
            return False
        y0, x0, y1, x1 = widened(view.bounds, margin)
        return self.area[0] <= y0 and self.area[1] <= x0 and y1 <= self.area[2] and x1 <= self.area[3]

    def touches(self, corners: np.ndarray) -> bool:
        """Whether a box y0, x0, y1, x1 overlaps the area."""
        y0, x0, y1, x1 = corners
        return bool(y0 < self.area[2] and y1 > self.area[0] and x0 < self.area[3] and x1 > self.area[1])

    def place_of(self, box_id: int) -> int | None:
        """Position of a box's frame in ``records``."""
        if box_id in self.places:
            return self.places[box_id]
        found = int(np.searchsorted(self.ids, box_id))
        if found < len(self.ids) and self.ids[found] == box_id:
            return self.dots + found
        return None

    def append(self, box_id: int, record: np.ndarray) -> int:
        """Add the frame of a new box; returns its position."""
        place = self.places[box_id] = len(self.records)
        self.records = np.append(self.records, record)
        return place

    def ids_at(self, places: Ints) -> Ints:
        """Ids of the boxes whose frames are at some positions in ``records``."""
        later = np.array(list(self.places), np.int64)
        ids: Ints = np.concatenate([self.ids, later])
        return ids[places - self.dots]

    def offset(self, view: View) -> tuple[float, float, float]:
        """Arguments of :meth:`FramesVisual.set_view`."""
        return view.x - self.origin[1], view.y - self.origin[0], view.zoom


def widened(bounds: Area, margin: float) -> Area:
    """A rectangle enlarged by a share of its size on every side."""
    y0, x0, y1, x1 = bounds
    dy, dx = (y1 - y0) * margin, (x1 - x0) * margin
    return y0 - dy, x0 - dx, y1 + dy, x1 + dx


def prepare(
    snapshot: Snapshot,
    view: View,
    *,
    margin: float = MARGIN,
    places: np.ndarray | None = None,
    hidden: int | None = None,
) -> Scene:
    """Prepare what is drawn around a view.

    Parameters
    ----------
    places
        Boxes that overlap the view with its margin, if they are known already.
    hidden
        Id of a box that is not drawn.
    """
    area = widened(view.bounds, margin)
    if places is None:
        places = snapshot.overlapping(area)
    places = places[snapshot.shown[places]]
    if hidden is not None:
        places = places[snapshot.ids[places] != hidden]
    y0, x0, y1, x1 = (side[places] for side in snapshot.corners)
    size = np.maximum(y1 - y0, x1 - x0) * view.zoom
    frame_from = DOT_BELOW_PX
    large = size >= frame_from
    most = _most_frames(y0, x0, y1, x1, area=area, zoom=view.zoom)
    if np.count_nonzero(large) > most:
        frame_from = float(np.nextafter(-np.partition(-size, most)[most], np.inf))
        large = size >= frame_from
    kinds = snapshot.kinds(places)
    small = ~large
    dots = density((y0[small] + y1[small]) / 2 - view.y, (x0[small] + x1[small]) / 2 - view.x,
                   kinds[small], colours=snapshot.kind_colours, zoom=view.zoom)  # fmt: skip
    frames = frame_records(
        np.stack([x0[large] - view.x, y0[large] - view.y, x1[large] - view.x, y1[large] - view.y], axis=1),
        snapshot.kind_colours[kinds[large]],
        STYLES[np.minimum(snapshot.states[places[large]], 2)],
    )
    return Scene(
        (view.y, view.x), area, view.zoom, np.concatenate([dots, frames]), len(dots), snapshot.ids[places[large]],
        frame_from,
    )  # fmt: skip


def _most_frames(y0: np.ndarray, x0: np.ndarray, y1: np.ndarray, x1: np.ndarray, *, area: Area, zoom: float) -> int:
    """Number of frames that the part of the screen with boxes has room for."""
    if len(y0) == 0:
        return MOST_FRAMES
    height = min(float(y1.max()), area[2]) - max(float(y0.min()), area[0])
    width = min(float(x1.max()), area[3]) - max(float(x0.min()), area[1])
    return int(min(MOST_FRAMES, max(1000.0, height * width * zoom**2 / ROOM_PX)))


def density(y: np.ndarray, x: np.ndarray, kinds: np.ndarray, *, colours: np.ndarray, zoom: float) -> np.ndarray:
    """One dot per occupied cell, larger for more findings, in the colour of the most frequent kind."""
    if len(y) == 0:
        return np.empty(0, FRAME_DTYPE)
    cell_px = CELL_PX / zoom
    row, column = np.floor(y / cell_px).astype(np.int64), np.floor(x / cell_px).astype(np.int64)
    first_row, first_column = int(row.min()), int(column.min())
    columns = int(column.max()) - first_column + 1
    count = len(colours)
    # one number for cell and kind: sorting numbers is several times faster than sorting rows of them
    keys = ((row - first_row) * columns + (column - first_column)) * count + kinds
    keys.sort()
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    unique, counts = keys[starts], np.diff(np.r_[starts, len(keys)])
    cell = unique // count
    firsts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    total = np.add.reduceat(counts, firsts)
    # the most frequent kind of a cell: the largest of count and kind in one number
    top = np.maximum.reduceat(counts * count + unique % count, firsts) % count
    centre_y = (cell[firsts] // columns + first_row + 0.5) * cell_px
    centre_x = (cell[firsts] % columns + first_column + 0.5) * cell_px
    radii = DOT_RADII[np.minimum(np.log2(total) * 1.6, 7).astype(np.int64)]
    return frame_records(np.stack([centre_x, centre_y, centre_x, centre_y], axis=1), colours[top], radii)


def prepare_selected(snapshot: Snapshot, view: View, places: np.ndarray, *, margin: float = MARGIN) -> Scene:
    """Prepare the selected boxes at ``places`` around a view: white with a dark halo; dots if many are small.

    Also those that a filter hides: commands act on all that is selected.
    """
    area = widened(view.bounds, margin)
    y0, x0, y1, x1 = (side[places] for side in snapshot.corners)
    keep = (y0 < area[2]) & (y1 > area[0]) & (x0 < area[3]) & (x1 > area[1])
    places, y0, x0, y1, x1 = places[keep], y0[keep] - view.y, x0[keep] - view.x, y1[keep] - view.y, x1[keep] - view.x
    large = np.ones(len(places), bool)
    if len(places) > MANY_SELECTED:
        size = np.maximum(y1 - y0, x1 - x0) * view.zoom
        limit = max(DOT_BELOW_PX, float(np.partition(size, -MANY_SELECTED)[-MANY_SELECTED]))
        large = size > limit
    small = ~large
    dots = density((y0[small] + y1[small]) / 2, (x0[small] + x1[small]) / 2, np.zeros(int(small.sum()), np.int64),
                   colours=np.array([WHITE]), zoom=view.zoom)  # fmt: skip
    rects = np.stack([x0[large], y0[large], x1[large], y1[large]], axis=1)
    records = np.concatenate([dots, frame_records(rects, 0.0, HALO_STYLE), frame_records(rects, WHITE, SELECTED_STYLE)])
    return Scene((view.y, view.x), area, view.zoom, records, len(dots), snapshot.ids[places[large]])
