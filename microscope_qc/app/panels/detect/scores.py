"""Controls of the score map of the selected detection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QSlider, QWidget

from microscope_qc.app.base import theme

if TYPE_CHECKING:
    from microscope_qc.app.session.score_map import ScoreMap


class ScorePanel(QWidget):
    """Switch, class and opacity; only the switch is visible while it is off; disabled, with a reason, without a map."""

    def __init__(self, scores: ScoreMap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scores = scores
        self.switch = QCheckBox("Score map over the slide")
        self.classes = QComboBox()
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(5, 100)
        self.strength.setValue(round(100 * scores.strength))
        self.strength.setToolTip("Opacity of the colours over the slide")
        self._labels = QLabel("Class"), QLabel("Opacity")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.STEP)
        grid.addWidget(self.switch, 0, 0, 1, 2)
        for row, (label, part) in enumerate(zip(self._labels, (self.classes, self.strength), strict=True), start=1):
            grid.addWidget(label, row, 0)
            grid.addWidget(part, row, 1)
        grid.setColumnStretch(1, 1)
        self.switch.toggled.connect(self._on_switched)
        self.classes.currentIndexChanged.connect(lambda index: scores.set_label(None if index < 1 else index - 1))
        self.strength.valueChanged.connect(lambda value: scores.set_strength(value / 100))
        scores.state_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what the selected detection has."""
        scores = self._scores
        self.switch.setEnabled(scores.there)
        tip = "The model's score for every place it scanned, from 0 to 1, as colours below the findings"
        self.switch.setToolTip(scores.why_not or tip)
        with QSignalBlocker(self.switch):
            self.switch.setChecked(scores.wanted and scores.there)
        names = dict(zip(self._codes(), self._names(), strict=False))
        wanted = ["All classes", *(f"{code}  {names.get(code, '')}".strip() for code in scores.classes)]
        if wanted != [self.classes.itemText(place) for place in range(self.classes.count())]:
            with QSignalBlocker(self.classes):
                self.classes.clear()
                self.classes.addItems(wanted)
        with QSignalBlocker(self.classes):
            self.classes.setCurrentIndex(0 if scores.label is None else scores.label + 1)
        for part in (*self._labels, self.classes, self.strength):
            part.setVisible(self.switch.isChecked())

    def _codes(self) -> list[str]:
        return [] if self._scores.run is None else list(self._scores.run.plan.classes)

    def _names(self) -> list[str]:
        return [] if self._scores.run is None else list(self._scores.run.plan.class_names)

    def _on_switched(self, wanted: bool) -> None:
        self._scores.set_wanted(wanted)
        self.refresh()
