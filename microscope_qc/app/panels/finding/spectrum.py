"""The spectrum behind a composition: counts by energy, with the lines of the elements at their peaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from microscope_qc.app.base import theme
from microscope_qc.core.wording import count_text
from microscope_qc.core.xray_lines import XrayLine, lines_within
from microscope_qc.core.xray_spectrum import XraySpectrum, peaks_at

HEIGHT, _LEFT, _BOTTOM, _TOP = 132, 4, 18, 30
_EMPTY_END = 1.05
"""The axis ends where the counts do, but shows this much more than the last line that is named."""
_LABEL_GAP = 3
_SHOWN = 0.98
"""Part of the counts that is shown in any case; behind it there is little but background."""


class SpectrumView(QWidget):
    """A small plot; the names of lines stand above their peaks where there is room, the strongest peaks first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spectrum: XraySpectrum | None = None
        self.lines: list[XrayLine] = []
        self.named: list[XrayLine] = []
        """Lines whose names had room when it was drawn last."""
        self.logarithmic = False
        self._high_ev = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    def show_spectrum(self, spectrum: XraySpectrum | None, elements: Sequence[str] = ()) -> None:
        """Show counts and the lines of some elements; None shows nothing."""
        self.spectrum, self.lines = spectrum, []
        self.setVisible(spectrum is not None)
        if spectrum is not None:
            self._high_ev = _end_of(spectrum)
            low = max(spectrum.first_ev, 50.0)
            self.lines = lines_within(elements, low, spectrum.last_ev, kv=spectrum.kv)
            if self.lines:
                self._high_ev = min(max(self._high_ev, self.lines[-1].energy_ev * _EMPTY_END), spectrum.last_ev)
            words = ", ".join(f"{line.words} {line.energy_ev / 1000:.2f} keV" for line in self.lines)
            self.setAccessibleName(f"{spectrum.words}. {words}".strip())
        self.update()

    def set_logarithmic(self, on: bool) -> None:
        """Draw the logarithm of the counts, which shows weak peaks."""
        self.logarithmic = on
        self.update()

    def sizeHint(self) -> QSize:
        """Qt: as high as is needed."""
        return QSize(200, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Qt: as high as is needed."""
        return QSize(140, HEIGHT)

    def _scaled(self, counts: np.ndarray) -> np.ndarray:
        counts = np.maximum(counts, 0.0)
        return np.log10(1 + counts) if self.logarithmic else counts

    def _x(self, energy_ev: float) -> float:
        assert self.spectrum is not None
        low = max(self.spectrum.first_ev, 0.0)
        return _LEFT + (energy_ev - low) / max(self._high_ev - low, 1e-9) * (self.width() - 2 * _LEFT)

    def _energy(self, x: float) -> float:
        assert self.spectrum is not None
        low = max(self.spectrum.first_ev, 0.0)
        return low + (x - _LEFT) / max(self.width() - 2 * _LEFT, 1) * (self._high_ev - low)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the counts and the names of the lines."""
        if self.spectrum is None:
            return
        colours, painter = theme.current(), QPainter(self)
        base, room = self.height() - _BOTTOM, self.height() - _BOTTOM - _TOP
        columns, tops = self._columns()
        highest = max(float(tops.max(initial=0.0)), 1e-9)
        shape = QPolygonF([QPointF(_LEFT, base)])
        for column, top in zip(columns, tops, strict=True):
            shape.append(QPointF(column, base - room * top / highest))
        shape.append(QPointF(float(columns[-1]) if len(columns) else _LEFT, base))
        painter.setPen(QPen(QColor(colours.accent), 1))
        fill = QColor(colours.accent)
        fill.setAlpha(60)
        painter.setBrush(fill)
        painter.drawPolygon(shape)
        self._draw_lines(painter, columns, tops, highest)
        self._draw_axis(painter, base)
        painter.end()

    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the screen and the highest count in each, so that no peak falls between two of them."""
        assert self.spectrum is not None
        counts, energies = np.asarray(self.spectrum.counts, float), self.spectrum.energies_ev
        shown = (energies >= max(self.spectrum.first_ev, 0.0)) & (energies <= self._high_ev)
        places = np.array([self._x(float(energy)) for energy in energies[shown]]).round().astype(int)
        columns = np.unique(places)
        tops = np.zeros(len(columns))
        np.maximum.at(tops, np.searchsorted(columns, places), self._scaled(counts[shown]))
        return columns, tops

    def _draw_lines(self, painter: QPainter, columns: np.ndarray, tops: np.ndarray, highest: float) -> None:
        colours, metrics = theme.current(), painter.fontMetrics()
        base, room = self.height() - _BOTTOM, self.height() - _BOTTOM - _TOP
        heights = [self._height_at(line.energy_ev, columns, tops) for line in self.lines]
        strength = [] if self.spectrum is None else peaks_at(self.spectrum, [line.energy_ev for line in self.lines])
        taken: list[QRectF] = []
        self.named = []
        for place in sorted(range(len(self.lines)), key=lambda n: -strength[n]):
            line, x = self.lines[place], self._x(self.lines[place].energy_ev)
            top = base - room * heights[place] / highest
            wide, high = metrics.horizontalAdvance(line.words), metrics.height()
            left = min(max(x - wide / 2, 0.0), self.width() - wide)
            spot = QRectF(left, max(top - high - _LABEL_GAP, 0.0), wide, high)
            painter.setPen(QPen(QColor(colours.quiet), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(x, top), QPointF(x, base))
            if any(spot.intersects(other) for other in taken):
                continue
            taken.append(spot.adjusted(-2, 0, 2, 0))
            self.named.append(line)
            painter.setPen(QColor(colours.text))
            painter.drawText(spot, Qt.AlignmentFlag.AlignCenter, line.words)

    def _height_at(self, energy_ev: float, columns: np.ndarray, tops: np.ndarray) -> float:
        near = np.abs(columns - self._x(energy_ev)) <= 2
        return float(tops[near].max(initial=0.0))

    def _draw_axis(self, painter: QPainter, base: int) -> None:
        colours = theme.current()
        painter.setPen(QColor(colours.quiet))
        painter.drawLine(_LEFT, base, self.width() - _LEFT, base)
        step = _step_of(self._high_ev / 1000, self.width() // 60)
        for number in range(int(self._high_ev / 1000 / step) + 1):
            x = self._x(number * step * 1000)
            if x < 0:
                continue
            painter.drawLine(QPointF(x, base), QPointF(x, base + 3))
            words = f"{number * step:g} keV" if number == 0 else f"{number * step:g}"
            wide = painter.fontMetrics().horizontalAdvance(words)
            left = min(max(x - wide / 2, 0.0), self.width() - wide)
            painter.drawText(QRectF(left, base + 3, wide, _BOTTOM - 3), Qt.AlignmentFlag.AlignCenter, words)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: say energy and counts, and which lines lie there."""
        if self.spectrum is not None:
            QToolTip.showText(event.globalPosition().toPoint(), self.words_at(event.position().x()), self)

    def words_at(self, x: float) -> str:
        """What lies at a column of the plot."""
        if self.spectrum is None:
            return ""
        energy = self._energy(x)
        place = round((energy - self.spectrum.first_ev) / self.spectrum.step_ev)
        if not 0 <= place < len(self.spectrum.counts):
            return ""
        counts = self.spectrum.counts[place]
        number = count_text(int(counts)) if counts == int(counts) else f"{counts:.4g}"
        near = [line.words for line in self.lines if abs(self._x(line.energy_ev) - x) <= 4]
        return f"{energy / 1000:.3f} keV: {number}" + (f"\n{', '.join(near)}" if near else "")


def _end_of(spectrum: XraySpectrum) -> float:
    """Energy behind which there is hardly anything: the last channels of a wide spectrum are mostly empty."""
    counts = np.maximum(np.asarray(spectrum.counts, float), 0.0)
    sums = np.cumsum(counts)
    if not sums[-1]:
        return spectrum.last_ev
    place = int(np.searchsorted(sums, _SHOWN * sums[-1]))
    return min(spectrum.first_ev + spectrum.step_ev * (place + 1), spectrum.last_ev)


def _step_of(range_kev: float, most: int) -> float:
    """Distance of the numbers of the axis: 1, 2 or 5 times a power of ten, so that there are not too many."""
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
        if range_kev / step <= max(most, 1):
            return step
    return 20.0
