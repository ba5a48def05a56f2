"""Choosing the colour of a class: a colour-blind safe palette first, then any other colour."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from microscope_qc.app.base import theme
from microscope_qc.core.class_colours import PALETTE, class_colours

COLUMNS, SHOWN = 8, 24


class ColourButton(QPushButton):
    """Shows a colour; a click opens the palette. ``chosen`` carries ``#RRGGBB``."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoDefault(False)
        self.setIconSize(QSize(36, 14))
        self.setStyleSheet("text-align: left;")
        self.colour = PALETTE[0]
        self.swatches: list[QToolButton] = []
        self._used: Mapping[str, str] = {}
        menu = QMenu(self)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        column.setSpacing(theme.STEP)
        words = QLabel("Told apart by colour-blind people too")
        words.setProperty("quiet", True)
        column.addWidget(words)
        grid = QGridLayout()
        grid.setSpacing(2)
        for place, colour in enumerate(class_colours()[:SHOWN]):
            swatch = QToolButton()
            swatch.setIconSize(QSize(22, 22))
            swatch.clicked.connect(lambda _=False, colour=colour: self._choose(colour))
            grid.addWidget(swatch, place // COLUMNS, place % COLUMNS)
            self.swatches.append(swatch)
        column.addLayout(grid)
        self.other = QPushButton("Other colour…")
        self.other.setAutoDefault(False)
        self.other.clicked.connect(self._on_other_clicked)
        column.addWidget(self.other)
        action = QWidgetAction(menu)
        action.setDefaultWidget(page)
        menu.addAction(action)
        self.setMenu(menu)

    def show_colour(self, colour: str, used: Mapping[str, str]) -> None:
        """Show a colour; ``used`` maps the colours in use, ``#RRGGBB``, to their classes."""
        self.colour, self._used = colour, {key.upper(): code for key, code in used.items()}
        self.setIcon(_bar_icon(colour))
        self.setText(f" {colour.upper()}")
        for swatch, place in zip(self.swatches, class_colours(), strict=False):
            code = self._used.get(place.upper(), "")
            swatch.setIcon(_swatch_icon(place, chosen=place.upper() == colour.upper(), taken=bool(code)))
            swatch.setToolTip(f"{place}, used by {code}" if code else place)

    def _choose(self, colour: str) -> None:
        self.menu().hide()
        self.chosen.emit(colour)

    def _on_other_clicked(self) -> None:
        self.menu().hide()
        colour = QColorDialog.getColor(QColor(self.colour), self, "Colour of the class")
        if colour.isValid():
            self.chosen.emit(colour.name().upper())


def _bar_icon(colour: str) -> QIcon:
    picture = QPixmap(36, 14)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(colour))
    painter.setPen(QColor(0, 0, 0, 90))
    painter.drawRoundedRect(1, 1, 34, 12, 3, 3)
    painter.end()
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Disabled)
    return icon


def _swatch_icon(colour: str, *, chosen: bool, taken: bool) -> QIcon:
    picture = QPixmap(44, 44)
    picture.setDevicePixelRatio(2)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(colour))
    painter.setPen(QPen(QColor(theme.current().text), 2) if chosen else QPen(QColor(0, 0, 0, 90), 1))
    painter.drawRoundedRect(2, 2, 18, 18, 4, 4)
    if taken and not chosen:
        # a dot that is visible on every colour of the palette
        painter.setPen(QPen(QColor(0, 0, 0, 160), 1))
        painter.setBrush(QColor("#ffffff"))
        painter.drawEllipse(8, 8, 6, 6)
    painter.end()
    return QIcon(picture)
