"""The slide on screen: fetches the tiles of the view, keeps them in one texture and draws them, without waiting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qtpy.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal

from microscope_qc.app.canvas.tiles.atlas import Atlas
from microscope_qc.app.canvas.tiles.loader import TileLoader
from microscope_qc.app.canvas.tiles.tile_plan import Plan, TileId, bounds_of, make_plan, tiles_to_draw
from microscope_qc.app.canvas.tiles.tiles_visual import Tiles, tile_vertices
from microscope_qc.app.canvas.view import View
from microscope_qc.slides.display import DisplaySettings
from microscope_qc.slides.tile_cache import TILE_PX, TileSource, shared_cache

FRAME_MS = 16
FRAME_BYTES = 6 << 20
"""Uploaded to the graphics card per frame: eight tiles."""
SMALLEST_ATLAS = 32
SPARE = 1.25
"""Slots for every visible tile, for the coarse ones below them, and for some that have just gone out of view."""
BASE_SLOTS = 4
"""Reserved for the picture of the whole slide, which is at most two tiles high and wide."""
NOTHING = Plan(0, (), (), ())


class TileLayer(QObject):
    """Tiles of one slide in a vispy scene. Everything but the reading runs in the window's thread.

    ``settled`` is sent when the whole view has become sharp.
    """

    settled = Signal()
    _arrived = Signal()

    def __init__(self, scene: Any, *, largest_texture_px: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self._largest = largest_texture_px
        self._columns = 8
        self.source: TileSource | None = None
        self.atlas = Atlas(0)
        self.plan = NOTHING
        self._visual: Any = None
        self._display: DisplaySettings | None = None
        self._serial = 0
        self._view: View | None = None
        self._pixel_ratio = 1.0
        self._planned_view: View | None = None
        self._base: np.ndarray | None = None
        self._drawn: list[TileId] = []
        self._drawn_state: tuple[Any, ...] = ()
        self._unpainted_bytes = 0
        self._appearance = (1.0, (0.0, 0.0, 0.0))
        self._order = 0.5
        self._was_complete = False
        self.loader = TileLoader(self._arrived.emit)
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._on_plan)
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setTimerType(Qt.TimerType.PreciseTimer)
        self._frame.timeout.connect(self._on_frame)
        self._since_frame = QElapsedTimer()
        self._since_frame.start()

    # -- what is shown -----------------------------------------------------------------------------------------------

    def set_source(self, source: TileSource | None, display: DisplaySettings | None = None) -> None:
        """Show another slide, or none; tiles of the previous one are dropped at once."""
        self.loader.clear()
        self.source = source
        self._base = None
        self._display = display
        self._serial += 1
        self.atlas.keep_only(())
        self.plan, self._planned_view = NOTHING, None
        self._was_complete = False
        self._redraw()
        if source is not None and self._view is not None:
            self._soon.start()

    def set_base(self, pixels: np.ndarray) -> None:
        """Set the picture of the whole slide, (h, w, 3) uint8, drawn where there is no tile yet."""
        self._base = pixels[: 2 * TILE_PX, : 2 * TILE_PX]
        self._upload_base()
        self.atlas.version += 1
        self._redraw()

    def set_display(self, display: DisplaySettings | None) -> None:
        """Render what is visible again; what is drawn stays until it is replaced."""
        self._display = display
        self._serial += 1
        self.atlas.keep_only(set(self._drawn))
        self._was_complete = False
        self._soon.start()

    def set_view(self, view: View, pixel_ratio: float) -> None:
        """Draw and fetch what a view shows."""
        self._view, self._pixel_ratio = view, pixel_ratio
        self._make_room(view, pixel_ratio)
        if self.source is not None and not self._soon.isActive():
            self._soon.start()

    def set_appearance(self, *, opacity: float, background: tuple[float, float, float], order: float) -> None:
        """Set the opacity of the tiles (0 hides them), the colour behind them, and their order among the layers."""
        self._appearance, self._order = (opacity, background), order
        if self._visual is not None:
            self._visual.set_appearance(opacity=opacity, background=background)
            self._visual.visible = opacity > 0
            if self._visual.order != order:
                self._visual.order = order
            self._redraw()

    def plan_now(self) -> None:
        """Fetch what the view shows before the next frame, so that there is one frame and not two."""
        if self._soon.isActive():
            self._soon.stop()
            self._on_plan()

    @property
    def complete(self) -> bool:
        """Whether everything visible is as sharp as it gets."""
        if self.source is None or self._soon.isActive() or self._planned_view is not self._view:
            return False
        return all(self.atlas.serial(tile) == self._serial for tile in self.plan.sharp)

    def close(self) -> None:
        """Stop and wait for the readers."""
        self._soon.stop()
        self._frame.stop()
        self.loader.close()
        if self._visual is not None:
            self._visual.parent = None

    # -- fetching ----------------------------------------------------------------------------------------------------

    def _make_room(self, view: View, pixel_ratio: float) -> None:
        """Make a texture with slots for all tiles a canvas of this size can show; it never shrinks."""
        across = math.ceil(view.width * pixel_ratio / (TILE_PX / 2)) + 1
        down = math.ceil(view.height * pixel_ratio / (TILE_PX / 2)) + 1
        needed = max(SMALLEST_ATLAS, math.ceil(SPARE * across * down))
        if needed <= self.atlas.capacity:
            return
        most = self._largest // TILE_PX
        columns = 8 if needed + BASE_SLOTS <= 8 * min(most, 16) else min(most, 16)
        rows = min(most, math.ceil((needed + BASE_SLOTS) / columns))
        if rows * columns - BASE_SLOTS <= self.atlas.capacity:
            return
        if self._visual is not None:
            self._visual.parent = None
        self._visual = Tiles(rows, columns, self._next_vertices, parent=self._scene)
        self.atlas = Atlas(rows * columns - BASE_SLOTS)
        # drivers keep four bytes per pixel, software ones in main memory
        shared_cache().count_elsewhere(rows * columns * TILE_PX * TILE_PX * 4)
        self._drawn, self._drawn_state = [], ()
        self._upload_base()
        opacity, background = self._appearance
        self.set_appearance(opacity=opacity, background=background, order=self._order)

    def _on_plan(self) -> None:
        source, view = self.source, self._view
        if source is None or view is None:
            return
        plan = make_plan(source, view, pixel_ratio=self._pixel_ratio, before=self._planned_view)
        self.plan, self._planned_view = plan, view
        serial = self.atlas.serial
        missing = [tile for tile in plan.sharp if serial(tile) != self._serial]
        # while settings change quickly, the tiles with the oldest settings come first
        missing.sort(key=serial)
        coarse = [tile for tile in plan.coarse if serial(tile) != self._serial] if missing else []
        ahead = [tile for tile in plan.ahead if serial(tile) != self._serial]
        self.loader.show(source, [*coarse, *missing], ahead=ahead, display=self._display, serial=self._serial)
        self._tell_when_complete()
        self._redraw()

    def _on_arrived(self) -> None:
        if not self._frame.isActive():
            self._frame.start(max(0, FRAME_MS - int(self._since_frame.elapsed())))

    def _on_frame(self) -> None:
        if self._unpainted_bytes >= FRAME_BYTES:
            return  # the next frame continues
        self._since_frame.restart()
        keep = {*self._drawn, *self.plan.sharp, *self.plan.coarse}
        for loaded in self.loader.take(FRAME_BYTES - self._unpainted_bytes):
            if loaded.source is not self.source or loaded.serial < self.atlas.serial(loaded.tile):
                continue
            height, width = loaded.pixels.shape[:2]
            slot = self.atlas.put(loaded.tile, serial=loaded.serial, shape=(height, width), keep=keep)
            if slot is not None:
                self._visual.upload(slot, loaded.pixels)
                self._unpainted_bytes += loaded.pixels.nbytes
        self._tell_when_complete()
        self._redraw()

    def _tell_when_complete(self) -> None:
        complete = self.complete
        if complete and not self._was_complete:
            self.settled.emit()
        self._was_complete = complete

    def _upload_base(self) -> None:
        base = self._base
        if base is None or self._visual is None:
            return
        for number in range(BASE_SLOTS):
            y, x = number // 2 * TILE_PX, number % 2 * TILE_PX
            part = base[y : y + TILE_PX, x : x + TILE_PX]
            if part.size:
                self._visual.upload(self.atlas.capacity + number, part)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        if self._visual is not None:
            self._visual.update()

    def _next_vertices(self) -> np.ndarray | None:
        """Vertices for the frame that is drawn now, None if they are those of the last one."""
        self._unpainted_bytes = 0
        if self.loader.has_ready:
            self._on_arrived()
        state = (self.source, self._view, self._pixel_ratio, self.atlas.version, self._serial)
        if state == self._drawn_state:
            return None
        self._drawn_state = state
        source, view = self.source, self._view
        if source is None or view is None:
            self._drawn = []
            return tile_vertices(np.zeros((0, 4)), np.zeros((0, 2)), np.zeros((0, 2)), whole=np.zeros(0))
        plan = self.plan
        if view is not self._planned_view:
            plan = make_plan(source, view, pixel_ratio=self._pixel_ratio)
        self._drawn = tiles_to_draw(source, plan, self.atlas.__contains__)
        self.atlas.touch(self._drawn)
        hole = not plan.sharp or any(tile not in self.atlas for tile in plan.sharp)
        return self._vertices(source, view, with_base=hole)

    def _vertices(self, source: TileSource, view: View, *, with_base: bool) -> np.ndarray:
        places: list[Any] = []
        corners: list[Any] = []
        sizes: list[Any] = []
        whole: list[bool] = []
        near = view.zoom * self._pixel_ratio >= 0.999
        if with_base and self._base is not None:
            for place, number, size in _base_parts(source.shape(0), self._base):
                places.append(place)
                corners.append(self._visual.corner(self.atlas.capacity + number))
                sizes.append(size)
                whole.append(False)
        for tile in self._drawn:
            slot = self.atlas.get(tile)
            assert slot is not None
            y0, x0, y1, x1 = bounds_of(source, tile)
            down_y, down_x = source.downsample(tile[0])
            places.append((x0, y0, x1, y1))
            corners.append(self._visual.corner(slot.number))
            sizes.append(((x1 - x0) / down_x, (y1 - y0) / down_y))
            whole.append(near and tile[0] == 0)
        on_screen = (_table(places, 4) - (view.x, view.y, view.x, view.y)) * view.zoom
        return tile_vertices(on_screen, _table(corners, 2), _table(sizes, 2), whole=np.array(whole, bool))


def _table(rows: list[Any], columns: int) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, columns)


def _base_parts(full: tuple[int, int], base: np.ndarray) -> list[tuple[Any, int, tuple[int, int]]]:
    """Position on the slide (x0, y0, x1, y1), number of the slot and (w, h) of each part of the whole picture."""
    height, width = base.shape[:2]
    per_y, per_x = full[0] / height, full[1] / width
    parts = []
    for number in range(BASE_SLOTS):
        y0, x0 = number // 2 * TILE_PX, number % 2 * TILE_PX
        y1, x1 = min(y0 + TILE_PX, height), min(x0 + TILE_PX, width)
        if y1 > y0 and x1 > x0:
            parts.append(((x0 * per_x, y0 * per_y, x1 * per_x, y1 * per_y), number, (x1 - x0, y1 - y0)))
    return parts
