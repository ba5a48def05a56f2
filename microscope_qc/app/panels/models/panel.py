"""The Models page: a list, what is known of the chosen one, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.models.browser import ModelBrowser
from microscope_qc.app.panels.models.evaluation import evaluation_pictures, evaluation_text
from microscope_qc.app.panels.models.text import model_text, verdict_text
from microscope_qc.app.session.measuring import LOOK_MS, Measuring
from microscope_qc.app.widgets.parts import put_beside
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.in_child import run_command
from microscope_qc.workflows.models.kept_evaluation import copy_page
from microscope_qc.workflows.models.package import SUFFIX, export_model
from microscope_qc.workflows.models.shelf import (
    ModelEntry,
    ModelPlace,
    delete_model,
    duplicate_model,
    free_name,
    rename_model,
    shelf_reader,
    use_model,
)

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session

ENTRY = Qt.ItemDataRole.UserRole
MEASURED_ON = "that are kept for the test, else on those that were held out"
REFRESH_MS = 100


def ask_name(parent: QWidget, title: str, offered: str) -> str:
    """Ask for a name; "" where the user gives up."""
    name, kept = QInputDialog.getText(parent, title, "Name", text=offered)
    return str(name) if kept else ""


def ask_delete(parent: QWidget, name: str) -> bool:
    """Ask whether a model is to be deleted for good."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"Delete the model {name}?")
    box.setInformativeText("It is deleted for good: this cannot be undone. Findings that it made stay.")
    delete = box.addButton("Delete model", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    return box.clickedButton() is delete


class ModelsPanel(QWidget):
    """The models at hand.

    ``review_requested`` asks for the review page, whose filter is set; ``spot_requested`` for a place on a slide;
    ``comparison_requested`` for a comparison, by its folder.

    Parameters
    ----------
    measuring
        Evaluates and compares.
    command
        Runs a command of the program in a process of its own; replaced in tests.
    """

    review_requested = Signal()
    spot_requested = Signal(object)
    comparison_requested = Signal(object)

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        measuring: Measuring,
        parent: QWidget | None = None,
        *,
        command: Callable[..., Job[None]] = run_command,
        name_asked: Callable[[QWidget, str, str], str] = ask_name,
        delete_asked: Callable[[QWidget, str], bool] = ask_delete,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("models")
        self._session, self._jobs, self._command = session, jobs, command
        self._ask_name, self._ask_delete = name_asked, delete_asked
        self.measuring, self._generation = measuring, 0
        self.list = QListWidget()
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.about = ModelBrowser()
        self.use = QPushButton("Use this model")
        self.use.setProperty("primary", True)
        self.evaluate = QPushButton("Evaluate")
        self.compare = QPushButton("Compare with the model in use")
        self.more = QToolButton()
        self.more.setText("More")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.take_in = QPushButton("Import…")
        self.take_in.setToolTip(f"Take a model from a file (*{SUFFIX}); it is checked first")
        self._build()
        self._due = Refresh(self, self.refresh, after_ms=REFRESH_MS)
        for signal in (
            session.project_changed, session.model_in_use_changed, session.models_changed, session.runs_changed,
        ):  # fmt: skip
            link(self, signal, self._due.soon)
        link(self, theme.SWITCH.switched, self._show)
        measuring.changed.connect(self._show)
        measuring.asked.connect(self.refresh)  # it may be new
        self._look_again = Refresh(self, self._look, after_ms=LOOK_MS)
        for signal in (session.history_changed, session.project_changed):
            link(self, signal, self._look_again.soon)
        self._due.now()

    def _build(self) -> None:
        menu = QMenu(self)
        for words, act in (
            ("Rename…", self.rename), ("Duplicate…", self.duplicate), ("Delete…", self.delete),
            ("Export to a file…", self.export), ("Write as ONNX…", self.write_onnx),
        ):  # fmt: skip
            menu.addAction(words, act)
        menu.addSeparator()
        self.page = menu.addAction("Save page of the evaluation…", self.save_page)
        self.more.setMenu(menu)
        self.use.clicked.connect(self.use_chosen)
        self.evaluate.clicked.connect(self.evaluate_chosen)
        self.compare.clicked.connect(self.compare_chosen)
        self.take_in.clicked.connect(self.import_file)
        self.list.currentItemChanged.connect(self._on_chosen)
        self.about.page_asked.connect(self.save_page)
        self.about.findings_asked.connect(self._on_findings_asked)
        self.about.spot_asked.connect(self._on_spot_asked)
        self.about.comparison_asked.connect(self._on_comparison_asked)
        left, right = QWidget(), QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(theme.STEP, theme.STEP, 0, theme.STEP)
        column.addWidget(self.list, 1)
        column.addWidget(self.take_in)
        buttons = QHBoxLayout()
        for button in (self.use, self.evaluate, self.compare, self.more):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, theme.STEP, theme.STEP, theme.STEP)
        column.addWidget(self.about, 1)
        column.addLayout(buttons)
        put_beside(self, left, right)

    def sizeHint(self) -> QSize:
        """Qt: room for a list beside a table."""
        return QSize(760, 300)

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> ModelEntry | None:
        """The model that is chosen in the list."""
        item = self.list.currentItem()
        entry: ModelEntry | None = None if item is None else item.data(ENTRY)
        return entry

    @property
    def in_use(self) -> ModelEntry | None:
        """The model in use."""
        entries = [self.list.item(row).data(ENTRY) for row in range(self.list.count())]
        return next((entry for entry in entries if entry.in_use), None)

    def refresh(self) -> None:
        """Read the models again, in the background."""
        self._generation += 1
        self._jobs.call(shelf_reader(self._session.project), partial(self._take, self._generation), self._on_failed)

    def choose(self, folder: Path) -> None:
        """Choose the model in a folder, if it is listed."""
        for row in range(self.list.count()):
            if self.list.item(row).data(ENTRY).folder == folder:
                self.list.setCurrentRow(row)

    def _take(self, generation: int, entries: list[ModelEntry]) -> None:
        if generation != self._generation:
            return
        before = self.chosen
        wanted, self.measuring.wanted = self.measuring.wanted, None
        if wanted is None:
            wanted = before.folder if before is not None else next((e.folder for e in entries if e.in_use), None)
        with QSignalBlocker(self.list):  # what is known of the chosen one is shown once, at the end
            self.list.clear()
            for entry in entries:
                item = QListWidgetItem(_line(entry))
                item.setData(ENTRY, entry)
                if entry.in_use:
                    item.setIcon(theme.icon("check-circle"))
                self.list.addItem(item)
            if wanted is not None:
                self.choose(wanted)
            if self.list.currentRow() < 0:
                self.list.setCurrentRow(0)
        self._on_chosen()

    def _on_chosen(self, *_: object) -> None:
        self._look()
        self._show()

    def _look(self) -> None:
        entry = self.chosen
        if entry is not None:
            self.measuring.look(entry.folder)

    def _show(self) -> None:
        entry, project = self.chosen, self._session.project
        known = entry is not None and entry.card is not None
        self.more.setEnabled(entry is not None)
        can_use = known and entry is not None and not entry.in_use and project is not None and self._session.can_write
        self.use.setEnabled(bool(can_use))
        self.use.setToolTip("Detections of this project take it; undo takes it back" if can_use else "")
        other = self.in_use
        why = "One measurement at a time: it is running." if self.measuring.handle is not None else ""
        self.evaluate.setEnabled(known and project is not None and not why)
        self.evaluate.setToolTip(why or f"Measures it on the slides {MEASURED_ON}")
        self.compare.setEnabled(
            bool(known and project is not None and other is not None and other != entry and not why)
        )
        self.compare.setToolTip(
            f"Measures both on the same slides {MEASURED_ON}"
            if self.compare.isEnabled()
            else why or "Put a model in use first, then choose another one here"
        )
        self._show_about(entry)

    def _show_about(self, entry: ModelEntry | None) -> None:
        kept = None if entry is None else self.measuring.evaluation(entry.folder)
        self.evaluate.setText("Evaluate" if kept is None else "Evaluate again")
        self.page.setEnabled(kept is not None)
        if entry is None:
            self.about.setHtml("There is no model on this computer yet. Training makes one.")
            return
        project, compared = self._session.project, self.measuring.comparison(entry.folder)
        slides = {} if project is None else {slide.id: slide.name for slide in project.slides}
        parts = [] if compared is None else [verdict_text(compared)]
        if kept is not None:
            colours = {one.code: one.colour for one in self._session.classes}
            self.about.pictures = evaluation_pictures(kept, colours, ratio=self.devicePixelRatioF())
            parts.append(evaluation_text(kept, stale=self.measuring.is_stale(entry.folder), slides=slides))
        self.about.setHtml("<hr>".join([*parts, model_text(entry)]))

    # -- what the user does ------------------------------------------------------------------------------------------

    def use_chosen(self) -> None:
        """Put the chosen model in use: a step of the history."""
        entry, project = self.chosen, self._session.project
        if entry is not None and project is not None:
            use_model(project, entry)
            self._session.notice.emit(f"{entry.name} is in use. Undo takes it back.")

    def evaluate_chosen(self) -> None:
        """Measure the chosen model on what the project has kept to measure on."""
        entry = self.chosen
        if entry is not None:
            self.measuring.evaluate(entry.folder, entry.name)

    def compare_chosen(self) -> None:
        """Compare the chosen model with the one in use, on what the project has kept to measure on."""
        entry = self.chosen
        if entry is not None:
            self.measuring.compare(entry.folder, entry.name)

    def save_page(self) -> None:
        """Write the page about the evaluation of the chosen model."""
        entry = self.chosen
        kept = None if entry is None else self.measuring.evaluation(entry.folder)
        if entry is None or kept is None:
            return
        out, _ = QFileDialog.getSaveFileName(self, "Save page", f"{entry.name}.html", "Pages (*.html)")
        if out:
            self._jobs.call(
                lambda: copy_page(kept, out), lambda path: self._say(f"{path} is written."), self._on_failed
            )

    def rename(self) -> None:
        """Ask for another name."""
        entry = self.chosen
        name = "" if entry is None else self._ask_name(self, "Rename model", entry.name)
        if entry is None or not name:
            return
        self._require_own(entry)
        entries = [self.list.item(row).data(ENTRY) for row in range(self.list.count())]
        name = free_name(name, entries, but=entry)
        project = self._session.project if entry.in_use and self._session.can_write else None

        def done(_: ModelEntry) -> None:
            if project is not None and project is self._session.project:
                project.models.use(entry.argument, name=name)
            self._session.models_changed.emit()

        self._jobs.call(lambda: rename_model(entry, name), done, self._on_failed)

    def duplicate(self) -> None:
        """Ask for the name of a copy, which goes into the project, or to the user's own models."""
        entry, project = self.chosen, self._session.project
        name = "" if entry is None else self._ask_name(self, "Duplicate model", f"{entry.name} copy")
        if entry is not None and name:
            target = project if self._session.can_write else None
            self._jobs.call(lambda: duplicate_model(entry, name, target), self._on_made, self._on_failed)

    def _require_own(self, entry: ModelEntry) -> None:
        """Refuse to change models of a project that belongs to another window."""
        if entry.place is ModelPlace.PROJECT and not self._session.can_write:
            raise InputError(
                f"{entry.name} is a model of this project, which is open for reading only.",
                hint="Change it where the project is open for writing.",
            )

    def delete(self) -> None:
        """Ask, then delete the model for good."""
        entry = self.chosen
        if entry is None:
            return
        if entry.in_use:
            raise InputError(f"{entry.name} is the model in use.", hint="Put another model in use first.")
        self._require_own(entry)
        if self._ask_delete(self, entry.name):
            self._jobs.call(lambda: delete_model(entry), self._on_changed, self._on_failed)

    def export(self) -> None:
        """Write the model into one file."""
        entry = self.chosen
        if entry is None:
            return
        out, _ = QFileDialog.getSaveFileName(self, "Export model", f"{entry.name}{SUFFIX}", f"Models (*{SUFFIX})")
        if out:
            self._jobs.run(export_model(entry, out), f"Exporting {entry.name}", self._on_written, self._on_failed)

    def write_onnx(self) -> None:
        """Write the network as ONNX, for other programs."""
        entry = self.chosen
        if entry is None:
            return
        out, _ = QFileDialog.getSaveFileName(self, "Write as ONNX", f"{entry.name}.onnx", "ONNX (*.onnx)")
        if out:
            arguments = ["models", "onnx", str(entry.folder), out]
            title = f"Writing {entry.name} as ONNX"
            self._jobs.run(self._command(arguments), title, lambda _: self._say(f"{out} is written."), self._on_failed)

    def import_file(self) -> None:
        """Take a model from a file, as the user's own."""
        file, _ = QFileDialog.getOpenFileName(self, "Import a model", "", f"Models (*{SUFFIX})")
        if file:
            self.import_from(file)

    def import_from(self, file: str) -> None:
        """Check a file and take its model in."""
        job = self._command(["models", "import", file])
        self._jobs.run(job, f"Importing {Path(file).name}", self._on_changed, self._on_failed)

    def _on_findings_asked(self, what: str) -> None:
        self.measuring.show_findings(self._places(what))
        self.review_requested.emit()

    def _on_spot_asked(self, number: int, what: str) -> None:
        spots = self._places(what).spots
        if number < len(spots):
            self.spot_requested.emit(spots[number])

    def _on_comparison_asked(self) -> None:
        compared = None if self.chosen is None else self.measuring.comparison(self.chosen.folder)
        if compared is not None:
            self.comparison_requested.emit(compared.folder)

    def _places(self, what: str) -> ListedPlaces:
        """Those of an outcome of the evaluation."""
        kept = None if self.chosen is None else self.measuring.evaluation(self.chosen.folder)
        return ListedPlaces() if kept is None else kept.places.get(Outcome(what), ListedPlaces())

    def _on_made(self, entry: ModelEntry) -> None:
        self._say(f"{entry.name} is in {entry.folder}.")
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        self._session.models_changed.emit()

    def _on_written(self, written: Any) -> None:
        self._say(f"{written.path} is written.")

    def _say(self, words: str) -> None:
        self._session.notice.emit(words)

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._say(str(error))


def _line(entry: ModelEntry) -> str:
    classes = "" if entry.card is None else f" · {', '.join(entry.card.classes)}"
    return f"{entry.name}\n{entry.place.words}{', in use' if entry.in_use else ''}{classes}"
