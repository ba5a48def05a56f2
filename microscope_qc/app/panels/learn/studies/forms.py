"""What is asked for each study; a form says the command that does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QListWidget, QListWidgetItem, QSpinBox, QWidget

from microscope_qc.app.panels.learn.classifier_choices import ClassifierChoices
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.wording import duration_text, things
from microscope_qc.ml.architectures.base import architecture, trainable
from microscope_qc.ml.tasks.kinds import TASKS

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.project import Project
    from microscope_qc.workflows.models.shelf import ModelEntry

TABLE, PAGE = "table.json", "table.html"
MINUTES = 20
FOLDS, MOST_FOLDS = 5, 20
SHARES = (0.25, 0.5, 1.0)
LIST_PX = 132
NAME = Qt.ItemDataRole.UserRole


class StudyForm(QWidget):
    """A study: its command, and what must be chosen for it.

    Attributes
    ----------
    action
        Of the command ``study``; also the folder in which the study is kept.
    learns
        Whether models are trained, which stay in the folder: what is held out must be settled before, and an
        interrupted study goes on.
    """

    changed = Signal()
    action = ""
    title = ""
    about = ""
    learns = False

    def __init__(self) -> None:
        super().__init__()
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.addRow(note(self.about))

    def why_not(self) -> str:
        """Why it cannot be started; "" if it can."""
        return ""

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """The command's arguments; ``folder`` is where the study is kept."""
        raise NotImplementedError

    def command(self, project: Path, folder: Path) -> list[str]:
        """The command, which leaves the table and the page of the study in its folder."""
        files = [part for name in (TABLE, PAGE) for part in ("--write", str(folder / name))]
        return ["study", self.action, *self.arguments(project, folder), *([] if self.learns else files)]

    def offer(self, project: Project | None, models: Sequence[ModelEntry]) -> None:
        """Offer what there is to choose from in a project."""

    def minutes_row(self) -> QSpinBox:
        """How long each training may take."""
        made = QSpinBox()
        made.setRange(1, 24 * 60)
        made.setValue(MINUTES)
        made.setSuffix(" min")
        self.form.addRow("Each learns for", made)
        return made

    def combo(self, label: str) -> QComboBox:
        """A choice, in a row of its own."""
        made = QComboBox()
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(18)
        made.currentIndexChanged.connect(self.changed)
        self.form.addRow(label, made)
        return made


class NetworksForm(StudyForm):
    """Networks side by side."""

    action, title, learns = "networks", "Networks side by side", True
    about = "Trains each network on the same labels, measures all of them on the same other places, and times them."

    def __init__(self) -> None:
        super().__init__()
        self.task = self.combo("For")
        for name in trainable():
            self.task.addItem(TASKS.get(name).title, name)
        self.list = QListWidget()
        self.list.setFixedHeight(LIST_PX)
        self.form.addRow("Networks", self.list)
        self.minutes = self.minutes_row()
        self.shares = QCheckBox("Also from a quarter and half of the pictures")
        self.shares.setToolTip("Shows what more pictures would bring; takes three times as long")
        self.form.addRow(self.shares)
        self.takes = note()
        self.form.addRow(self.takes)
        self.task.currentIndexChanged.connect(self._fill)
        for signal in (self.list.itemChanged, self.minutes.valueChanged, self.shares.toggled):
            signal.connect(self._on_changed)
        self._fill()

    def _fill(self) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for number, kind in enumerate(trainable().get(self.task.currentData(), [])):
            item = QListWidgetItem(kind.name)
            item.setToolTip(kind.title)
            item.setData(NAME, kind.name)
            item.setCheckState(Qt.CheckState.Checked if number < 2 else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        trainings = len(self.chosen) * (len(SHARES) if self.shares.isChecked() else 1)
        seconds = 60.0 * self.minutes.value() * trainings
        self.takes.setText(f"{things(trainings, 'training')}: {duration_text(seconds)}, and the measuring.")
        self.changed.emit()

    @property
    def chosen(self) -> list[str]:
        """Names of the networks that are ticked."""
        items = [self.list.item(row) for row in range(self.list.count())]
        return [item.data(NAME) for item in items if item.checkState() == Qt.CheckState.Checked]

    def why_not(self) -> str:
        """See :class:`StudyForm`."""
        return "" if self.chosen else "Tick a network."

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        asked = [str(project), "--out", str(folder), "--task", self.task.currentData()]
        asked += ["--minutes", str(self.minutes.value())]
        for name in self.chosen:
            asked += ["--network", name]
        for share in SHARES if self.shares.isChecked() else ():
            asked += ["--share", f"{share:g}"]
        return asked


class NetworkForm(StudyForm):
    """One network."""

    def __init__(self) -> None:
        super().__init__()
        self.network = self.combo("Network")
        for task, kinds in trainable().items():
            for kind in kinds:
                self.network.addItem(kind.name, (task, kind.name))
                self.network.setItemData(self.network.count() - 1, kind.title, Qt.ItemDataRole.ToolTipRole)


class FoldsForm(NetworkForm):
    """Cross-validation of a network."""

    action, title, learns = "folds", "Cross-validation of a network", True
    about = (
        "Divides what there is to learn from into parts, and trains once for each part: on all others, measured on "
        "this one. Shows how sure a score is where there is little to measure on. What is kept for the test is left "
        "aside."
    )

    def __init__(self, settings: AppSettings) -> None:
        super().__init__()
        self.folds = QSpinBox()
        self.folds.setRange(2, MOST_FOLDS)
        self.folds.setValue(FOLDS)
        self.form.addRow("Parts", self.folds)
        self.minutes = self.minutes_row()
        self.classifier = ClassifierChoices(settings, self)
        self.classifier.add_to(self.form)
        self.takes = note()
        self.form.addRow(self.takes)
        self.network.currentIndexChanged.connect(self._on_network_changed)
        for box in (self.folds, self.minutes):
            box.valueChanged.connect(self._say_takes)
        self._on_network_changed()
        self._say_takes()

    def choose(self, network: str, minutes: int) -> None:
        """Choose a network, and how long it learns."""
        self.network.setCurrentIndex(self.network.findText(network))
        self.minutes.setValue(minutes)

    def _on_network_changed(self, *_: object) -> None:
        self.classifier.show_for(architecture(self.network.currentData()[1]))

    def _say_takes(self, *_: object) -> None:
        seconds = 60.0 * self.minutes.value() * self.folds.value()
        self.takes.setText(f"{things(self.folds.value(), 'training')}: {duration_text(seconds)} at most.")

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        task, name = self.network.currentData()
        asked = [str(project), "--out", str(folder), "--folds", str(self.folds.value()), "--task", task]
        asked += ["--network", name, "--minutes", str(self.minutes.value())]
        for setting, value in self.classifier.asked().items():
            asked += [f"--{setting}", value]
        return asked

    def command(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        return ["cross-validate", *self.arguments(project, folder)]


class RateForm(NetworkForm):
    """The learning rate of a network."""

    action, title = "rate", "Learning rate of a network"
    about = "Raises the learning rate from step to step until the loss diverges, and suggests one to train with."

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        task, name = self.network.currentData()
        return [str(project), "--task", task, "--network", name]


class ModelForm(StudyForm):
    """A model measured with several values of a setting."""

    none = ""

    def __init__(self) -> None:
        super().__init__()
        self.model = self.combo("Model")

    def fits(self, entry: ModelEntry) -> bool:
        """Whether a model has the setting."""
        raise NotImplementedError

    def offer(self, project: Project | None, models: Sequence[ModelEntry]) -> None:
        """See :class:`StudyForm`."""
        before = self.model.currentData()
        self.model.clear()
        for entry in models:
            if entry.card is not None and self.fits(entry):
                self.model.addItem(entry.name, str(entry.folder))
        self.model.setCurrentIndex(max(0, self.model.findData(before)))

    def why_not(self) -> str:
        """See :class:`StudyForm`."""
        return "" if self.model.count() else self.none

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        return [self.model.currentData(), str(project)]


class ProposalsForm(ModelForm):
    """Numbers of proposals."""

    action, title = "proposals", "Proposals of a two-stage detector"
    about = "Measures and times one model with 50 to 6000 proposals: more find more, and take longer."
    none = "There is no two-stage detector: train one first."

    def fits(self, entry: ModelEntry) -> bool:
        """See :class:`ModelForm`."""
        assert entry.card is not None
        return "proposals" in architecture(entry.card.architecture).settings.model_fields


class StepsForm(ModelForm):
    """Steps of windows."""

    action, title = "steps", "Step of windows"
    about = "Measures and times one model with windows that overlap by a quarter and by half."
    none = "There is no model that slides windows: train one first."

    def fits(self, entry: ModelEntry) -> bool:
        """See :class:`ModelForm`."""
        return entry.card is not None and entry.card.windows is not None


class DetectorsForm(StudyForm):
    """Two detectors over all cross-sections."""

    action, title = "detectors", "Two detectors over all slides"
    about = "Counts what two detectors found on each slide that both have scanned, class by class."

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = self.combo("First"), self.combo("Second")

    def offer(self, project: Project | None, models: Sequence[ModelEntry]) -> None:
        """See :class:`StudyForm`."""
        titles = [] if project is None else list(dict.fromkeys(run.title for run in project.runs))
        for place, combo in enumerate((self.first, self.second)):
            before = combo.currentText()
            combo.clear()
            combo.addItems(titles)
            found = combo.findText(before)
            combo.setCurrentIndex(found if found >= 0 else min(place, len(titles) - 1))

    def why_not(self) -> str:
        """See :class:`StudyForm`."""
        if self.first.count() < 2:
            return "Detect with two models first."
        return "Choose two different ones." if self.first.currentText() == self.second.currentText() else ""

    def arguments(self, project: Path, folder: Path) -> list[str]:
        """See :class:`StudyForm`."""
        return [str(project), "--first", self.first.currentText(), "--second", self.second.currentText()]


def make_forms(settings: AppSettings) -> list[StudyForm]:
    """All of them."""
    return [NetworksForm(), FoldsForm(settings), RateForm(), ProposalsForm(), StepsForm(), DetectorsForm()]
