"""Choosing the model: those of the installation and the user's own, and what each was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import exact_text
from microscope_qc.workflows.models.shelf import ModelPlace, list_shelf

if TYPE_CHECKING:
    from microscope_qc.ml.cards import ModelCard

OWN_MODELS = "own_models"
LOCAL_ADVICE = "For your slides: label about 50, then train."

Models = Callable[[], Sequence["ModelCard"]]
LoadModel = Callable[[str], "ModelCard"]
ChooseFolder = Callable[[QWidget], str]


def installed_models() -> Sequence[ModelCard]:
    """Cards of the models that come with the program and are run over slides."""
    from microscope_qc.ml.library import list_models
    from microscope_qc.ml.tasks.kinds import TASKS

    return [card for card in list_models() if card.task in TASKS]


def load_model(folder: str) -> ModelCard:
    """Card of a model folder."""
    from microscope_qc.ml.library import load_card

    return load_card(folder)


def choose_folder(parent: QWidget) -> str:
    """Ask for a folder; "" if the user chooses none."""
    return QFileDialog.getExistingDirectory(parent, "Folder of a model")


class ModelChooser(QWidget):
    """List of models, a button for one's own models, and one line about the chosen one."""

    changed = Signal()

    def __init__(
        self,
        session: Session,
        parent: QWidget | None = None,
        *,
        models: Models = installed_models,
        load: LoadModel = load_model,
        ask_folder: ChooseFolder = choose_folder,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._list_models = models
        self._load_model = load
        self._ask_folder = ask_folder
        self._cards: list[ModelCard] = []
        self._arguments: list[str] = []  # what the workflow identifies each model by
        self._problem = ""
        self.list = QComboBox()
        self.list.setToolTip("The model that detects defects")
        self.list.currentIndexChanged.connect(self._on_chosen)
        self.other = QPushButton("Other…")
        self.other.setToolTip("Use your own model: the folder that training created")
        self.other.clicked.connect(self._on_other_clicked)
        self.about = note()
        row = QHBoxLayout()
        row.addWidget(self.list, 1)
        row.addWidget(self.other)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(row)
        column.addWidget(self.about)
        for signal in (session.project_changed, session.model_in_use_changed):
            link(self, signal, self._on_model_in_use_changed)
        link(self, session.models_changed, self.refresh)
        self.refresh()

    @property
    def card(self) -> ModelCard | None:
        """Card of the chosen model."""
        place = self.list.currentIndex()
        return self._cards[place] if 0 <= place < len(self._cards) else None

    @property
    def argument(self) -> str:
        """What the workflow identifies the chosen model by: its name or its folder."""
        place = self.list.currentIndex()
        return self._arguments[place] if 0 <= place < len(self._arguments) else ""

    def refresh(self) -> None:
        """Read the list of models again: those of the installation, then the project's own."""
        before = self.argument
        self._cards, self._arguments, self._problem = [], [], ""
        try:
            for card in self._list_models():
                self._add(card, str(card.name))
        except MicroscopeQCError as error:
            self._problem = str(error)
        for folder in self._own_models():
            try:
                self._add(self._load_model(folder), folder)
            except MicroscopeQCError as error:
                self._problem = str(error)
        with QSignalBlocker(self.list):
            self.list.clear()
            for card, argument in zip(self._cards, self._arguments, strict=True):
                self.list.addItem(str(card.name))
                self.list.setItemData(self.list.count() - 1, argument, int(Qt.ItemDataRole.ToolTipRole))
            wanted = before if before in self._arguments else self._in_use()
            if wanted in self._arguments:
                self.list.setCurrentIndex(self._arguments.index(wanted))
            elif wanted:  # another one in its place would find something else
                self.list.setCurrentIndex(-1)
                self._problem = self._why_not_in_use(wanted)
        self._on_chosen()

    def _why_not_in_use(self, model: str) -> str:
        project = self._session.project
        current = None if project is None else project.models.current
        name = Path(model).name if current is None else current.name
        try:
            self._load_model(model)
        except MicroscopeQCError as error:
            return f"{name} is in use here, but cannot be used: {error.message} Choose another model."
        return f"{name} is in use here, but is not run over slides. Choose another model."

    def use_own(self, folder: str) -> None:
        """Use a model of the user's own, and remember it in the project."""
        try:
            self._load_model(folder)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            return
        project = self._session.project
        if project is not None and self._session.can_write and folder not in self._own_models():
            project.settings.set(OWN_MODELS, [*self._own_models(), folder])
        self.refresh()
        if folder in self._arguments:
            self.list.setCurrentIndex(self._arguments.index(folder))

    def _in_use(self) -> str:
        project = self._session.project
        return "" if project is None else project.models.argument

    def _on_model_in_use_changed(self) -> None:
        self.refresh()  # it may be new
        if self._in_use() in self._arguments:
            self.list.setCurrentIndex(self._arguments.index(self._in_use()))

    def _add(self, card: ModelCard, argument: str) -> None:
        self._cards.append(card)
        self._arguments.append(argument)

    def _own_models(self) -> list[str]:
        project = self._session.project
        stored = project.settings.get(OWN_MODELS, []) if project is not None else []
        there = [str(path) for path in stored if Path(str(path)).is_dir()] if isinstance(stored, list) else []
        shelf = [
            entry.argument for entry in list_shelf(project) if entry.place is not ModelPlace.PROGRAM and entry.card
        ]
        return list(dict.fromkeys([*there, *shelf]))

    def _on_other_clicked(self) -> None:
        folder = self._ask_folder(self)
        if folder:
            self.use_own(folder)

    def _on_chosen(self, _place: int = 0) -> None:
        card = self.card
        if card is None:
            self.about.setText(self._problem or "No model is installed. Choose your own, or train one.")
            self.about.setToolTip("")
        else:
            trained = str(card.trained_on or "").strip().rstrip(".")
            own = Path(self.argument).is_absolute()  # the folder of one that a user has trained, or was given
            advice = "" if own and trained else LOCAL_ADVICE
            self.about.setText(" ".join(part for part in (f"{trained}." if trained else "", advice) if part))
            self.about.setToolTip(_tooltip(card))
        self.changed.emit()


def _tooltip(card: ModelCard) -> str:
    lines = [f"finds: {', '.join(card.classes)}" if card.classes else ""]
    if card.pixel_size_um:
        lines.append(f"works at {exact_text(card.pixel_size_um)} µm per px")
    lines += [f"{name}: {value:.2f}" for name, value in (card.metrics or {}).items() if isinstance(value, float)]
    return "\n".join(line for line in lines if line)
