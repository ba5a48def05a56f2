"""A plot that was drawn elsewhere: says what is under the mouse, and which of its bars or dots is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QToolTip, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link

if TYPE_CHECKING:
    from microscope_qc.reports.marked import Picture
    from microscope_qc.reports.plot_values import Plot

REACH_PX = 4.0
"""A thin bar or a small dot is hit this far beside it, too."""
_STEPS = {
    Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1,
}  # fmt: skip
_PRESS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


def chart_image(picture: Picture, *, ratio: float = 1.0) -> QImage:
    """Return the pixels of a plot as a picture of their own."""
    height, width = picture.pixels.shape[:2]
    image = QImage(picture.pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
    image.setDevicePixelRatio(ratio)
    return image


class ChartView(QWidget):
    """Shows a plot; a click, or Enter after the arrow keys, chooses a bar, bin or dot.

    ``redraw_requested`` asks for the plot in another size or other colours, see :attr:`pixels_wanted`.
    """

    chosen = Signal(str)  # key of a mark
    copy_requested = Signal()
    redraw_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(320, 180)
        self.plot: Plot | None = None
        self._image = QImage()
        self._places: dict[str, QRectF] = {}
        self.current = ""
        self._under_mouse = ""
        link(self, theme.SWITCH.switched, self._on_theme_switched)

    def _on_theme_switched(self) -> None:
        self.redraw_requested.emit()

    def sizeHint(self) -> QSize:
        """Qt: room for a plot with its legend."""
        return QSize(760, 400)

    @property
    def pixels_wanted(self) -> tuple[int, int, float]:
        """Width and height in pixels of the screen, and pixels of it for one of the widget."""
        ratio = self.devicePixelRatioF()
        return max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio)), ratio

    @property
    def keys(self) -> list[str]:
        """Keys of all bars, bins and dots, as they are drawn."""
        return list(self._places)

    def place_of(self, key: str) -> QPoint:
        """The middle of a bar, bin or dot."""
        return self._places[key].center().toPoint()

    def show_plot(self, plot: Plot, picture: Picture) -> None:
        """Show a plot; the bar that was chosen stays chosen where it shows the same."""
        same = self.plot is not None and self.current and _says_the_same(self.plot, plot, self.current)
        ratio = self.devicePixelRatioF()
        self.plot, self._image = plot, chart_image(picture, ratio=ratio)
        self._places = {
            key: QRectF(QPointF(left / ratio, top / ratio), QPointF(right / ratio, bottom / ratio))
            for key, (left, top, right, bottom) in picture.places.items()
        }
        if not same:
            self.current = ""
        self._under_mouse = ""
        self.setAccessibleName(plot.title)
        self.setAccessibleDescription(plot.why_not or " ".join(plot.notes))
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.plot, self._image, self._places, self.current = None, QImage(), {}, ""
        self.update()

    # -- what the user does ------------------------------------------------------------------------------------------

    def key_at(self, at: QPointF) -> str:
        """The bar, bin or dot at a place, "" for none."""
        for key in reversed(self._places):
            if self._places[key].contains(at):
                return key
        near = [
            key for key, box in self._places.items()
            if box.adjusted(-REACH_PX, -REACH_PX, REACH_PX, REACH_PX).contains(at)
        ]  # fmt: skip
        return near[-1] if near else ""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose what is there."""
        key = self.key_at(event.position()) if event.button() == Qt.MouseButton.LeftButton else ""
        if key:
            self._choose(key)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: outline what a click would choose."""
        key = self.key_at(event.position())
        if key != self._under_mouse:
            self._under_mouse = key
            self.setCursor(Qt.CursorShape.PointingHandCursor if key else Qt.CursorShape.ArrowCursor)
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: nothing is under the mouse."""
        self._under_mouse = ""
        self.update()
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: arrows step from bar to bar, Enter chooses, Ctrl C copies."""
        keys, key = self.keys, Qt.Key(event.key())
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_requested.emit()
        elif (
            keys
            and key in _STEPS
            and event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        ):
            at = keys.index(self.current) + _STEPS[key] if self.current in keys else 0
            self.current = keys[at % len(keys)]
            self.setAccessibleDescription(self._tip(self.current))
            QToolTip.showText(self.mapToGlobal(self.place_of(self.current)), self._tip(self.current), self)
            self.update()
        elif self.current and key in _PRESS:
            self._choose(self.current)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Qt: tips of bars; keys that the window would take otherwise."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            key = self.key_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), self._tip(key) if key else "", self)
            return True
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            own = Qt.Key(event.key()) in (*_STEPS, *_PRESS) and not event.modifiers()
            if own or event.matches(QKeySequence.StandardKey.Copy):
                event.accept()
                return True
        return bool(super().event(event))

    def _choose(self, key: str) -> None:
        self.current = key
        self.update()
        self.chosen.emit(key)

    def _tip(self, key: str) -> str:
        return "" if self.plot is None else self.plot.mark(key).tip

    # -- painting ----------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the plot is drawn again for the new size."""
        super().resizeEvent(event)
        self.redraw_requested.emit()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Qt: the plot, and outlines of what is chosen and what is under the mouse."""
        painter = QPainter(self)
        colours = theme.current()
        painter.fillRect(self.rect(), QColor(colours.base))
        if not self._image.isNull():
            painter.drawImage(0, 0, self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for key, colour, wide in ((self._under_mouse, colours.text, 1.0), (self.current, colours.accent, 2.0)):
            if key in self._places:
                painter.setPen(QPen(QColor(colour), wide))
                painter.drawRect(self._places[key].adjusted(-1.5, -1.5, 1.5, 1.5))
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours.accent), 1.0))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))


def _says_the_same(one: Plot, other: Plot, key: str) -> bool:
    """Whether a mark of two plots stands for the same."""
    there = {known: (series.name, mark.at) for known, series, mark in other.marks()}
    before = {known: (series.name, mark.at) for known, series, mark in one.marks()}
    return one.name == other.name and key in there and there[key] == before.get(key)
