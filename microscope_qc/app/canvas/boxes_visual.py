"""Outlines of constant width on screen for thousands of boxes in one draw call.

Every box is a frame of eight vertices. The width is applied on the graphics card, so that panning and zooming upload
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy.gloo import IndexBuffer, VertexBuffer
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

VERTEX_DTYPE = np.dtype(
    [
        ("a_own", "f4", 2),  # the corner of this vertex, x, y
        ("a_opposite", "f4", 2),
        ("a_inner", "f4"),  # 0 on the outer side of the frame, 1 on the inner
        ("a_colour", "f4", 4),
        ("a_style", "f4", 3),  # width, dash length (0 solid), outset; all in screen points
    ]
)

VERTEX_SHADER = """
attribute vec2 a_own;
attribute vec2 a_opposite;
attribute float a_inner;
attribute vec4 a_colour;
attribute vec3 a_style;
uniform vec2 u_size;
varying vec4 v_colour;
varying vec2 v_place;
varying float v_across;
varying vec2 v_style;
void main() {
    vec4 own = $transform(vec4(a_own, 0.0, 1.0));
    vec4 opposite = $transform(vec4(a_opposite, 0.0, 1.0));
    vec2 here = 0.5 * own.xy / own.w * u_size;
    vec2 there = 0.5 * opposite.xy / opposite.w * u_size;
    vec2 inwards = vec2(there.x >= here.x ? 1.0 : -1.0, there.y >= here.y ? 1.0 : -1.0);
    float total = a_style.x + 1.0;
    vec2 reach = min(vec2(total), 0.5 * abs(there - here) + a_style.z);
    vec2 moved = here + inwards * (mix(vec2(0.0), reach, a_inner) - a_style.z);
    gl_Position = vec4(moved / (0.5 * u_size) * own.w, own.z, own.w);
    v_colour = a_colour;
    v_place = moved - min(here, there);
    v_across = a_inner * max(reach.x, reach.y);
    v_style = vec2(total, a_style.y);
}
"""

FRAGMENT_SHADER = """
varying vec4 v_colour;
varying vec2 v_place;
varying float v_across;
varying vec2 v_style;
void main() {
    if (v_style.y > 0.0 && mod(v_place.x + v_place.y, v_style.y) > 0.58 * v_style.y) discard;
    // one dark point around every line: it shows on bright and on dark material
    gl_FragColor = v_across < 1.0 ? vec4(0.0, 0.0, 0.0, 0.55 * v_colour.a) : v_colour;
}
"""


def frame_vertices(boxes: np.ndarray, colours: np.ndarray, styles: np.ndarray) -> np.ndarray:
    """Vertices of frames.

    Parameters
    ----------
    boxes
        (N, 4) y0, x0, y1, x1.
    colours
        (N, 4) red, green, blue, alpha in 0..1.
    styles
        (N, 3) width, dash, outset in screen points.
    """
    vertices = np.zeros((len(boxes), 8), VERTEX_DTYPE)
    xs, ys = boxes[:, [1, 3]], boxes[:, [0, 2]]
    for corner, (i, j) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        for side in (0, 1):
            vertex = vertices[:, corner + 4 * side]
            vertex["a_own"][:, 0], vertex["a_own"][:, 1] = xs[:, i], ys[:, j]
            vertex["a_opposite"][:, 0], vertex["a_opposite"][:, 1] = xs[:, 1 - i], ys[:, 1 - j]
            vertex["a_inner"] = side
    vertices["a_colour"] = colours[:, None]
    vertices["a_style"] = styles[:, None]
    return vertices.reshape(-1)


def frame_indices(count: int) -> np.ndarray:
    """Triangles of ``count`` frames, (8 * count, 3)."""
    one = np.array([[k, (k + 1) % 4, (k + 1) % 4 + 4, k, (k + 1) % 4 + 4, k + 4] for k in range(4)], np.uint32)
    return (one.reshape(1, -1) + 8 * np.arange(count, dtype=np.uint32)[:, None]).reshape(-1, 3)


class FramesVisual(Visual):
    """All frames given with :meth:`set_frames`."""

    def __init__(self) -> None:
        Visual.__init__(self, VERTEX_SHADER, FRAGMENT_SHADER)
        self._draw_mode = "triangles"
        self._count = 0
        self._capacity = 0
        self._buffer = VertexBuffer(np.zeros(8, VERTEX_DTYPE))
        self._index_buffer = IndexBuffer(frame_indices(1))
        self.shared_program.bind(self._buffer)
        self.set_gl_state("translucent", depth_test=False, cull_face=False)
        self.freeze()

    def set_frames(self, vertices: np.ndarray) -> None:
        """Show the frames of :func:`frame_vertices`."""
        count = len(vertices) // 8
        self._count = count
        if count:
            self._buffer.set_data(vertices)
            if count != self._capacity:
                self._index_buffer.set_data(frame_indices(count))
                self._capacity = count
        self.update()

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = view.get_transform()

    def _prepare_draw(self, view: Any) -> bool | None:
        if self._count == 0:
            return False
        width, height = view.transforms.canvas.size if view.transforms.canvas is not None else (1, 1)
        view.view_program["u_size"] = (float(max(1, width)), float(max(1, height)))
        return None

    def _compute_bounds(self, axis: int, view: Any) -> tuple[float, float] | None:
        return None


Frames = create_visual_node(FramesVisual)
