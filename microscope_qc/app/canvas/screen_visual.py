"""Base of the canvas's own visuals: they are placed in screen points, without the scene's transform."""

from __future__ import annotations

from typing import Any

from vispy.visuals import Visual

TWO_TRIANGLES = ((0, 1), (2, 1), (2, 3), (0, 1), (2, 3), (0, 3))
"""Corners (x, y) of a rectangle's two triangles, as indices into left, top, right, bottom."""


class ScreenVisual(Visual):  # type: ignore[misc]  # vispy has no types
    """Its vertex shader gets the canvas's width and height in screen points as ``u_size``."""

    def __init__(self, vertex_shader: str, fragment_shader: str) -> None:
        # by name, because a scene's node has more bases
        Visual.__init__(self, vertex_shader, fragment_shader)

    def _prepare_frame(self, view: Any) -> bool:
        """Prepare the next frame; returns whether there is anything to draw."""
        raise NotImplementedError

    def _prepare_transforms(self, view: Any) -> None:
        """Positions already are what the shader needs; the scene's transform is not used."""

    def _prepare_draw(self, view: Any) -> bool | None:
        if not self._prepare_frame(view):
            return False
        width, height = view.transforms.canvas.size if view.transforms.canvas is not None else (1, 1)
        view.view_program["u_size"] = (float(max(1, width)), float(max(1, height)))
        return None

    def _compute_bounds(self, axis: int, view: Any) -> tuple[float, float] | None:
        return None
