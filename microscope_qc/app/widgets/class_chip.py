"""Small pictures and short codes of classes."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap


def suggest_code(name: str, taken: set[str]) -> str:
    """Short code for a name: initials of three words, else the first letters; with a number if that is taken.

    ``"Anode hollow space"`` -> ``"AHS"``, ``"Scratch"`` -> ``"SCR"``.
    """
    words = re.findall(r"\w+", name.upper())
    if not words:
        return ""
    code = "".join(word[0] for word in words[:3]) if len(words) >= 3 else (
        words[0][0] + words[1][:2] if len(words) == 2 else words[0][:3]
    )  # fmt: skip
    candidate, number = code, 2
    while candidate in taken:
        candidate, number = f"{code}{number}", number + 1
    return candidate


def short_key(key: str) -> str:
    """The key of a class where there is little room: ``"Shift+1"`` -> ``"⇧1"``."""
    return key.replace("Shift+", "⇧")


def chip_icon(colour: str) -> QIcon:
    """The chip as an icon that looks the same in a selected row, where Qt would tint it."""
    chip = colour_chip(colour)
    icon = QIcon(chip)
    for mode in (QIcon.Mode.Selected, QIcon.Mode.Disabled):
        icon.addPixmap(chip, mode)
    return icon


def colour_chip(colour: str, side_px: int = 14) -> QPixmap:
    """A rounded square in a class's colour."""
    pixmap = QPixmap(side_px * 2, side_px * 2)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(colour))
    painter.setPen(QColor(0, 0, 0, 90))
    painter.drawRoundedRect(1, 1, side_px - 2, side_px - 2, 3, 3)
    painter.end()
    return pixmap


def colour_icon(colour: str, side: int = 12) -> QIcon:
    """A small square of a class colour with a dark rim."""
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setPen(QColor(0, 0, 0, 150))
    painter.setBrush(QColor(colour))
    painter.drawRoundedRect(0, 0, side - 1, side - 1, 2, 2)
    painter.end()
    return QIcon(pixmap)
