"""What can be set before a training: folded away, as the defaults are right for most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QSpinBox, QToolButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import note

MINUTES = 20
BACKBONE, RANDOM = "backbone", "random"


class TrainSettingsForm(QWidget):
    """Name, time limit, and what the training starts from."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fold = QToolButton()
        self.fold.setText("Settings")
        self.fold.setCheckable(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.toggled.connect(self._on_folded)
        self.name = QLineEdit()
        self.name.setToolTip("What the model will be called")
        self.minutes = QSpinBox()
        self.minutes.setRange(1, 24 * 60)
        self.minutes.setValue(MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("The training ends by then; longer is better, up to a point")
        self.start_from = QComboBox()
        self.start_from.addItem("A network that has seen a million photographs (ImageNet)", BACKBONE)
        self.start_from.addItem("Nothing", RANDOM)
        self.start_from.setToolTip("What the model can do before it sees your slides")
        self.keep_bad = QCheckBox("Learn from blurred slides too")
        self.keep_bad.setToolTip(
            "Otherwise slides that are out of focus all over, or mostly black or white, are left out"
        )
        self.body = QWidget()
        form = QFormLayout(self.body)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Name", self.name)
        form.addRow("Time limit", self.minutes)
        form.addRow("Start from", self.start_from)
        form.addRow(note("Starting from photographs needs far fewer labels."))
        form.addRow(self.keep_bad)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        column.addWidget(self.body)
        self._on_folded(False)

    def suggest_name(self, project: Path | None) -> None:
        """Propose the name of the project where the user has entered none."""
        if project is not None and not self.name.isModified():
            self.name.setText(project.stem)

    def asked(self) -> dict[str, Any]:
        """What is chosen, as :func:`microscope_qc.workflows.learning.request.ask_for_training` takes it."""
        settings: dict[str, Any] = {"minutes": float(self.minutes.value())}
        network: str | None = "lite0"
        if self.start_from.currentData() == RANDOM:
            settings["network_settings"] = {"backbone": RANDOM}
        return {"network": network, "settings": settings, "keep_bad": self.keep_bad.isChecked()}

    def _on_folded(self, shown: bool) -> None:
        self.body.setVisible(shown)
        self.fold.setIcon(theme.icon("chevron-down" if shown else "chevron-right"))
