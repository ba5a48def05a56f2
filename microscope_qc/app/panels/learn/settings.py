"""What can be set before a training: folded away, as the defaults are right for most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.learn.classifier_choices import ClassifierChoices
from microscope_qc.app.panels.learn.start import StartChoice
from microscope_qc.ml.architectures.recipe import TrainSettings

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings

MINUTES = 20
CROPS_PX = (256, 384, 512, 768)


class TrainSettingsForm(QWidget):
    """Name, time limit, what the training starts from, and what it sees, of which a preview can be asked for.

    ``folds_requested`` asks for a cross-validation with these settings.
    """

    preview_requested = Signal()
    folds_requested = Signal()

    def __init__(self, settings: AppSettings, parent: QWidget | None = None) -> None:
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
        self.start = StartChoice(settings, self)
        self.keep_bad = QCheckBox("Learn from blurred slides too")
        self.keep_bad.setToolTip(
            "Otherwise slides that are out of focus all over, or mostly black or white, are left out"
        )
        defaults = {name: field.default for name, field in TrainSettings.model_fields.items()}
        self.crop = QComboBox()
        for side in CROPS_PX:
            self.crop.addItem(f"{side} px", side)
        self.crop.setToolTip("Side of the pictures that it learns from: more than the largest defect")
        self._usual_crop = self._crop = int(defaults["crop_px"])
        self.paste = QSpinBox()
        self.paste.setRange(0, 100)
        self.paste.setSingleStep(10)
        self.paste.setSuffix(" %")
        self.paste.setToolTip(
            "How many crops without a defect get a copy of one where it looks alike, and half as many of the others: "
            "it may help with classes of which there are few"
        )
        self._paste = round(100 * defaults["paste"])
        self.paste.setValue(self._paste)
        self.classifier = ClassifierChoices(settings, self)
        self.folds = QPushButton("Cross-validate…")
        self.folds.setToolTip("Trains several times, each time measured on another part: shows how sure a score is")
        self.folds.clicked.connect(self.folds_requested)
        self.preview = QPushButton("Preview…")
        self.preview.clicked.connect(self.preview_requested)
        self.body = QWidget()
        form = self._form = QFormLayout(self.body)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Name", self.name)
        form.addRow("Time limit", self.minutes)
        form.addRow("Network", self.start.network)
        form.addRow("Start from", self.start.start_from)
        form.addRow(self.start.about)
        form.addRow(self.keep_bad)
        form.addRow("Crops", self.crop)
        form.addRow("Paste defects", self.paste)
        self.classifier.add_to(form)
        form.addRow(self.folds)
        head = QHBoxLayout()
        head.addWidget(self.fold)
        head.addStretch(1)
        head.addWidget(self.preview)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(self.body)
        self._on_folded(False)
        self.start.network.currentIndexChanged.connect(self._on_network_changed)
        self._on_network_changed()

    def suggest_name(self, project: Path | None) -> None:
        """Propose the name of the project where the user has entered none."""
        if project is not None and not self.name.isModified():
            self.name.setText(project.stem)

    def asked(self) -> dict[str, Any]:
        """What is chosen, as :func:`microscope_qc.workflows.learning.request.ask_for_training` takes it."""
        asked = self.start.asked()
        settings: dict[str, Any] = {"minutes": float(self.minutes.value()), **asked["settings"]}
        if self.crop.currentData() != self._crop:
            settings["crop_px"] = self.crop.currentData()
        if self.start.kind.task == "classify":
            settings |= self.classifier.asked()
        elif self.paste.value() != self._paste:
            settings["paste"] = self.paste.value() / 100
        return {**asked, "settings": settings, "keep_bad": self.keep_bad.isChecked()}

    def _on_network_changed(self) -> None:
        """Show the settings that the network has, with its own defaults."""
        kind = self.start.kind
        self._crop = int(kind.defaults.get("crop_px", self._usual_crop))
        if self.crop.findData(self._crop) < 0:
            self.crop.addItem(f"{self._crop} px", self._crop)
        self.crop.setCurrentIndex(self.crop.findData(self._crop))
        self._form.setRowVisible(self.paste, kind.task != "classify")
        self.classifier.show_for(kind)

    def _on_folded(self, shown: bool) -> None:
        self.body.setVisible(shown)
        self.fold.setIcon(theme.icon("chevron-down" if shown else "chevron-right"))
