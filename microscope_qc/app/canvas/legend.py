"""What colours and lines on the canvas mean: a small legend in its corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QToolButton, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.base.turns import Later

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.defect_class import DefectClass

MOST = 12
WIDEST = 250
EDGE = 12
SWATCH = 22
FOLD = 22
LARGEST_SHARE = 1 / 8
"""Of the canvas: a larger legend is folded until the user unfolds it."""
LATER_MS = 200
"""The classes present are looked up at most this often while findings change."""
STATES = (("confirmed", Qt.PenStyle.SolidLine, 2.0), ("unreviewed", Qt.PenStyle.DashLine, 2.0))
REJECTED = (("rejected", Qt.PenStyle.SolidLine, 1.0),)
SUGGESTED = (("suggested", Qt.PenStyle.DotLine, 2.0),)
DASHES = {Qt.PenStyle.DashLine: [2.6, 1.9], Qt.PenStyle.DotLine: [1.0, 1.0]}


class Legend(QWidget):
    """Colours, codes and names of the classes that are shown, and the lines of the three states.

    The mouse goes through it, but not through the button in its corner that folds it.
    """

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._session = session
        self.wanted = False
        self._folded: bool | None = None
        self.fold_button = QToolButton(parent)
        self.fold_button.setFixedSize(FOLD, FOLD)
        self.fold_button.setIconSize(QSize(FOLD - 6, FOLD - 6))
        self.fold_button.setCursor(Qt.CursorShape.ArrowCursor)
        self.fold_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.fold_button.clicked.connect(lambda: self.set_folded(not self.folded))
        self.fold_button.hide()
        self.classes: list[DefectClass] = []
        self.more = 0
        self._drawn = QPixmap()
        self._drawn_key: tuple[object, ...] = ()
        self._later = Later(self, self.look_up, after_ms=LATER_MS)
        for signal in (session.boxes_changed, session.filter_changed, session.classes_changed, session.slide_changed,
                       session.suggested.changed):  # fmt: skip
            link(self, signal, self._look_up_later)
        self.hide()

    def set_wanted(self, wanted: bool) -> None:
        """Show or hide the legend."""
        self.wanted = wanted
        self.look_up()

    def set_folded(self, folded: bool | None) -> None:
        """Leave only the button that unfolds it; None: where the legend would cover much of the canvas."""
        self._folded = folded
        self.look_up()

    @property
    def folded(self) -> bool:
        """Whether only the button is left."""
        parent = self.parentWidget()
        if self._folded is not None or parent is None:
            return bool(self._folded)
        size = self.sizeHint()
        return size.width() * size.height() > LARGEST_SHARE * parent.width() * parent.height()

    def look_up(self) -> None:
        """Look up which classes are shown."""
        session = self._session
        known: list[DefectClass] = []
        if self.wanted and session.slide is not None:
            present = session.shown.class_counts()
            known = [item for item in session.classes if item.id in present]
        self.more = max(0, len(known) - MOST)
        self.classes = known[:MOST]
        self.place()
        self.update()

    def place(self) -> None:
        """Move to the lower right corner: the map is above it, the scale bar on the left."""
        parent, folded = self.parentWidget(), self.folded
        self.setVisible(bool(self.classes) and not folded)
        self.fold_button.setVisible(bool(self.classes))
        self.fold_button.setIcon(theme.icon("map-legend" if folded else "chevron-down"))
        self.fold_button.setToolTip("Show the legend" if folded else "Fold the legend")
        size = self.sizeHint()
        self.resize(size)
        if parent is not None:
            self.move(parent.width() - size.width() - EDGE, parent.height() - size.height() - EDGE)
            corner = self.geometry().topRight()
            if folded:
                corner = QPoint(parent.width() - EDGE, parent.height() - EDGE - FOLD)
            self.fold_button.move(corner + QPoint(-FOLD - 3, 0 if folded else 3))
            self.fold_button.raise_()

    def sizeHint(self) -> QSize:
        """Qt: large enough for its text."""
        metrics = QFontMetricsF(self._font())
        words = [f"{item.code}  {item.name}" for item in self.classes] + [name for name, _, _ in STATES]
        width = max((metrics.horizontalAdvance(text) for text in words), default=0) + SWATCH + 32
        lines = len(self.classes) + bool(self.more) + len(self._lines())
        return QSize(round(min(width, WIDEST)), round(lines * self._line() + 22))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw, from a pixmap, since every frame of the canvas below asks for it."""
        key = (
            tuple(self.classes),
            self.more,
            len(self._lines()),
            self.size(),
            theme.current(),
            self.devicePixelRatioF(),
            self._font(),
        )
        if key != self._drawn_key:
            self._drawn, self._drawn_key = self._draw(), key
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._drawn)
        painter.end()

    def _draw(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap(self.size() * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        colours = theme.current()
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(colours.base)
        ground.setAlpha(226)
        painter.setBrush(ground)
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        font = self._font()
        bold = QFont(font)
        bold.setWeight(QFont.Weight.DemiBold)
        y = 8.0
        for item in self.classes:
            painter.setPen(QPen(QColor(0, 0, 0, 140), 1))
            painter.setBrush(QColor(item.colour))
            painter.drawRoundedRect(QRectF(10, y + self._line() / 2 - 5, SWATCH - 8, 10), 2, 2)
            left = self._words(painter, bold, colours.text, SWATCH + 8, y, item.code) + 7
            self._words(painter, font, colours.quiet, left, y, item.name)
            y += self._line()
        if self.more:
            self._words(painter, font, colours.quiet, SWATCH + 8, y, f"and {self.more} more")
            y += self._line()
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.drawLine(QPointF(10, y + 3), QPointF(self.width() - 10, y + 3))
        y += 6
        grey = QColor("#9a9a9a")
        for name, style, width in self._lines():
            pen = QPen(grey if name == "rejected" else QColor(colours.text), width, style, Qt.PenCapStyle.FlatCap)
            if style in DASHES:
                pen.setDashPattern(DASHES[style])
            painter.setPen(pen)
            middle = round(y + self._line() / 2)
            painter.drawLine(QPointF(10, middle), QPointF(SWATCH + 2, middle))
            self._words(painter, font, colours.quiet, SWATCH + 8, y, name)
            y += self._line()
        painter.end()
        return pixmap

    def _words(self, painter: QPainter, font: QFont, colour: str, x: float, y: float, words: str) -> float:
        """Draw a text, elided if it does not fit; returns its right end."""
        metrics = QFontMetricsF(font)
        text = metrics.elidedText(words, Qt.TextElideMode.ElideRight, max(0.0, self.width() - x - 10))
        painter.setFont(font)
        painter.setPen(QColor(colour))
        painter.drawText(QPointF(x, y + (self._line() + metrics.ascent() - metrics.descent()) / 2), text)
        return x + metrics.horizontalAdvance(text)

    def _lines(self) -> tuple[tuple[str, Qt.PenStyle, float], ...]:
        """What the lines around boxes mean; dotted only where something is suggested."""
        return (*STATES, *REJECTED, *(SUGGESTED if len(self._session.suggested) else ()))

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(8.0, font.pointSizeF() - 1))
        return font

    def _line(self) -> float:
        return QFontMetricsF(self._font()).height() + 3

    def _look_up_later(self, *_: object) -> None:
        if self.wanted:
            self._later.soon()
