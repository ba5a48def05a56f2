"""Settings that only classifiers have: which loss, and how many examples of each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.ml.architectures.base import Architecture

_LOSSES = {
    "cross-entropy": "Cross-entropy: all examples alike", "weighted": "Weighted: rare classes count more",
    "focal": "Focal: hard examples count more",
}  # fmt: skip
_SAMPLINGS = {
    "recrop": "Recrop: rare classes cut at other places", "over": "Over: rare classes repeated",
    "under": "Under: frequent classes left out", "as-is": "As is: as many as there are",
}  # fmt: skip


class ClassifierChoices(QObject):
    """Two rows of a form, which are there for classifiers only; what is chosen is remembered for all forms."""

    changed = Signal()

    def __init__(self, settings: AppSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.loss, self.sampling = _choice(), _choice()
        self.loss.setToolTip("How much each example counts")
        self.sampling.setToolTip("How many examples of each class it sees")
        self._form: QFormLayout | None = None
        self._used = False
        for name, box in (("sampling", self.sampling), ("loss", self.loss)):
            box.activated.connect(lambda _place, name=name, box=box: self._remember(name, box.currentData()))
        _fill(self.sampling, _SAMPLINGS, _SAMPLINGS, settings.classifier.get("sampling", ""))

    def add_to(self, form: QFormLayout) -> None:
        """Add the rows."""
        self._form = form
        form.addRow("Examples", self.sampling)
        form.addRow("Loss", self.loss)

    def show_for(self, kind: Architecture[Any]) -> None:
        """Offer what a network has."""
        self._used = kind.task == "classify"
        _fill(self.loss, _LOSSES, kind.losses, self._settings.classifier.get("loss", ""))
        if self._form is not None:
            for row in (self.sampling, self.loss):
                self._form.setRowVisible(row, self._used)

    def asked(self) -> dict[str, str]:
        """What is chosen, by the names of settings of a training; nothing for other networks."""
        return {"sampling": self.sampling.currentData(), "loss": self.loss.currentData()} if self._used else {}

    def _remember(self, name: str, value: str) -> None:
        self._settings.classifier = {**self._settings.classifier, name: value}
        self.changed.emit()


def _choice() -> QComboBox:
    made = QComboBox()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(18)
    return made


def _fill(box: QComboBox, words: Mapping[str, str], names: Iterable[str], chosen: str) -> None:
    box.clear()
    for name in names:
        box.addItem(words[name], name)
    box.setCurrentIndex(max(0, box.findData(chosen)))
