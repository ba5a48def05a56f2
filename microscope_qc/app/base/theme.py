"""Light and dark theme, icons, and spacing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from psygnal import Signal
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QGuiApplication, QIcon, QIconEngine, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import QApplication, QWidget
from superqt.fonticon import icon as font_icon

STEP = 8
"""Spacing in pixels: layouts use multiples of it, and half of it within a row."""


@dataclass(frozen=True, slots=True)
class Colours:
    """Colours of one theme as #rrggbb."""

    window: str
    base: str
    alternate: str
    raised: str
    text: str
    quiet: str
    line: str
    accent: str
    on_accent: str
    warning: str
    error: str
    good: str
    canvas: str
    selected: str


LIGHT = Colours(
    window="#f3f4f6",
    base="#ffffff",
    alternate="#f7f8fa",
    raised="#e6e8ec",
    text="#1c1e21",
    quiet="#5f6670",
    line="#d3d6db",
    accent="#0067a8",
    on_accent="#ffffff",
    warning="#8a5a00",
    error="#b3261e",
    good="#1b7f4b",
    canvas="#d9dce1",
    selected="#cfe3f2",
)
DARK = Colours(
    window="#24272b",
    base="#1b1d20",
    alternate="#202327",
    raised="#34383e",
    text="#e6e8ea",
    quiet="#a0a7b0",
    line="#3d4249",
    accent="#4aa8e0",
    on_accent="#0c1116",
    warning="#f0b95b",
    error="#ff8a80",
    good="#6fd3a0",
    canvas="#16181a",
    selected="#2c4f68",
)


class Switch:
    """Says when another theme is in use: for what keeps a colour, as the items of a list do."""

    switched: ClassVar[Signal] = Signal()


SWITCH = Switch()


def is_dark(choice: str) -> bool:
    """Whether "system", "light" or "dark" means dark now."""
    if choice in {"light", "dark"}:
        return choice == "dark"
    hints = QGuiApplication.styleHints()
    return hints is not None and hints.colorScheme() == Qt.ColorScheme.Dark


def current() -> Colours:
    """Colours in use."""
    return DARK if QApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT


def apply_theme(app: QApplication, choice: str) -> Colours:
    """Apply a theme to the whole application."""
    colours = DARK if is_dark(choice) else LIGHT
    app.setStyle("Fusion")
    palette = _palette(colours)
    app.setPalette(palette)
    # check boxes and radio buttons would be as dark as their surroundings
    palette.setColor(QPalette.ColorRole.Base, QColor(colours.line if colours is DARK else colours.base))
    for kind in ("QCheckBox", "QRadioButton"):
        app.setPalette(palette, kind)  # type: ignore[arg-type,unused-ignore]  # it takes a str, despite its annotation
    app.setStyleSheet(_style_sheet(colours))
    SWITCH.switched.emit()
    return colours


def mark_error(widget: QWidget, wrong: bool = True) -> None:
    """Show the text of a widget in the colour of errors, or as usual."""
    if bool(widget.property("error")) != wrong:
        widget.setProperty("error", wrong)
        polish(widget)


def polish(widget: QWidget) -> None:
    """Apply the rules of the style sheet for a widget's properties, which Qt does not do when they change."""
    style = widget.style()
    if style is not None:
        style.unpolish(widget)
        style.polish(widget)


def icon(name: str, colour: str = "") -> QIcon:
    """An icon of the set, e.g. ``icon("content-copy")``; it follows the theme and is pale when disabled."""
    if not name:
        return QIcon()
    if (name, colour) not in _ICONS:
        engine = _ThemedEngine(name, colour)
        _ENGINES.append(engine)
        _ICONS[name, colour] = QIcon(engine)
    return _ICONS[name, colour]


def has_icon(name: str) -> bool:
    """Whether the icon set has an icon of this name."""
    from fonticon_mdi7 import MDI7

    return hasattr(MDI7, name.replace("-", "_"))


class _ThemedEngine(QIconEngine):
    """Paints a glyph in the colour of the current theme."""

    def __init__(self, name: str, colour: str) -> None:
        super().__init__()
        self._name, self._colour = name, colour
        self._made: dict[str, QIcon] = {}

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Qt: draw."""
        self._icon().paint(painter, rect, Qt.AlignmentFlag.AlignCenter, mode, state)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """Qt: the icon as a pixmap."""
        return self._icon().pixmap(size, mode, state)

    def clone(self) -> QIconEngine:
        """Qt: return a copy."""
        copy = _ThemedEngine(self._name, self._colour)
        _ENGINES.append(copy)
        return copy

    def _icon(self) -> QIcon:
        colours = current()
        colour = self._colour or colours.text
        key = f"{colour} {colours.quiet}"
        if key not in self._made:
            made = font_icon(f"mdi7.{self._name.replace('-', '_')}", color=colour)
            made.addState(mode=QIcon.Mode.Disabled, color=colours.quiet, opacity=0.45)
            self._made[key] = made
        return self._made[key]


_ICONS: dict[tuple[str, str], QIcon] = {}
_ENGINES: list[_ThemedEngine] = []  # kept here, because Python does not know of Qt's references to them


def _palette(c: Colours) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for which, colour in (
        (role.Window, c.window),
        (role.WindowText, c.text),
        (role.Base, c.base),
        (role.AlternateBase, c.alternate),
        (role.ToolTipBase, c.raised),
        (role.ToolTipText, c.text),
        (role.Text, c.text),
        (role.Button, c.raised),
        (role.ButtonText, c.text),
        (role.BrightText, c.error),
        (role.Link, c.accent),
        (role.Highlight, c.accent),
        (role.HighlightedText, c.on_accent),
        (role.PlaceholderText, c.quiet),
        (role.Mid, c.line),
        (role.Midlight, c.line),
        (role.Light, c.base),
        (role.Dark, c.line),
    ):
        palette.setColor(which, QColor(colour))
    faint = QColor(c.quiet)
    faint.setAlpha(140)
    for which in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, faint)
    return palette


def _style_sheet(c: Colours) -> str:
    return f"""
    QToolTip {{ color: {c.text}; background: {c.raised}; border: 1px solid {c.line}; padding: 4px 6px; }}
    QMainWindow::separator {{ background: {c.line}; width: 1px; height: 1px; }}
    QMainWindow::separator:hover {{ background: {c.accent}; }}
    QMenuBar {{ background: {c.window}; border-bottom: 1px solid {c.line}; padding: 2px 4px; }}
    QMenuBar::item {{ padding: 4px 8px; border-radius: 4px; background: transparent; }}
    QMenuBar::item:selected {{ background: {c.raised}; }}
    QMenu {{ background: {c.base}; border: 1px solid {c.line}; padding: 4px; }}
    QMenu::item {{ padding: 5px 24px 5px 8px; border-radius: 4px; }}
    QMenu::item:selected {{ background: {c.accent}; color: {c.on_accent}; }}
    QMenu::item:disabled {{ color: {c.quiet}; background: transparent; }}
    QToolButton[opinion="true"] {{ text-align: left; padding: 3px 2px; }}
    QToolButton[opinion="true"]:disabled {{ color: {c.text}; }}
    QMenu::icon {{ padding-left: 8px; }}
    QMenu::separator {{ height: 1px; background: {c.line}; margin: 4px 8px; }}
    QToolBar {{ background: {c.window}; border: none; border-bottom: 1px solid {c.line}; spacing: 2px;
        padding: 2px 8px; }}
    QToolBar::separator {{ background: {c.line}; width: 1px; margin: 4px 6px; }}
    QToolButton {{ border: none; border-radius: 4px; padding: 4px; }}
    QToolButton:hover {{ background: {c.raised}; }}
    QToolButton:checked {{ background: {c.accent}; color: {c.on_accent}; }}
    QDockWidget {{ font-weight: 600; }}
    QDockWidget::title {{ background: {c.window}; padding: 6px 8px; text-align: left; }}
    QDockWidget > QWidget {{ font-weight: normal; }}
    QStatusBar {{ background: {c.window}; border-top: 1px solid {c.line}; }}
    QStatusBar::item {{ border: none; }}
    QTabBar {{ font-weight: normal; }}
    QTabBar::tab {{ padding: 5px 12px; border: none; border-bottom: 2px solid transparent; background: {c.window}; }}
    QTabBar::tab:selected {{ border-bottom-color: {c.accent}; color: {c.text}; }}
    QTabBar::tab:!selected {{ color: {c.quiet}; }}
    QTabBar::tab:hover {{ background: {c.raised}; }}
    QAbstractItemView {{ border: none; outline: none; selection-background-color: {c.selected};
        selection-color: {c.text}; }}
    QHeaderView::section {{ background: {c.window}; color: {c.quiet}; border: none; border-bottom: 1px solid {c.line};
        padding: 4px 6px; }}
    QLineEdit, QPlainTextEdit, QTextEdit {{ border: 1px solid {c.line}; border-radius: 4px; padding: 3px 6px;
        background: {c.base}; }}
    QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus {{ border-color: {c.accent}; }}
    QAbstractSpinBox QLineEdit, QComboBox QLineEdit {{ border: none; padding: 0; }}
    QComboBox, QAbstractSpinBox {{ min-height: 22px; }}
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QPushButton {{ border: 1px solid {c.line}; border-radius: 4px; padding: 5px 12px; background: {c.raised}; }}
    QPushButton:hover {{ border-color: {c.accent}; }}
    QPushButton:pressed {{ background: {c.line}; }}
    QPushButton:disabled {{ color: {c.quiet}; background: {c.window}; }}
    QPushButton:default, QPushButton[primary="true"] {{ background: {c.accent}; color: {c.on_accent};
        border-color: {c.accent}; }}
    QPushButton:default:disabled, QPushButton[primary="true"]:disabled {{ background: {c.raised}; color: {c.quiet};
        border-color: {c.line}; }}
    QPushButton[segment="true"] {{ border-radius: 4px; padding: 4px 12px; background: transparent; border: none; }}
    QPushButton[segment="true"]:hover {{ background: {c.raised}; }}
    QPushButton[segment="true"]:checked {{ background: {c.accent}; color: {c.on_accent}; }}
    QProgressBar {{ border: none; border-radius: 3px; background: {c.raised}; max-height: 6px; min-height: 6px; }}
    QProgressBar::chunk {{ border-radius: 3px; background: {c.accent}; }}
    QFrame[line="true"] {{ color: {c.line}; }}
    QLabel[frame="dashed"] {{ border: 1px dashed {c.line}; border-radius: 4px; padding: 4px; }}
    QLabel[quiet="true"] {{ color: {c.quiet}; }}
    QLabel[error="true"] {{ color: {c.error}; }}
    """
