"""Tiles of a slide as textured rectangles from one large texture, in one draw call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from vispy.gloo import IndexBuffer, Texture2D, VertexBuffer
from vispy.scene.visuals import create_visual_node

from microscope_qc.app.canvas.screen_visual import ScreenVisual
from microscope_qc.slides.tile_cache import TILE_PX

VERTEX_DTYPE = np.dtype(
    [
        ("a_place", "f4", 2),  # screen points from the middle of the canvas, x to the right, y down
        ("a_texel", "f4", 2),  # position in the texture, in its pixels
        ("a_inside", "f4", 4),  # first x, y and last x, y that belong to the tile, in the texture's pixels
        ("a_whole", "f4"),  # 1 where single slide pixels are visible: they are drawn as squares
    ]
)

# positions are computed for the view in double precision and relative to its middle: 200,000 px away from the
# slide's corner single precision, through the scene's transform, is off by a screen pixel at the highest zoom
VERTEX_SHADER = """
attribute vec2 a_place;
attribute vec2 a_texel;
attribute vec4 a_inside;
attribute float a_whole;
uniform vec2 u_size;
varying vec2 v_texel;
varying vec4 v_inside;
varying float v_whole;
void main() {
    gl_Position = vec4(2.0 * a_place.x / u_size.x, -2.0 * a_place.y / u_size.y, 0.0, 1.0);
    v_texel = a_texel;
    v_inside = a_inside;
    v_whole = a_whole;
}
"""

FRAGMENT_SHADER = """
uniform sampler2D u_texture;
uniform vec2 u_texture_size;
uniform float u_opacity;
uniform vec3 u_background;
varying vec2 v_texel;
varying vec4 v_inside;
varying float v_whole;
void main() {
    vec2 texel = v_whole > 0.5 ? floor(v_texel) + 0.5 : v_texel;
    // half a pixel inside the tile, so that linear filtering never takes from the neighbour in the texture
    texel = clamp(texel, v_inside.xy + 0.5, v_inside.zw - 0.5);
    vec3 colour = texture2D(u_texture, texel / u_texture_size).rgb;
    gl_FragColor = vec4(mix(u_background, colour, u_opacity), 1.0);
}
"""


def tile_vertices(places: np.ndarray, corners: np.ndarray, sizes: np.ndarray, *, whole: np.ndarray) -> np.ndarray:
    """Vertices of tiles.

    Parameters
    ----------
    places
        (N, 4) left, top, right, bottom in screen points from the middle of the canvas.
    corners
        (N, 2) x, y of each tile's first pixel in the texture.
    sizes
        (N, 2) width and height of what is shown of each tile, in its pixels (may end within a pixel).
    whole
        (N,) whether pixels are drawn as squares.
    """
    vertices = np.zeros((len(places), 4), VERTEX_DTYPE)
    for corner, (i, j) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        vertices["a_place"][:, corner, 0] = places[:, 2 * i]
        vertices["a_place"][:, corner, 1] = places[:, 2 * j + 1]
        vertices["a_texel"][:, corner] = corners + sizes * (i, j)
    vertices["a_inside"][:, :, :2] = corners[:, None]
    vertices["a_inside"][:, :, 2:] = (corners + np.ceil(sizes))[:, None]
    vertices["a_whole"] = np.asarray(whole, np.float32)[:, None]
    return vertices.reshape(-1)


class TilesVisual(ScreenVisual):
    """Draws what ``prepare`` returns for every frame.

    Parameters
    ----------
    rows, columns
        Slots of the texture.
    prepare
        Called before every frame; returns vertices of :func:`tile_vertices`, or None if they have not changed.
    """

    def __init__(self, rows: int, columns: int, prepare: Callable[[], np.ndarray | None]) -> None:
        ScreenVisual.__init__(self, VERTEX_SHADER, FRAGMENT_SHADER)
        self._draw_mode = "triangles"
        self._prepare = prepare
        self._columns = columns
        self._count = 0
        capacity = rows * columns
        self._texture = Texture2D(
            (rows * TILE_PX, columns * TILE_PX, 3), format="rgb", internalformat="rgb8", interpolation="linear"
        )
        self._buffer = VertexBuffer(np.zeros(4 * capacity, VERTEX_DTYPE))
        two = np.array([[0, 1, 2], [0, 2, 3]], np.uint32)
        indices = two[None] + 4 * np.arange(capacity, dtype=np.uint32)[:, None, None]
        self._index_buffer = IndexBuffer(indices.reshape(-1, 3))
        program = self.shared_program
        program.bind(self._buffer)
        program["u_texture"] = self._texture
        program["u_texture_size"] = (float(columns * TILE_PX), float(rows * TILE_PX))
        program["u_opacity"] = 1.0
        program["u_background"] = (0.0, 0.0, 0.0)
        self.set_gl_state(depth_test=False, blend=False, cull_face=False)
        self.freeze()

    def corner(self, slot: int) -> tuple[int, int]:
        """x, y of a slot's first pixel in the texture."""
        return slot % self._columns * TILE_PX, slot // self._columns * TILE_PX

    def upload(self, slot: int, pixels: np.ndarray) -> None:
        """Put (h, w, 3) uint8 pixels into a slot; they reach the graphics card with the next frame."""
        x, y = self.corner(slot)
        self._texture.set_data(np.ascontiguousarray(pixels), offset=(y, x))

    def set_appearance(self, *, opacity: float, background: tuple[float, float, float]) -> None:
        """Set the opacity of the tiles and the colour behind them."""
        self.shared_program["u_opacity"] = float(opacity)
        self.shared_program["u_background"] = background

    def _prepare_frame(self, view: Any) -> bool:
        vertices = self._prepare()
        if vertices is not None:
            count = len(vertices) // 4
            room = np.zeros(4 * max(count, self._count), VERTEX_DTYPE)  # clears what was drawn before
            room[: len(vertices)] = vertices
            if len(room):
                self._buffer.set_subdata(room, 0)
            self._count = count
        return self._count > 0


Tiles = create_visual_node(TilesVisual)
