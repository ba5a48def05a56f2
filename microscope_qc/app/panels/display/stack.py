"""Sliders for the focus plane, time point and page of a slide that is a stack of pictures."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QSlider, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.core.numbers import Quantity
from microscope_qc.slides.plane import WORDS, StackAxis, StackPlace


class StackSliders(QWidget):
    """One slider for each axis of a stack; hidden for a single picture.

    ``place_chosen`` carries the axis that was used and the new place.
    """

    place_chosen = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack: tuple[StackAxis, ...] = ()
        self._place = StackPlace()
        self.sliders: dict[str, QSlider] = {}
        self.numbers: dict[str, NumberEntry] = {}
        self._titles: dict[str, QLabel] = {}
        self._names: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.STEP)
        grid.setVerticalSpacing(theme.STEP // 4)
        grid.setColumnStretch(0, 1)
        for row, key in enumerate(WORDS):
            title, name = QLabel(), QLabel()
            slider = QSlider(Qt.Orientation.Horizontal)
            number = NumberEntry(Quantity("The number", "", 1, 1, whole=True), 1, step=1)
            title.setProperty("quiet", True)
            title.setBuddy(number)
            name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            number.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            grid.addWidget(title, 3 * row, 0)
            grid.addWidget(number, 3 * row, 1)
            grid.addWidget(slider, 3 * row + 1, 0, 1, 2)
            grid.addWidget(name, 3 * row + 2, 0, 1, 2)
            slider.valueChanged.connect(lambda value, key=key: self._on_moved(key, value))
            number.valueChanged.connect(lambda value, key=key: self._on_moved(key, int(value) - 1))
            self._titles[key], self._names[key] = title, name
            self.sliders[key], self.numbers[key] = slider, number

    def set_stack(self, stack: Sequence[StackAxis]) -> None:
        """Show the axes of another slide."""
        self._stack = tuple(stack)
        axes = {axis.key: axis for axis in stack}
        for key in WORDS:
            axis = axes.get(key)
            for widget in (self._titles[key], self._names[key], self.sliders[key], self.numbers[key]):
                widget.setVisible(axis is not None)
            if axis is None:
                continue
            with QSignalBlocker(self.sliders[key]), QSignalBlocker(self.numbers[key]):
                self.sliders[key].setRange(0, axis.size - 1)
                self.sliders[key].setPageStep(max(1, axis.size // 10))
                self.numbers[key].setRange(1, axis.size)
                self.numbers[key].set_unit(f"of {axis.size}")
            self._titles[key].setText(axis.title.capitalize())
            for widget in (self.sliders[key], self.numbers[key]):
                widget.setAccessibleName(axis.title)
                widget.setToolTip(f"Which {axis.title} is shown; the keys . and , go on and back")
            self._names[key].setVisible(any(axis.names))
        self.setVisible(bool(stack))

    def set_place(self, place: StackPlace) -> None:
        """Show another place."""
        self._place = place
        for axis in self._stack:
            index = place.along(axis.key)
            with QSignalBlocker(self.sliders[axis.key]), QSignalBlocker(self.numbers[axis.key]):
                self.sliders[axis.key].setValue(index)
                self.numbers[axis.key].setValue(index + 1)
            self._names[axis.key].setText(axis.names[index] if index < len(axis.names) else "")

    def _on_moved(self, key: str, index: int) -> None:
        place = self._place.moved(key, index)
        if place != self._place:
            self.set_place(place)
            self.place_chosen.emit(key, place)
