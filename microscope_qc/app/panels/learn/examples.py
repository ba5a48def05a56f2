"""Places that the model does not learn from, with what is there and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.panels.learn.boxes import GAP, draw_box, draw_words, fitting_cells, words_at
from microscope_qc.workflows.learning.request import ExamplePicture

_LABEL = 16
_SMALLEST = 120


@dataclass(frozen=True, slots=True)
class ShownExample:
    """A place with its pixels."""

    picture: ExamplePicture
    image: QImage


class ExampleGrid(QWidget):
    """A grid of places: what is there in the colour of its class, what the model finds dashed in white."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.examples: list[ShownExample] = []
        self._codes: list[str] = []
        self._colours: Mapping[str, str] = {}
        self.setMinimumHeight(_SMALLEST + _LABEL + 2 * GAP)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Qt: three beside each other."""
        return QSize(3 * (_SMALLEST + GAP), 2 * (_SMALLEST + _LABEL + GAP))

    def show_examples(self, examples: Sequence[ShownExample], codes: Sequence[str], colours: Mapping[str, str]) -> None:
        """Show other places; ``colours`` are those of classes by their codes."""
        self.examples, self._codes, self._colours = list(examples), list(codes), colours
        self.update()

    def cells(self) -> list[QRectF]:
        """Where each picture is: as large as they all fit."""
        return fitting_cells(QSizeF(self.size()), len(self.examples), below=_LABEL)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for example, cell in zip(self.examples, self.cells(), strict=False):
            self._draw(painter, example, cell)
        painter.end()

    def _draw(self, painter: QPainter, example: ShownExample, cell: QRectF) -> None:
        image, picture, colours = example.image, example.picture, theme.current()
        scale = min(cell.width() / max(1, image.width()), cell.height() / max(1, image.height()))
        place = QRectF(cell.left(), cell.top(), image.width() * scale, image.height() * scale)
        painter.drawImage(place, image)
        for y0, x0, y1, x1, label, *_ in picture.truth:
            code = self._code(label)
            box = QRectF(place.left() + x0 * scale, place.top() + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale)
            draw_box(painter, box, QColor(self._colours.get(code, colours.accent)), code, within=place)
        taken: list[QRectF] = []  # where words are, those of the most confident first
        for y0, x0, y1, x1, label, confidence, *_ in picture.found:
            box = QRectF(place.left() + x0 * scale, place.top() + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale)
            painter.setPen(QPen(QColor(0, 0, 0, 190), 3))
            painter.drawRect(box)
            painter.setPen(QPen(QColor("#ffffff"), 1.5, Qt.PenStyle.DashLine))
            painter.drawRect(box)
            said = f"{self._code(label)} {confidence:.2f}"
            at = words_at(painter, box.bottomLeft() + QPointF(2, -4), said, within=place)
            if not any(at.intersects(other) for other in taken):
                taken.append(at)
                draw_words(painter, at.bottomLeft(), said, QColor("#ffffff"))
        painter.setPen(QColor(colours.quiet))
        below = QRectF(cell.left(), place.bottom() + 1, cell.width(), _LABEL)
        name = painter.fontMetrics().elidedText(picture.name, Qt.TextElideMode.ElideMiddle, int(cell.width()))
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, name)

    def _code(self, label: float) -> str:
        return self._codes[int(label)] if 0 <= int(label) < len(self._codes) else ""
