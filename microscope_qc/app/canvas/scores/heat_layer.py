"""The score map over the slide: coloured cells between the slide and the boxes, and their colour scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QLinearGradient, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget
from vispy.gloo import Texture2D, VertexBuffer
from vispy.scene.visuals import create_visual_node

from microscope_qc.app.base import theme
from microscope_qc.app.base.score_colours import STEPS, scale_colours
from microscope_qc.app.canvas.screen_visual import TWO_TRIANGLES, ScreenVisual

if TYPE_CHECKING:
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.canvas.view import View
    from microscope_qc.app.session.score_map import Bounds, ScoreMap, ScorePicture

ORDER = 900_000
"""Above every picture, below the boxes."""
MOST_PARTS = 4
SCALE_POINTS = 132
EDGE = 12
ABOVE_SCALE_BAR = 64

VERTEX_DTYPE = np.dtype([("a_place", "f4", 2), ("a_cell", "f4", 2)])
VERTEX_SHADER = """
attribute vec2 a_place;
attribute vec2 a_cell;
uniform vec2 u_size;
varying vec2 v_cell;
void main() {
    gl_Position = vec4(2.0 * a_place.x / u_size.x, -2.0 * a_place.y / u_size.y, 0.0, 1.0);
    v_cell = a_cell;
}
"""
FRAGMENT_SHADER = """
uniform sampler2D u_texture;
uniform vec2 u_texture_size;
uniform float u_strength;
varying vec2 v_cell;
void main() {
    vec4 colour = texture2D(u_texture, v_cell / u_texture_size);
    gl_FragColor = vec4(colour.rgb, colour.a * u_strength);
}
"""


class ScoresVisual(ScreenVisual):
    """Cells as one texture, drawn in up to four rectangles."""

    def __init__(self) -> None:
        ScreenVisual.__init__(self, VERTEX_SHADER, FRAGMENT_SHADER)
        self._draw_mode = "triangles"
        self._count = 0
        self._texture = Texture2D(np.zeros((1, 1, 4), np.uint8), interpolation="nearest", internalformat="rgba8")
        self._buffer = VertexBuffer(np.zeros(6 * MOST_PARTS, VERTEX_DTYPE))
        self.shared_program.bind(self._buffer)
        self.shared_program["u_texture"] = self._texture
        self.shared_program["u_texture_size"] = (1.0, 1.0)
        self.shared_program["u_strength"] = 0.5
        self.set_gl_state("translucent", depth_test=False, cull_face=False)
        self.freeze()

    def set_cells(self, pixels: np.ndarray) -> None:
        """Show other cells, (rows, columns, 4) uint8."""
        self._texture.set_data(np.ascontiguousarray(pixels))
        self.shared_program["u_texture_size"] = (float(pixels.shape[1]), float(pixels.shape[0]))
        self.update()

    def set_strength(self, strength: float) -> None:
        """Set the opacity of the cells."""
        self.shared_program["u_strength"] = float(strength)
        self.update()

    def set_parts(self, places: np.ndarray, cells: np.ndarray) -> None:
        """Set rectangles (N, 4) left, top, right, bottom from the middle of the canvas, and the cells they show."""
        vertices = np.zeros((MOST_PARTS, 6), VERTEX_DTYPE)
        for corner, (x, y) in enumerate(TWO_TRIANGLES):
            for name, sides in (("a_place", places), ("a_cell", cells)):
                vertices[name][: len(sides), corner, 0] = sides[:, x]
                vertices[name][: len(sides), corner, 1] = sides[:, y]
        self._buffer.set_subdata(vertices.reshape(-1))
        self._count = len(places)
        self.update()

    def _prepare_frame(self, view: Any) -> bool:
        return self._count > 0


Scores = create_visual_node(ScoresVisual)


def parts_around(outer: Bounds, inner: Bounds | None) -> list[Bounds]:
    """Rectangles y0, x0, y1, x1 that cover ``outer`` without ``inner``."""
    if inner is None:
        return [outer]
    y0, x0 = max(outer[0], inner[0]), max(outer[1], inner[1])
    y1, x1 = min(outer[2], inner[2]), min(outer[3], inner[3])
    if y0 >= y1 or x0 >= x1:
        return [outer]
    around = [
        (outer[0], outer[1], y0, outer[3]), (y0, outer[1], y1, x0), (y0, x1, y1, outer[3]),
        (y1, outer[1], outer[2], outer[3]),
    ]  # fmt: skip
    return [part for part in around if part[2] > part[0] and part[3] > part[1]]


def placed(picture: ScorePicture, parts: list[Bounds], view: View) -> tuple[np.ndarray, np.ndarray]:
    """Positions of parts of a slide on screen, and the cells they show; clipped to the view.

    Single precision far off the screen would shift the cells on it.
    """
    cut = [(max(a, e), max(b, f), min(c, g), min(d, h)) for a, b, c, d in parts for e, f, g, h in [view.bounds]]
    seen = np.array([part for part in cut if part[2] > part[0] and part[3] > part[1]]).reshape(-1, 4)
    sides = seen[:, [1, 0, 3, 2]]  # x before y
    places = (sides - np.array([view.x, view.y] * 2)) * view.zoom
    y, x = picture.origin_px
    cells = (sides - np.array([x, y] * 2)) / np.array([picture.cell_px[1], picture.cell_px[0]] * 2)
    return places, cells


class HeatLayer(QObject):
    """Draws a score map on a canvas, and its scale in the lower left corner."""

    def __init__(self, canvas: Canvas, scores: ScoreMap) -> None:
        super().__init__(canvas)
        self._canvas, self._scores = canvas, scores
        self._layers = [Scores(parent=canvas.picture.scene) for _ in range(2)]
        self._drawn: list[ScorePicture | None] = [None, None]
        for layer in self._layers:
            layer.order = ORDER
            layer.visible = False
        self.scale = ScoreScale(scores, canvas.picture.native)
        scores.changed.connect(self.refresh)
        canvas.view_changed.connect(self._on_view_changed)
        self._on_view_changed()
        self.refresh()

    def refresh(self) -> None:
        """Show the current scores."""
        scores = self._scores
        pictures = [scores.whole, scores.detail] if scores.shown else [None, None]
        for number, (layer, picture) in enumerate(zip(self._layers, pictures, strict=True)):
            layer.visible = picture is not None
            layer.set_strength(scores.strength)
            if picture is not None and picture is not self._drawn[number]:
                layer.set_cells(picture.pixels)
            self._drawn[number] = picture
        self._place()
        self.scale.refresh()
        self._canvas.picture.redraw()

    def _on_view_changed(self) -> None:
        view = self._canvas.view
        self._scores.set_view(view.bounds, view.zoom)
        if self._scores.shown:
            self._place()

    def _place(self) -> None:
        whole, detail = self._drawn
        view = self._canvas.view
        for layer, picture in zip(self._layers, (whole, detail), strict=True):
            if picture is not None:
                hole = detail.bounds_px if picture is whole and detail is not None else None
                layer.set_parts(*placed(picture, parts_around(picture.bounds_px, hole), view))


class ScoreScale(QWidget):
    """A small colour scale from the lowest to the highest score, and whose scores they are."""

    def __init__(self, scores: ScoreMap, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._scores = scores
        self.title = self.low = self.high = ""
        parent.installEventFilter(self)
        self.hide()

    def refresh(self) -> None:
        """Describe what is shown, or hide."""
        scores = self._scores
        self.setVisible(scores.shown)
        if not scores.shown:
            return
        named = scores.label is not None and scores.label < len(scores.classes)
        self.title = f"Score: {scores.classes[scores.label]}" if named and scores.label is not None else "Highest score"
        self.low, self.high = "0", f"{scores.top:g}"
        self.resize(self.sizeHint())
        self.place()
        self.raise_()
        self.update()

    def place(self) -> None:
        """Move to the lower left corner, above the scale bar."""
        parent = self.parentWidget()
        if parent is not None:
            self.move(EDGE, parent.height() - self.height() - ABOVE_SCALE_BAR)

    def sizeHint(self) -> QSize:
        """Qt: large enough for its text."""
        metrics = QFontMetricsF(self._font())
        width = max(SCALE_POINTS, metrics.horizontalAdvance(self.title), metrics.horizontalAdvance(_NOT_SCANNED) + 16)
        return QSize(round(min(width, 260)) + 20, round(3 * metrics.height() + 36))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: follow the size of the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.place()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        colours, font = theme.current(), self._font()
        metrics = QFontMetricsF(font)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(colours.base)
        ground.setAlpha(235)
        painter.setBrush(ground)
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        painter.setFont(font)
        left, right, y = 10.0, self.width() - 10.0, 7.0
        painter.setPen(QColor(colours.text))
        title = metrics.elidedText(self.title, Qt.TextElideMode.ElideRight, right - left)
        painter.drawText(QPointF(left, y + metrics.ascent()), title)
        y += metrics.height() + 5
        bar = QRectF(left, y, right - left, 10)
        gradient = QLinearGradient(bar.topLeft(), bar.topRight())
        for place in range(0, STEPS, 15):
            red, green, blue, _ = scale_colours()[place].tolist()
            gradient.setColorAt(place / (STEPS - 1), QColor(red, green, blue))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(gradient)
        painter.drawRect(bar)
        y += 12
        painter.setPen(QColor(colours.text))
        painter.drawText(QPointF(left, y + metrics.ascent()), self.low)
        painter.drawText(QPointF(right - metrics.horizontalAdvance(self.high), y + metrics.ascent()), self.high)
        y += metrics.height() + 3
        painter.setPen(QColor(colours.quiet))
        painter.drawText(QPointF(left, y + metrics.ascent()), _NOT_SCANNED)
        painter.end()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(8.0, font.pointSizeF() - 1))
        return font


_NOT_SCANNED = "no colour: not scanned"
