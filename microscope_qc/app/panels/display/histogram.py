"""The histogram with two limits that can be dragged."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from microscope_qc.app.base import theme
from microscope_qc.slides.histogram import Histogram

HANDLE = 7.0
"""Half the width of a handle on screen; a press anywhere takes the nearest one."""
FOOT = 16
BANDS = ("#c8423a", "#2c9a58", "#3a70c8")


class HistogramView(QWidget):
    """Counts on a logarithmic scale, the limits and the curve between them.

    ``limits_dragged`` carries black and white in pixel values, while the mouse moves.
    """

    limits_dragged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(112)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setToolTip("Drag the two limits: what is shown as black and as white")
        self._histogram: Histogram | None = None
        self._limits = (0.0, 1.0)
        self._gamma = 1.0
        self._axis = (0.0, 1.0)
        self._held: int | None = None
        self._words = ""

    def sizeHint(self) -> QSize:
        """Qt: the preferred size."""
        return QSize(240, 128)

    def say(self, words: str) -> None:
        """Show a sentence in place of a histogram."""
        self._histogram, self._words = None, words
        self.update()

    def set_histogram(self, histogram: Histogram) -> None:
        """Show the counts of a channel."""
        self._histogram = histogram
        self._fit_axis()
        self.update()

    def set_curve(self, limits: tuple[float, float], gamma: float) -> None:
        """Show other limits and another curve."""
        self._limits, self._gamma = limits, gamma
        if self._held is None:
            self._fit_axis()
        self.update()

    def _fit_axis(self) -> None:
        low, high = self._limits
        if self._histogram is not None:
            edges = self._histogram.edges
            low, high = min(low, float(edges[0])), max(high, float(edges[-1]))
        self._axis = (low, high if high > low else low + 1.0)

    # -- places ------------------------------------------------------------------------------------------------------

    @property
    def _plot(self) -> QRectF:
        return QRectF(self.rect()).adjusted(HANDLE + 1, 4, -HANDLE - 1, -FOOT)

    def place_of(self, value: float) -> float:
        """Position of a value, in points from the left edge."""
        plot, (low, high) = self._plot, self._axis
        return plot.left() + (value - low) / (high - low) * plot.width()

    def _value_at(self, place: float) -> float:
        plot, (low, high) = self._plot, self._axis
        share = min(max((place - plot.left()) / max(plot.width(), 1.0), 0.0), 1.0)
        value = low + share * (high - low)
        return float(round(value)) if self._histogram is not None and self._histogram.whole_numbers else value

    # -- Qt's events -------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: take the nearer limit."""
        if self._histogram is None or event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        low, high = (self.place_of(value) for value in self._limits)
        # if both are at the same place, the side of the mouse decides
        self._held = int(x > (low + high) / 2)
        self._drag(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: follow the mouse."""
        if self._held is not None:
            self._drag(event.position().x())
        near = any(abs(event.position().x() - self.place_of(value)) <= HANDLE for value in self._limits)
        self.setCursor(Qt.CursorShape.SizeHorCursor if near or self._held is not None else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: release the limit."""
        if self._held is not None:
            self._held = None
            self._fit_axis()
            self.update()

    def _drag(self, place: float) -> None:
        low, high = self._limits
        value = self._value_at(place)
        whole = self._histogram is not None and self._histogram.whole_numbers
        least = 1.0 if whole else (self._axis[1] - self._axis[0]) / 1000
        limits = (min(value, high - least), high) if self._held == 0 else (low, max(value, low + least))
        if limits != self._limits:
            self._limits = limits
            self.update()
            self.limits_dragged.emit(*limits)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        colours = theme.current()
        plot = self._plot
        painter.fillRect(plot, QColor(colours.base))
        if self._histogram is None:
            painter.setPen(QColor(colours.quiet))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._words)
        else:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_counts(painter, plot, colours)
            self._paint_limits(painter, plot, colours)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(plot.adjusted(-1, -1, 0, 0))
        painter.end()

    def _paint_counts(self, painter: QPainter, plot: QRectF, colours: theme.Colours) -> None:
        assert self._histogram is not None
        counts, edges = np.log1p(self._histogram.counts), self._histogram.edges
        highest = float(counts.max()) or 1.0
        places = np.array([self.place_of(edge) for edge in edges])
        single = len(counts) == 1
        dark = self.palette().color(QPalette.ColorRole.Window).lightness() < 128
        if not single:
            mode = QPainter.CompositionMode
            painter.setCompositionMode(mode.CompositionMode_Plus if dark else mode.CompositionMode_Multiply)
        for band, row in enumerate(counts):
            path = QPainterPath(QPointF(places[0], plot.bottom()))
            for place, following, value in zip(places[:-1], places[1:], row, strict=True):
                y = plot.bottom() - value / highest * (plot.height() - 6)
                path.lineTo(place, y)
                path.lineTo(following, y)
            path.lineTo(places[-1], plot.bottom())
            colour = QColor(colours.quiet if single else BANDS[band])
            colour.setAlpha(140)
            painter.fillPath(path, colour)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)

    def _paint_limits(self, painter: QPainter, plot: QRectF, colours: theme.Colours) -> None:
        low, high = (self.place_of(value) for value in self._limits)
        veil = QColor(colours.window)
        veil.setAlpha(150)
        for left, right in ((plot.left(), low), (high, plot.right())):
            if right > left:
                painter.fillRect(QRectF(left, plot.top(), right - left, plot.height()), veil)
        shares = np.linspace(0, 1, 33)
        curve = QPolygonF(
            [QPointF(low + s * (high - low), plot.bottom() - s**self._gamma * plot.height()) for s in shares]
        )
        painter.setPen(QPen(QColor(colours.accent), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(curve)
        for place, fill in ((low, "#000000"), (high, "#ffffff")):
            painter.setPen(QPen(QColor(colours.text), 1))
            painter.drawLine(QPointF(place, plot.top()), QPointF(place, plot.bottom()))
            painter.setBrush(QColor(fill))
            tip = QPointF(place, plot.bottom() + 2)
            painter.drawPolygon(QPolygonF([tip, tip + QPointF(HANDLE, 10), tip + QPointF(-HANDLE, 10)]))
