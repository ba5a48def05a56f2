"""Importing annotations: contents of the file, a class for each name, a preview; then one undo step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.exchange.picture_choices import PictureChoices
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.parts import ScrolledColumn
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.workflows.exchange.importing import ImportPlan, ReadAnnotations
    from microscope_qc.workflows.exchange.summary import ImportSummary

NEW, LEAVE_OUT, OPEN = "new", "leave out", "open"
WITHOUT_CLASS = "Unclassified"
"""Name of the new class for findings that have none in the file."""
NAME = Qt.ItemDataRole.UserRole
PLAN_MS = 120
MOST_LINES = 6
MOST_CHOICES = 200
"""Names in the file that are listed; a file may name very many."""


class ImportDialog(QDialog):
    """Reads in a worker, shows a dry run, and changes the project only when its button is pressed.

    ``accept`` closes the dialog; :attr:`plan` is then the import to carry out.
    """

    def __init__(self, session: Session, jobs: JobRunner, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("importDialog")
        self.setWindowTitle("Import findings")
        self._session, self._jobs, self._path = session, jobs, path
        self._project = session.project
        self._read: ReadAnnotations | None = None
        self._generation = 0
        self.plan: ImportPlan | None = None
        self.file = QLabel(path.name)
        self.file.setToolTip(str(path))
        self.file.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.format = QComboBox()
        self.slide = QComboBox()
        self.pictures = PictureChoices([record.name for record in self._project.slides] if self._project else [])
        self.mapping = QTreeWidget()
        self.duplicates = QCheckBox("Leave out findings that already exist")
        self.as_stored = QCheckBox("They were marked on the picture as it is stored, before it was turned")
        self.as_stored.hide()
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.summary.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.take.setEnabled(False)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PLAN_MS)
        self._soon.timeout.connect(self._plan)
        self._fill()
        self._lay_out()
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.format.activated.connect(lambda _place: self._start_reading())
        self.slide.activated.connect(lambda _place: self._start_reading())
        self.duplicates.toggled.connect(self._plan_soon)
        self.as_stored.toggled.connect(self._plan_soon)
        self.pictures.choice_changed.connect(self._plan_soon)
        self._start_reading()

    def _fill(self) -> None:
        from microscope_qc.exchange.registry import FORMATS

        self.format.addItem("detect from the file", "auto")
        for known in FORMATS.values():
            self.format.addItem(known.title, known.name)
        slides = self._project.slides if self._project is not None else []
        if len(slides) > 1:
            self.slide.addItem("by the names of the pictures", None)
        for record in slides:
            self.slide.addItem(record.name, record.name)
        self.mapping.setHeaderLabels(["In the file", "Findings", "Class here"])
        self.mapping.headerItem().setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.mapping.setRootIsDecorated(False)
        self.mapping.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.mapping.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.mapping.setMinimumHeight(120)
        header = self.mapping.header()
        header.setStretchLastSection(False)
        for place, width in ((0, 190), (1, 72)):
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(place, width)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        form.setVerticalSpacing(theme.STEP)
        form.addRow("File", self.file)
        form.addRow("Format", self.format)
        form.addRow("Slide", self.slide)
        for box in (self.format, self.slide):
            box.setMinimumWidth(220)
            box.setSizePolicy(box.sizePolicy().Policy.Fixed, box.sizePolicy().Policy.Fixed)
        hint = QLabel("Nothing has been written yet. The import is one undo step.")
        hint.setProperty("quiet", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        column.addLayout(form)
        column.addWidget(self.pictures)
        column.addWidget(self.mapping, 1)
        column.addWidget(self.duplicates)
        column.addWidget(self.as_stored)
        around = ScrolledColumn(self.summary, self)
        around.setMinimumHeight(96)
        column.addWidget(around, 1)
        column.addWidget(hint)
        column.addWidget(self.buttons)
        self.resize(600, 600)

    # -- reading -----------------------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        from microscope_qc.workflows.exchange.importing import read_annotations
        from microscope_qc.workflows.exchange.matching import slide_sizes

        if self._project is None:
            return
        self._generation += 1
        generation, path = self._generation, self._path
        self._read = self.plan = None
        self.take.setEnabled(False)
        self._say("Reading…")
        sizes, format = slide_sizes(self._project, self.slide.currentData()), str(self.format.currentData())
        self._jobs.run(
            _as_job(lambda: read_annotations(path, sizes=sizes, format=format), f"Reading {path.name}"),
            f"Read {path.name}",
            on_done=lambda read: self._on_read(generation, read),
            on_failed=lambda error: self._on_failed(generation, error),
            on_cancelled=self.reject,
        )

    def _on_read(self, generation: int, read: ReadAnnotations) -> None:
        if generation != self._generation:
            return
        from microscope_qc.exchange.registry import FORMATS

        self._read = read
        self.pictures.forget()
        if self.format.currentData() == "auto":
            self.format.setItemText(0, f"{FORMATS.get(read.format).title} (detected)")
        self.mapping.clear()
        self._plan()

    def _on_failed(self, generation: int, error: BaseException) -> None:
        if generation != self._generation:
            return
        if not isinstance(error, MicroscopeQCError):
            self.reject()
            raise error
        self.plan = None
        self.take.setEnabled(False)
        self._say(str(error), error=True)

    # -- the dry run -------------------------------------------------------------------------------------------------

    def _plan_soon(self, *_: object) -> None:
        self.take.setEnabled(False)
        self._soon.start()

    def _plan(self) -> None:
        read, project = self._read, self._project
        if read is None or project is None:
            return
        self._generation += 1
        generation, place = self._generation, project.path
        slide, class_map, skip = self.slide.currentData(), self.class_map(), self.duplicates.isChecked()
        picture_map, as_stored = self.pictures.chosen(), self.as_stored.isChecked()
        self.take.setEnabled(False)

        def work() -> ImportPlan:
            from microscope_qc.project import Project
            from microscope_qc.workflows.exchange.importing import plan_import

            with Project.open(place, write=False) as reader:
                return plan_import(
                    reader,
                    read,
                    slide=slide,
                    class_map=class_map,
                    picture_map=picture_map,
                    as_stored=as_stored,
                    skip_duplicates=skip,
                )

        self._jobs.call(
            work,
            on_done=lambda plan: self._on_planned(generation, plan),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _on_planned(self, generation: int, plan: ImportPlan) -> None:
        if generation != self._generation:
            return
        self.plan = plan
        self._fill_mapping(plan.summary)
        self.pictures.ask(plan.summary.asked)
        self.as_stored.setVisible(plan.summary.unclear_turn > 0)
        if self.height() < self.minimumSizeHint().height():
            self.resize(self.width(), self.minimumSizeHint().height())
        open_questions = bool(plan.summary.asked or plan.summary.without_class)
        self._say("\n".join(words_of(plan.summary)), error=open_questions)
        ready = plan.summary.boxes > 0 and not open_questions
        self.take.setEnabled(ready and not self._soon.isActive())
        self.take.setText(f"Import {things(plan.summary.boxes, 'finding')}" if ready else "Import")

    def _say(self, words: str, *, error: bool = False) -> None:
        theme.mark_error(self.summary, error)
        self.summary.setText(words)

    # -- classes -----------------------------------------------------------------------------------------------------

    def _fill_mapping(self, summary: ImportSummary) -> None:
        have = {item.code for item in self._session.classes}
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        rows = {row.data(0, NAME): row for row in self._mapping_rows()}
        new = [name for name in sorted(summary.classes, key=bool) if name not in rows][: MOST_CHOICES - len(rows)]
        for name, row in rows.items():
            row.setText(1, count_text(summary.classes.get(name, 0)))
        for name in new:
            count = summary.classes[name]
            row = QTreeWidgetItem([name or "without a class", count_text(count), ""])
            row.setData(0, NAME, name)
            row.setTextAlignment(1, right)
            row.setToolTip(0, name)
            self.mapping.addTopLevelItem(row)
            chooser = QComboBox()
            chooser.setIconSize(QSize(14, 14))
            if not name:
                chooser.addItem("Choose…", OPEN)
            chooser.addItem(theme.icon("plus"), f"New class: {name or WITHOUT_CLASS}", NEW)
            if name in have:
                chooser.removeItem(0)
            for item in self._session.classes:
                chooser.addItem(chip_icon(item.colour), f"{item.code}  {item.name}", item.code)
            chooser.addItem(theme.icon("close"), "Leave out", LEAVE_OUT)
            guess = self._guess(name) if name else OPEN
            with QSignalBlocker(chooser):
                chooser.setCurrentIndex(max(0, chooser.findData(guess)))
            chooser.currentIndexChanged.connect(self._plan_soon)
            self.mapping.setItemWidget(row, 2, chooser)
        if any(code and code not in have and self._guess(code) != NEW for code in new):
            self._plan_soon()

    def _guess(self, name: str) -> str:
        """The class with this code or name: other programs write either."""
        wanted = name.strip().casefold()
        for item in self._session.classes:
            if name == item.code:
                return item.code
        for item in self._session.classes:
            if wanted in (item.code.casefold(), item.name.casefold()):
                return item.code
        return NEW

    def _mapping_rows(self) -> list[QTreeWidgetItem]:
        rows = (self.mapping.topLevelItem(place) for place in range(self.mapping.topLevelItemCount()))
        return [row for row in rows if row is not None]

    def chooser(self, name: str) -> QComboBox:
        """The list that chooses the class for a name in the file."""
        for row in self._mapping_rows():
            if row.data(0, NAME) == name:
                found = self.mapping.itemWidget(row, 2)
                assert isinstance(found, QComboBox)
                return found
        raise KeyError(name)

    def class_map(self) -> dict[str, str | None]:
        """The user's choices, as an argument for the import."""
        chosen: dict[str, str | None] = {}
        for row in self._mapping_rows():
            name = str(row.data(0, NAME))
            value = self.chooser(name).currentData()
            if value != OPEN:
                chosen[name] = (name or WITHOUT_CLASS) if value == NEW else None if value == LEAVE_OUT else str(value)
        return chosen


def words_of(summary: ImportSummary) -> list[str]:
    """What an import would do (or did), one line for each fact."""
    lines = []
    places = ", ".join(f"{name} {count_text(count)}" for name, count in summary.slides.items() if count)
    if summary.asked:
        pictures = things(len(summary.asked), "picture fits", "pictures fit")
        lines.append(f"{pictures} more than one slide, or a slide that another picture fits too: choose above.")
    if summary.without_class:
        verb = "has" if summary.without_class == 1 else "have"
        lines.append(f"{things(summary.without_class, 'finding')} {verb} no class in the file: choose one above.")
    if len(summary.classes) > MOST_CHOICES:
        lines.append(f"{things(len(summary.classes) - MOST_CHOICES, 'more class', 'more classes')} keep their names.")
    lines.append(f"{things(summary.boxes, 'finding')} would be imported" + (f" ({places})." if places else "."))
    if summary.new_classes:
        lines.append(f"New classes: {_listed(list(summary.new_classes))}.")
    if summary.duplicates:
        verb = "is" if summary.duplicates == 1 else "are"
        lines.append(
            f"{things(summary.duplicates, 'finding')} {verb} already here, with the same class in the same place."
        )
    for reason, count in (*summary.skipped.items(), *summary.noted.items()):
        seen = summary.places.get(reason, ())
        at = f" ({'; '.join(seen)}{'; …' if count > len(seen) else ''})" if seen else ""
        who = f"{count_text(count)} left out" if reason in summary.skipped else things(count, "finding")
        lines.append(f"{who}: {reason}{at}.")
    if summary.files_left_out:
        name, reason = next(iter(summary.files_left_out.items()))
        more = f" and {len(summary.files_left_out) - 1} more" if len(summary.files_left_out) > 1 else ""
        lines.append(f"{things(len(summary.files_left_out), 'file')} left out: {name} ({reason}){more}.")
    if summary.unmatched:
        name, reason = next(iter(summary.unmatched.items()))
        more = f" and {len(summary.unmatched) - 1} more" if len(summary.unmatched) > 1 else ""
        lines.append(f"{things(len(summary.unmatched), 'picture')} without a slide here: {name} ({reason}){more}.")
    details = [
        things(count, one)
        for count, one in ((summary.outlines, "outline"), (summary.attributes, "finding with attributes"))
        if count
    ]
    if summary.attributes > 1:
        details[-1] = f"{count_text(summary.attributes)} findings with attributes"
    if details:
        lines.append(f"With {' and '.join(details)}.")
    return lines


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_LINES} more" if len(names) > MOST_LINES else ""
    return ", ".join(names[:MOST_LINES]) + more


def _as_job(work: Callable[[], Any], note: str) -> Job[Any]:
    yield Progress(0, 0, "", note)
    return work()
