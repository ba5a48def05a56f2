"""The scan area of a detection over the slide: what is left out is covered by a grey, hatched veil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject
from vispy.gloo import Texture2D, VertexBuffer
from vispy.scene.visuals import create_visual_node

from microscope_qc.app.canvas.area.mask_paint import Cells
from microscope_qc.app.canvas.screen_visual import TWO_TRIANGLES, ScreenVisual
from microscope_qc.app.canvas.view import View
from microscope_qc.core.area_mask import AreaMask

if TYPE_CHECKING:
    from microscope_qc.app.canvas.canvas import Canvas

ORDER = 910_000
"""Above every picture and every map, below the boxes."""
LARGEST_TEXTURE = 4096
"""Finer cells than fit into it are merged for drawing."""
HATCH_POINTS = 14.0
EDGE_POINTS = 1.5

VERTEX_DTYPE = np.dtype([("a_place", "f4", 2), ("a_cell", "f4", 2)])
VERTEX_SHADER = """
attribute vec2 a_place;  // screen points from the middle of the canvas
attribute vec2 a_cell;
uniform vec2 u_size;
varying vec2 v_place;
varying vec2 v_cell;
void main() {
    gl_Position = vec4(2.0 * a_place.x / u_size.x, -2.0 * a_place.y / u_size.y, 0.0, 1.0);
    v_place = a_place;
    v_cell = a_cell;
}
"""
FRAGMENT_SHADER = """
uniform sampler2D u_cells;
uniform vec2 u_count;
uniform vec2 u_edge;  // width of the edge in cells
uniform float u_phase;  // the hatching stays where it is on the slide
uniform float u_hatch;
varying vec2 v_place;
varying vec2 v_cell;
float scanned(vec2 cell) {
    if (cell.x < 0.0 || cell.y < 0.0 || cell.x >= u_count.x || cell.y >= u_count.y) return 0.0;
    return step(0.5, texture2D(u_cells, (floor(cell) + 0.5) / u_count).r);
}
void main() {
    float here = scanned(v_cell);
    float around = scanned(v_cell + vec2(u_edge.x, 0.0)) + scanned(v_cell - vec2(u_edge.x, 0.0))
        + scanned(v_cell + vec2(0.0, u_edge.y)) + scanned(v_cell - vec2(0.0, u_edge.y));
    if (here > 0.5) {
        if (around > 3.5) discard;
        gl_FragColor = vec4(0.05, 0.06, 0.07, 0.75);
    } else if (around > 0.5) {
        gl_FragColor = vec4(1.0, 1.0, 1.0, 0.9);
    } else {
        float line = mod(v_place.x + v_place.y + u_phase, u_hatch);
        gl_FragColor = line < 2.0 ? vec4(0.86, 0.88, 0.90, 0.62) : vec4(0.40, 0.42, 0.45, 0.62);
    }
}
"""


class VeilVisual(ScreenVisual):
    """Cells as one texture in one rectangle, clipped to the view."""

    def __init__(self) -> None:
        ScreenVisual.__init__(self, VERTEX_SHADER, FRAGMENT_SHADER)
        self._draw_mode = "triangles"
        self._seen = False
        self._texture = Texture2D(np.zeros((1, 1), np.uint8), interpolation="nearest", internalformat="r8")
        self._buffer = VertexBuffer(np.zeros(6, VERTEX_DTYPE))
        program = self.shared_program
        program.bind(self._buffer)
        program["u_cells"] = self._texture
        program["u_count"] = program["u_edge"] = (1.0, 1.0)
        program["u_phase"] = 0.0
        program["u_hatch"] = HATCH_POINTS
        self.set_gl_state("translucent", depth_test=False, cull_face=False)
        self.freeze()

    def set_cells(self, cells: np.ndarray) -> None:
        """Show other cells, (rows, columns) uint8: 255 where it is scanned."""
        self._texture.set_data(np.ascontiguousarray(cells))
        self.shared_program["u_count"] = (float(cells.shape[1]), float(cells.shape[0]))
        self.update()

    def put_cells(self, row: int, column: int, cells: np.ndarray) -> None:
        """Change some of the cells shown."""
        self._texture.set_data(np.ascontiguousarray(cells), offset=(row, column))
        self.update()

    def set_place(self, place: np.ndarray, cells: np.ndarray, *, edge: tuple[float, float], phase: float) -> None:
        """Set left, top, right, bottom in screen points from the middle of the canvas, and the same in cells."""
        vertices = np.zeros(6, VERTEX_DTYPE)
        for corner, (x, y) in enumerate(TWO_TRIANGLES):
            vertices["a_place"][corner] = place[x], place[y]
            vertices["a_cell"][corner] = cells[x], cells[y]
        self._buffer.set_subdata(vertices)
        self.shared_program["u_edge"] = edge
        self.shared_program["u_phase"] = phase
        self._seen = bool(place[2] > place[0] and place[3] > place[1])
        self.update()

    def _prepare_frame(self, view: Any) -> bool:
        return self._seen


Veil = create_visual_node(VeilVisual)


class MaskLayer(QObject):
    """Shows a mask on a canvas; everything outside the mask is left out too."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._veil: Any = None
        self._mask: AreaMask | None = None
        self._slide_shape = (1, 1)
        self._step = 1
        canvas.view_changed.connect(self._on_view_changed)

    @property
    def mask(self) -> AreaMask | None:
        """The mask shown, or None; it does not contain the cells changed by :meth:`change`."""
        return self._mask

    def show(self, mask: AreaMask, slide_shape_px: tuple[int, int]) -> None:
        """Show a mask over a slide of this size."""
        if self._veil is None:
            self._veil = Veil(parent=self._canvas.picture.scene)
            self._veil.order = ORDER
        self._mask, self._slide_shape = mask, slide_shape_px
        self._step = -(-max(mask.scan.shape) // LARGEST_TEXTURE)
        self._veil.set_cells(_bytes(mask.scan, self._step))
        self._veil.visible = True
        self._on_view_changed()
        self._canvas.picture.redraw()

    def change(self, scan: np.ndarray, cells: Cells) -> None:
        """Show changes of some cells of the mask; ``scan`` holds all cells."""
        if self._mask is None or scan.shape != self._mask.scan.shape:
            return
        step = self._step
        first = [part.start // step for part in cells]
        part = scan[tuple(slice(a * step, -(-b.stop // step) * step) for a, b in zip(first, cells, strict=True))]
        self._veil.put_cells(*first, _bytes(part, step))
        self._canvas.picture.redraw()

    def hide(self) -> None:
        """Show no mask."""
        if self._mask is not None:
            self._mask = None
            self._veil.visible = False
            self._canvas.picture.redraw()

    def _on_view_changed(self) -> None:
        mask = self._mask
        if mask is None:
            return
        view = self._canvas.view
        place, cells = veil_place(view, self._slide_shape, mask)
        edge = [EDGE_POINTS / view.zoom / side / self._step for side in mask.cell_px]
        phase = (view.x + view.y) * view.zoom % HATCH_POINTS
        self._veil.set_place(place, cells / self._step, edge=(edge[1], edge[0]), phase=phase)


def veil_place(view: View, slide_shape_px: tuple[int, int], mask: AreaMask) -> tuple[np.ndarray, np.ndarray]:
    """Left, top, right, bottom of the visible part of a slide: in screen points from the middle, and in mask cells.

    It is clipped to the view in double precision: single precision far off the screen would shift the cells on it.
    """
    y0, x0, y1, x1 = view.bounds
    height, width = slide_shape_px
    seen = np.array([max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))])
    place = (seen - [view.x, view.y, view.x, view.y]) * view.zoom
    corner = [mask.region.x0, mask.region.y0] * 2
    return place, (seen - corner) / ([mask.cell_px[1], mask.cell_px[0]] * 2)


def _bytes(scan: np.ndarray, step: int) -> np.ndarray:
    """255 where it is scanned, with ``step`` cells along each side drawn as one."""
    cells = scan.astype(np.uint8) * 255
    for axis in (0, 1):
        if step > 1:
            cells = np.maximum.reduceat(cells, np.arange(0, cells.shape[axis], step), axis=axis)
    return cells
