"""The boxes that are shown: drawn by scenes prepared around the view, patched in place when single boxes change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.canvas.boxes.box_scene import MARGIN, STYLES, Scene, Snapshot, prepare, prepare_selected, widened
from microscope_qc.app.canvas.boxes.boxes_visual import FRAME_DTYPE, Frames, frame_records, frame_vertices
from microscope_qc.app.canvas.view import View
from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import BOX_DTYPE, BoxChange
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

FEW = 6_000
"""Up to this many boxes are prepared at once; more of them in a thread."""
FAR_MARGIN = 0.25
"""Around views of many boxes less is prepared, because they fill the screen."""
PATCHED_UP_TO = 256
LABELS_UP_TO = 200
LABEL_FROM_PX = 14.0
NOTHING = np.empty(0, np.int64)


class BoxLayer:
    """Draws the shown boxes of a session's slide into a vispy scene.

    ``on_ready`` is called when something prepared in the background is ready for the next frame.
    """

    def __init__(self, session: Session, scene: object, *, on_ready: Callable[[], None] = lambda: None) -> None:
        self._session = session
        self._on_ready = on_ready
        self._frames = Frames(parent=scene)
        self._frames.order = 1_000_000  # above every picture
        self._marked = Frames(parent=scene)
        self._marked.order = 1_000_001
        self._work = NewestWork("boxes")
        self._view = View()
        self._scene: Scene | None = None
        self._selected: Scene | None = None
        self._stale = self._selected_stale = True
        self._changed_since: list[np.ndarray] = []  # while the thread is preparing from older rows
        self._unpatched: list[np.ndarray] = []  # since the last frame
        self._hidden: int | None = None
        self._shift = (0.0, 0.0)

    # -- shown boxes -------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> np.ndarray:
        """The shown rows (a copy)."""
        return self._session.shown_rows()

    @property
    def preparing(self) -> bool:
        """Whether what is visible is still being prepared."""
        return self._work.busy("scene") or self._work.busy("selected")

    def at(self, y: float, x: float, *, margin_px: float) -> int | None:
        """Id of the smallest shown box at a position."""
        return self._session.table.at(y, x, among=self._session.shown_mask(), margin_px=margin_px)

    def enclosed(self, region: Region) -> np.ndarray:
        """Ids of the shown boxes whose middle is in a region."""
        table = self._session.table
        near = table.inside(region.y0, region.x0, region.y1, region.x1)
        near = near[self._session.shown_mask()[near]]
        y0, x0, y1, x1 = (side[near] for side in table.corners)
        y, x = (y0 + y1) / 2, (x0 + x1) / 2
        keep: Flags = (y >= region.y0) & (y < region.y1) & (x >= region.x0) & (x < region.x1)
        return table.rows["id"][near[keep]]

    def labelled(self, view: View) -> np.ndarray:
        """Rows of the boxes that are labelled with their short code: if they are few, and large enough."""
        scene, table = self._scene, self._session.table
        nothing = np.empty(0, BOX_DTYPE)
        if scene is None:
            return nothing
        records = scene.records[scene.dots :]
        rect = records["a_rect"]
        size = np.maximum(rect[:, 2] - rect[:, 0], rect[:, 3] - rect[:, 1]) * view.zoom
        y0, x0, y1, x1 = view.bounds
        y, x = scene.origin
        inside = (rect[:, 0] < x1 - x) & (rect[:, 2] > x0 - x) & (rect[:, 1] < y1 - y) & (rect[:, 3] > y0 - y)
        places = np.flatnonzero(inside & (size >= LABEL_FROM_PX))
        if len(places) > LABELS_UP_TO:
            return nothing
        ids = scene.ids_at(places + scene.dots)
        return table.get(ids[table.has(ids)]) if len(ids) else nothing

    # -- what changed ------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Prepare again (filter or classes changed)."""
        self._stale = self._selected_stale = True

    def clear(self) -> None:
        """Draw nothing, for another slide."""
        self._work.forget("scene")
        self._work.forget("selected")
        self._scene = self._selected = None
        self._changed_since.clear()
        self._unpatched.clear()
        self._hidden, self._shift = None, (0.0, 0.0)
        self._frames.set_frames(np.empty(0, FRAME_DTYPE))
        self._marked.set_frames(np.empty(0, FRAME_DTYPE))
        self.reload()

    def change(self, change: BoxChange) -> None:
        """Follow changed boxes with the next frame: a few are patched, for more the scene is prepared again."""
        self._selected_stale = True
        # the thread uses old row numbers: boxes added or removed since have shifted them
        misled = change.kind != "updated" and self._work.busy("scene")
        many = max(len(change.ids), len(self._unpatched)) > PATCHED_UP_TO
        if change.kind == "reset" or many or misled:
            self._stale = True
        else:
            self._unpatched.append(change.ids)

    def restyle(self) -> None:
        """Follow a changed selection."""
        self._selected_stale = True

    @property
    def hidden_id(self) -> int | None:
        """The box that is being dragged: the overlay draws it."""
        return self._hidden

    @hidden_id.setter
    def hidden_id(self, box_id: int | None) -> None:
        if box_id == self._hidden:
            return
        before, self._hidden = self._hidden, box_id
        self._unpatched.append(np.array([item for item in (before, box_id) if item is not None], np.int64))
        self._selected_stale = True

    def shift_selected(self, dy: float, dx: float) -> None:
        """Draw the selection shifted while several boxes are dragged."""
        self._shift = (dy, dx)
        self.set_view(self._view)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def set_view(self, view: View) -> None:
        """Draw another view from the next frame on."""
        self._view = view
        if self._scene is not None:
            self._frames.set_view(*self._scene.offset(view))
        if self._selected is not None:
            x, y, zoom = self._selected.offset(view)
            self._marked.set_view(x - self._shift[1], y - self._shift[0], zoom)

    def refresh(self, view: View) -> bool:
        """Prepare what ``view`` needs, here or in the thread; returns whether something was uploaded."""
        uploaded = self._patch_changed()
        uploaded |= self._refresh_scene(view)
        uploaded |= self._refresh_selected(view)
        if uploaded:
            self.set_view(view)
        return uploaded

    def close(self) -> None:
        """Wait for the thread."""
        self._work.close()

    def _refresh_scene(self, view: View) -> bool:
        scene = self._scene
        if scene is not None and not self._stale and scene.serves(view):
            if self._expected(view) > FEW and not scene.serves(view, margin=FAR_MARGIN / 2):
                self._ask(view)  # ahead of the user
            return False
        if self._expected(view) > FEW:
            self._ask(view)
            return False
        places = self._session.table.inside(*widened(view.bounds, MARGIN))
        if len(places) > 3 * FEW:  # they are unevenly distributed: this is a cluster
            self._ask(view)
            return False
        self._work.forget("scene")
        made = prepare(self._snapshot(), view, places=places, hidden=self._hidden)
        self._show(made, frame_vertices(made.records))
        self._stale = False
        return True

    def _ask(self, view: View) -> None:
        """Prepare a view in the thread; one in progress is finished first, so that something is always drawn."""
        if self._work.busy("scene"):
            return
        snapshot, hidden = self._snapshot(), self._hidden
        self._stale = False
        self._changed_since.clear()

        def work() -> tuple[Scene, np.ndarray]:
            made = prepare(snapshot, view, margin=FAR_MARGIN, hidden=hidden)
            return made, frame_vertices(made.records)

        self._work.ask("scene", work, self._on_scene)

    def _on_scene(self, made: tuple[Scene, np.ndarray]) -> None:
        since = self._changed_since
        self._changed_since = []
        self._show(*made)
        if since:
            self._patch(np.unique(np.concatenate(since)))
        self.set_view(self._view)
        self._on_ready()

    def _show(self, scene: Scene, vertices: np.ndarray) -> None:
        self._scene = scene
        self._frames.set_frames(scene.records, vertices)

    def _refresh_selected(self, view: View) -> bool:
        selected = self._selected
        if selected is not None and not self._selected_stale and selected.serves(view):
            return False
        ids = self._session.selection.ids
        if self._hidden is not None:
            ids = ids[ids != self._hidden]
        table = self._session.table
        ids = ids[table.has(ids)] if len(ids) else NOTHING
        self._selected_stale = False
        if len(ids) == 0 and (selected is None or len(selected.records) == 0):
            self._selected = Scene(
                (view.y, view.x), (-np.inf, -np.inf, np.inf, np.inf), view.zoom, np.empty(0, FRAME_DTYPE), 0, NOTHING
            )
            return False
        snapshot, places = self._snapshot(), table.rows_of(ids)
        if len(ids) > FEW:
            self._work.ask("selected", lambda: prepare_selected(snapshot, view, places), self._on_selected)
            return False
        self._work.forget("selected")
        self._take_selected(prepare_selected(snapshot, view, places))
        return True

    def _on_selected(self, made: Scene) -> None:
        self._take_selected(made)
        self.set_view(self._view)
        self._on_ready()

    def _take_selected(self, scene: Scene) -> None:
        self._selected = scene
        self._marked.set_frames(scene.records)

    def _snapshot(self) -> Snapshot:
        return Snapshot.of(self._session.table, self._session.shown_mask(), self._session.classes)

    def _expected(self, view: View) -> float:
        """Expected number of boxes around a view, if they were evenly distributed."""
        count, slide = len(self._session.table), self._session.slide
        if count <= FEW or slide is None:
            return count
        height, width = slide.shape_px
        y0, x0, y1, x1 = widened(view.bounds, MARGIN)
        inside_y, inside_x = max(0.0, min(y1, height) - max(y0, 0.0)), max(0.0, min(x1, width) - max(x0, 0.0))
        return count * inside_y * inside_x / max(1.0, float(height) * width)

    # -- patching ----------------------------------------------------------------------------------------------------

    def _patch_changed(self) -> bool:
        changed, self._unpatched = self._unpatched, []
        if changed and not self._stale:
            self._patch(np.unique(np.concatenate(changed)))
        return bool(changed)

    def _patch(self, ids: np.ndarray) -> None:
        """Draw a few boxes as they are now, without touching the others."""
        if self._work.busy("scene"):
            self._changed_since.append(ids)
            if sum(map(len, self._changed_since)) > 8 * PATCHED_UP_TO:
                self._stale = True
        scene = self._scene
        if scene is None or self._stale:
            return
        table, mask = self._session.table, self._session.shown_mask()
        there = ids[table.has(ids)]
        rows = table.rows_of(there)
        drawn = {int(box_id): int(at) for box_id, at in zip(there, rows, strict=True) if mask[at]}
        snapshot = self._snapshot()
        for box_id in ids.tolist():
            self._patch_one(scene, snapshot, box_id, drawn.get(box_id))

    def _patch_one(self, scene: Scene, snapshot: Snapshot, box_id: int, at: int | None) -> None:
        hidden = box_id == self._hidden
        record = None if hidden or at is None else self._record(scene, snapshot, at)
        place = scene.place_of(box_id)
        if record is None:
            was_dot = place is None and scene.dots > 0
            is_dot = at is not None and scene.touches(snapshot.corners[:, at])
            if not hidden and (was_dot or is_dot):
                self._stale = True  # one of many in a dot: they are counted again
            if place is None:
                return
            scene.records[place] = np.zeros(1, FRAME_DTYPE)[0]
        elif place is None:
            if self._frames.room < 1:
                self._stale = True
                return
            place = scene.append(box_id, record)
        else:
            scene.records[place] = record[0]
        self._frames.put(place, scene.records[place : place + 1])

    def _record(self, scene: Scene, snapshot: Snapshot, at: int) -> np.ndarray | None:
        """Frame of one box, None if it is not drawn as a frame."""
        corners = snapshot.corners[:, at]
        y0, x0, y1, x1 = corners
        if max(y1 - y0, x1 - x0) * scene.zoom < scene.frame_from_px or not scene.touches(corners):
            return None
        y, x = scene.origin
        kind = snapshot.kinds(np.array([at]))
        return frame_records(
            np.array([[x0 - x, y0 - y, x1 - x, y1 - y]]), snapshot.kind_colours[kind], STYLES[snapshot.states[at]]
        )
