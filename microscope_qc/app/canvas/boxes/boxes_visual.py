"""Outlines of constant width on screen for thousands of boxes in one draw call.

Every box is a frame of eight vertices that all carry the whole box. Width, position and zoom are applied on the
graphics card: panning and zooming upload nothing, and one box is changed by uploading its eight vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy.gloo import IndexBuffer, VertexBuffer
from vispy.scene.visuals import create_visual_node

from microscope_qc.app.canvas.screen_visual import ScreenVisual

FRAME_DTYPE = np.dtype(
    [
        ("a_rect", "f4", 4),  # x0, y0, x1, y1 in slide pixels from the origin of the set
        ("a_style", "f4", 2),  # colour and style, each packed into a whole number
    ]
)
CORNERS = 8
STEP = 2048
"""Buffers grow by this many frames at a time, so that a few more or fewer need no new ones."""
SPARE = 256

# positions are relative to an origin near the view and shifted by the offset between the two, computed in double
# precision: far from the slide's corner single precision would be off by a screen pixel at the highest zoom
VERTEX_SHADER = """
attribute vec4 a_rect;
attribute vec2 a_style;
attribute float a_corner;  // 0..3 around the outer side, 4..7 around the inner
uniform vec2 u_size;
uniform vec3 u_view;  // x, y of the view's middle from the origin of the set; zoom
varying vec4 v_colour;
varying vec2 v_place;
varying float v_across;
varying vec2 v_style;
float part(float value, float below, float size) {
    return mod(floor(value / below), size);
}
void main() {
    float inner = step(3.5, a_corner);
    float corner = a_corner - 4.0 * inner;
    float right = step(0.5, corner) - step(2.5, corner);
    float low = step(1.5, corner);
    vec2 own = vec2(mix(a_rect.x, a_rect.z, right), mix(a_rect.y, a_rect.w, low));
    vec2 opposite = vec2(mix(a_rect.z, a_rect.x, right), mix(a_rect.w, a_rect.y, low));
    vec2 here = (own - u_view.xy) * u_view.z;
    vec2 there = (opposite - u_view.xy) * u_view.z;
    vec2 inwards = vec2(1.0 - 2.0 * right, 1.0 - 2.0 * low);
    float total = part(a_style.y, 1.0, 16.0) + 1.0;
    float outset = part(a_style.y, 256.0, 64.0) * 0.25;
    vec2 reach = min(vec2(total), 0.5 * abs(there - here) + outset);
    vec2 moved = here + inwards * (reach * inner - outset);
    gl_Position = vec4(2.0 * moved.x / u_size.x, -2.0 * moved.y / u_size.y, 0.0, 1.0);
    v_colour = vec4(part(a_style.x, 65536.0, 256.0) / 255.0, part(a_style.x, 256.0, 256.0) / 255.0,
                    part(a_style.x, 1.0, 256.0) / 255.0, part(a_style.y, 16384.0, 16.0) / 15.0);
    v_place = moved - min(here, there);
    v_across = inner * max(reach.x, reach.y);
    v_style = vec2(total, part(a_style.y, 16.0, 16.0));
}
"""

FRAGMENT_SHADER = """
varying vec4 v_colour;
varying vec2 v_place;
varying float v_across;
varying vec2 v_style;
void main() {
    if (v_style.y > 0.0 && mod(v_place.x + v_place.y, v_style.y) > 0.58 * v_style.y) discard;
    // a dark edge around every line, so that it shows on bright and dark material
    gl_FragColor = v_across < 1.0 ? vec4(0.0, 0.0, 0.0, 0.55 * v_colour.a) : v_colour;
}
"""


def packed_colour(colour: str) -> float:
    """``#rrggbb`` as the number that the shader unpacks; anything else is grey."""
    try:
        return float(int(colour.lstrip("#"), 16) & 0xFFFFFF)
    except ValueError:
        return float(0x999999)


def packed_style(width: float, dash: float, outset: float, alpha: float = 1.0) -> float:
    """Pack width and dash in whole screen points up to 15 (dash 0 is solid), outset in quarters up to 15.75."""
    return width + 16 * dash + 256 * round(4 * outset) + 16384 * round(15 * alpha)


def frame_records(rects: np.ndarray, colours: np.ndarray | float, styles: np.ndarray | float) -> np.ndarray:
    """Records of frames from (N, 4) x0, y0, x1, y1 and values of :func:`packed_colour` and :func:`packed_style`."""
    records = np.empty(len(rects), FRAME_DTYPE)
    records["a_rect"] = rects
    records["a_style"][:, 0] = colours
    records["a_style"][:, 1] = styles
    return records


def frame_indices(count: int) -> np.ndarray:
    """Triangles of ``count`` frames, (8 * count, 3)."""
    one = np.array([[k, (k + 1) % 4, (k + 1) % 4 + 4, k, (k + 1) % 4 + 4, k + 4] for k in range(4)], np.uint32)
    return (one.reshape(1, -1) + CORNERS * np.arange(count, dtype=np.uint32)[:, None]).reshape(-1, 3)


def frame_vertices(records: np.ndarray) -> np.ndarray:
    """Vertices of frames, and of some spare ones after them, which have no size and are invisible."""
    capacity = -(-(len(records) + SPARE) // STEP) * STEP
    vertices = np.zeros((capacity, CORNERS), FRAME_DTYPE)
    vertices[: len(records)] = records[:, None]
    return vertices.reshape(-1)


class _Template:
    """Indices and corner numbers, computed once for the largest number of frames so far."""

    def __init__(self) -> None:
        self.indices = frame_indices(4 * STEP)
        self.corners = np.tile(np.arange(CORNERS, dtype=np.float32), 4 * STEP)

    def of(self, capacity: int) -> tuple[np.ndarray, np.ndarray]:
        """Return those for a number of frames."""
        if len(self.corners) < CORNERS * capacity:
            self.indices = frame_indices(capacity * 3 // 2)
            self.corners = np.tile(np.arange(CORNERS, dtype=np.float32), capacity * 3 // 2)
        return self.indices[: 8 * capacity], self.corners[: CORNERS * capacity]


_template = _Template()


class FramesVisual(ScreenVisual):
    """Draws the frames of :meth:`set_frames`."""

    def __init__(self) -> None:
        ScreenVisual.__init__(self, VERTEX_SHADER, FRAGMENT_SHADER)
        self._draw_mode = "triangles"
        self._count = 0
        self._capacity = 0
        self._view = (0.0, 0.0, 1.0)
        self._buffer = VertexBuffer(np.zeros(CORNERS, FRAME_DTYPE))
        self._corners = VertexBuffer(np.arange(CORNERS, dtype=np.float32))
        self._index_buffer = IndexBuffer(frame_indices(1))
        self.shared_program.bind(self._buffer)
        self.shared_program["a_corner"] = self._corners
        self.set_gl_state("translucent", depth_test=False, cull_face=False)
        self.freeze()

    @property
    def room(self) -> int:
        """Number of frames that can be added after those shown."""
        return self._capacity - self._count

    def set_frames(self, records: np.ndarray, vertices: np.ndarray | None = None) -> None:
        """Show only the frames of :func:`frame_records`; ``vertices`` if a worker has computed them."""
        vertices = frame_vertices(records) if vertices is None else vertices
        self._count = len(records)
        capacity = len(vertices) // CORNERS
        if capacity != self._capacity:
            self._capacity = capacity
            indices, corners = _template.of(capacity)
            self._corners.set_data(corners)
            self._index_buffer.set_data(indices)
            self._buffer.set_data(vertices)
            self.shared_program.bind(self._buffer)  # vispy's views of a buffer keep its old size
        else:
            self._buffer.set_data(vertices)
        self.update()

    def put(self, place: int, records: np.ndarray) -> None:
        """Replace frames from ``place`` on, among those shown or right after them."""
        if place + len(records) > self._capacity:
            raise ValueError("no room for these frames")
        self._count = max(self._count, place + len(records))
        self._buffer.set_subdata(np.repeat(records, CORNERS), offset=CORNERS * place)
        self.update()

    def set_view(self, x: float, y: float, zoom: float) -> None:
        """Set the view's middle relative to the origin of the set, and its zoom."""
        if (x, y, zoom) != self._view:
            self._view = (x, y, zoom)
            self.update()

    def _prepare_frame(self, view: Any) -> bool:
        view.view_program["u_view"] = self._view
        return self._count > 0


Frames = create_visual_node(FramesVisual)
