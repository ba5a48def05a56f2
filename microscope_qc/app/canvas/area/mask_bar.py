"""The bar above the canvas while the user edits the scan area of a detection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.signals import link
from microscope_qc.core.numbers import Quantity

if TYPE_CHECKING:
    from microscope_qc.app.canvas.area.mask_editing import MaskEditing

SLIDER_STEPS = 200
TOOLS = (
    ("brush", True, "brush", "Add area", "Paint over what should be scanned (the right button leaves it out)"),
    ("brush", False, "eraser", "Leave out", "Paint over what should be left out (the right button adds it)"),
    ("rectangle", True, "selection-drag", "Add rectangle", "Drag a rectangle that should be scanned"),
    ("rectangle", False, "selection-remove", "Leave rectangle out", "Drag a rectangle that should be left out"),
)


class MaskBar(QFrame):
    """Tools, brush width, undo and redo; ``back_requested`` asks for the initial mask."""

    back_requested = Signal()

    def __init__(self, editing: MaskEditing, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("maskBar")
        self._editing = editing
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.done = _button("Done", "All changes are kept (Esc)")
        self.done.setProperty("primary", True)
        self.done.clicked.connect(editing.finish)
        self.tools: dict[tuple[str, bool], QToolButton] = {}
        self.width_um = NumberEntry(Quantity("The brush", "µm", *editing.limits_um), digits=3)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.undo, self.redo = _icon_button("undo", "Undo (Ctrl Z)"), _icon_button("redo", "Redo (Ctrl Shift Z)")
        self.back = _button("", "")
        self._build()
        editing.tool_changed.connect(self._on_tool_changed)
        editing.changed.connect(self._on_changed)
        editing.finished.connect(self.hide)
        link(self, theme.SWITCH.switched, self._colour)
        self.hide()

    def begin(self, *, back: str, tip: str) -> None:
        """Show the bar; ``back`` is the text of the button that restores the initial mask."""
        self.back.setText(back)
        self.back.setToolTip(tip)
        self._colour()
        self.show()

    def _colour(self) -> None:
        colours = theme.current()
        self.setStyleSheet(
            f"#maskBar {{ background: {colours.base}; border: none; border-left: 4px solid {colours.accent};"
            f" border-bottom: 1px solid {colours.line}; }} #maskBar QLabel {{ background: transparent; }}"
        )

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.STEP)
        head.addWidget(self.words, 1)
        head.addWidget(self.done, 0, Qt.AlignmentFlag.AlignTop)
        flow = QFlowLayout()
        flow.setContentsMargins(0, 0, 0, 0)
        for tool, add, icon, text, tip in TOOLS:
            button = QToolButton()
            button.setCheckable(True)
            button.setText(text)
            button.setToolTip(tip)
            button.setIcon(theme.icon(icon))
            button.setIconSize(QSize(18, 18))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, t=tool, a=add: self._editing.set_tool(t, add=a))
            self.tools[tool, add] = button
            flow.addWidget(button)
        flow.addWidget(self._brush_row())
        for press in (self.undo, self.redo, self.back):
            flow.addWidget(press)
        self.undo.clicked.connect(self._editing.undo)
        self.redo.clicked.connect(self._editing.redo)
        self.back.clicked.connect(self.back_requested)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 6, theme.STEP, 6)
        column.setSpacing(4)
        column.addLayout(head)
        column.addLayout(flow)

    def _brush_row(self) -> QWidget:
        self.brush_row = QWidget()
        self.slider.setRange(0, SLIDER_STEPS)
        self.slider.setFixedWidth(96)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.setToolTip("Width of the brush (Shift and the wheel)")
        self.slider.valueChanged.connect(self._on_slid)
        self.width_um.setButtonSymbols(NumberEntry.ButtonSymbols.NoButtons)
        self.width_um.setMaximumWidth(96)
        self.width_um.setToolTip(self.slider.toolTip())
        self.width_um.valueChanged.connect(self._editing.set_brush)
        row = QHBoxLayout(self.brush_row)
        row.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        row.addWidget(QLabel("Brush"))
        row.addWidget(self.slider)
        row.addWidget(self.width_um)
        return self.brush_row

    def _on_slid(self, value: int) -> None:
        low, high = self._editing.limits_um
        self._editing.set_brush(low * (high / low) ** (value / SLIDER_STEPS))

    def _on_tool_changed(self) -> None:
        editing = self._editing
        for (tool, add), button in self.tools.items():
            button.setChecked((tool, add) == (editing.tool, editing.add))
        self.brush_row.setEnabled(editing.tool == "brush")
        low, high = editing.limits_um
        with QSignalBlocker(self.width_um), QSignalBlocker(self.slider):
            self.width_um.setRange(low, high)
            self.width_um.setValue(editing.brush_um)
            if not self.slider.isSliderDown():
                self.slider.setValue(round(SLIDER_STEPS * math.log(editing.brush_um / low) / math.log(high / low)))

    def _on_changed(self) -> None:
        paint = self._editing.paint
        self.undo.setEnabled(paint is not None and paint.can_undo)
        self.redo.setEnabled(paint is not None and paint.can_redo)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay with the canvas
    return button


def _icon_button(name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setIcon(theme.icon(name))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button
