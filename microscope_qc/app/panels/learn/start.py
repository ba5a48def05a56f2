"""Which network a training makes, and what that starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QComboBox, QFileDialog

from microscope_qc.app.widgets.parts import note
from microscope_qc.ml.architectures.base import Architecture, trainable

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings

BACKBONE, IN_USE, FILE, RANDOM = "backbone", "model in use", "file", "random"
_ABOUT = {
    BACKBONE: "Best for a first model, and for slides unlike those that the model in use knows.",
    IN_USE: "Best for more labels on slides like those that it knows. Everything labelled here is learned; classes of "
    "which nothing is labelled here are forgotten.",
    FILE: "For networks whose weights do not come with the program: a file of torchvision or timm for this backbone.",
    RANDOM: "Needs far more labels.",
}
"""When each start is good."""
_BEFORE = {"classify": "Classifier: "}
"""What stands before the networks of a task."""
_FILES = "Weights (*.safetensors *.pth *.pt *.bin)"


class StartChoice(QObject):
    """Lists of the networks that can be trained, and of what the chosen one can start from.

    Attributes
    ----------
    about
        When the chosen start is good.
    """

    def __init__(self, settings: AppSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings, self._name, self._model, self._file = settings, "", "", ""
        self._task = ""  # of that model
        self._kinds: dict[str, Architecture[Any]] = {}
        self.network, self.start_from, self.about = QComboBox(), QComboBox(), note()
        for box in (self.network, self.start_from):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(20)
        for kinds in trainable().values():
            for kind in kinds:
                self._kinds[kind.name] = kind
                self.network.addItem(f"{_BEFORE.get(kind.task, '')}{kind.title}", kind.name)
        self.network.setToolTip("The first one is best for most; the published ones are there to be compared with it")
        self.network.currentIndexChanged.connect(self._fill)
        self.start_from.activated.connect(self._on_start_chosen)
        self._fill()

    @property
    def kind(self) -> Architecture[Any]:
        """The network."""
        return self._kinds[self.network.currentData()]

    def offer_model(self, name: str, model: str, task: str = "") -> None:
        """Offer a model for a task to start from, with its name and what the workflow identifies it by; "" for none."""
        self._name, self._model, self._task = name, model, task
        self._fill()

    def asked(self) -> dict[str, Any]:
        """Task, network and settings of a training as they are chosen."""
        start, settings = self.start_from.currentData(), dict[str, Any]()
        if start == IN_USE:
            # the network is that model's
            return {"task": self._task, "network": None, "settings": {"start": self._model}}
        if start == FILE:
            settings["network_settings"] = {"backbone": self._file}
        elif start == RANDOM and self._backbone() not in (None, "random"):
            settings["network_settings"] = {"backbone": "random"}
        return {"task": self.kind.task, "network": self.kind.name, "settings": settings}

    def _backbone(self) -> str | None:
        """What the network's backbone starts from by default; None for one without."""
        return getattr(self.kind.settings(), "backbone", None)

    def _fill(self) -> None:
        backbone = self._backbone()
        starts = {}
        if backbone == "imagenet":
            starts[BACKBONE] = "A network that has seen a million photographs (ImageNet)"
        if self._name and self._task == self.kind.task:
            starts[IN_USE] = f"The model in use ({self._name})"
        if backbone is not None:
            starts[FILE] = f"A file of weights ({Path(self._file).name})" if self._file else "A file of weights…"
        starts[RANDOM] = "Nothing"
        self.start_from.clear()
        for start, words in starts.items():
            self.start_from.addItem(words, start)
            self.start_from.setItemData(self.start_from.count() - 1, _ABOUT[start], Qt.ItemDataRole.ToolTipRole)
        self._choose(self._settings.learn_start)

    def _choose(self, start: str) -> None:
        places = (self.start_from.findData(one) for one in (start, BACKBONE, RANDOM))
        self.start_from.setCurrentIndex(next(place for place in places if place >= 0))
        self._show()

    def _on_start_chosen(self) -> None:
        start = self.start_from.currentData()
        if start != FILE:
            self._settings.learn_start = start
            self._show()
            return
        chosen, _ = QFileDialog.getOpenFileName(self.start_from, "Weights to start from", "", _FILES)
        if chosen:
            self._file = chosen
        self._fill()
        if self._file:
            self._choose(FILE)

    def _show(self) -> None:
        start = self.start_from.currentData()
        self.network.setEnabled(start != IN_USE)
        self.about.setText(_ABOUT[start])
        self.start_from.setToolTip(f"What the model can do before it sees your slides. {_ABOUT[start]}")
