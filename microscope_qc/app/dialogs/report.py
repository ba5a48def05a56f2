"""File > Report: what it says, in which language, from which template; a preview; then a job that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.reports.document import CONTENTS
from microscope_qc.reports.language import LANGUAGES
from microscope_qc.workflows.results.grouping import SLIDE
from microscope_qc.workflows.results.report import TEMPLATES, check_names

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

KINDS = (("HTML, for a browser", ".html"), ("PDF", ".pdf"), ("Word", ".docx"), ("JSON, for programs", ".json"))
_NO_TEMPLATE = "The program's own"

AskFile = Callable[[QWidget, str, str, str], str]
"""Asks for a file; called with the parent, a title, the offered path and what files are shown; "" for none."""


def ask_new_file(parent: QWidget, title: str, offered: str, shown: str) -> str:
    """Ask with the system's dialog where to write."""
    return QFileDialog.getSaveFileName(parent, title, offered, shown)[0]


def ask_file(parent: QWidget, title: str, offered: str, shown: str) -> str:
    """Ask with the system's dialog what to read."""
    return QFileDialog.getOpenFileName(parent, title, offered, shown)[0]


def open_file(path: Path) -> None:
    """Show a file with the program that the system has for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


@dataclass(frozen=True, slots=True)
class ReportOrder:
    """What is chosen in the dialog; files are read by the job (:func:`report_job`)."""

    leave_out: frozenset[str]
    language: str
    by: str
    limits: str
    template: str
    rejected: bool
    slide_ids: tuple[int, ...] | None


def report_job(project: Path, out: Path, order: ReportOrder) -> Job[Path]:
    """Write a report of the project at a place, as it is on the disk; any thread may do this."""
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.batches import read_limits
    from microscope_qc.workflows.results.report import write_report
    from microscope_qc.workflows.results.report_content import ReportChoice

    limits = tuple(read_limits(order.limits)) if order.limits else ()
    by = (order.by,) if order.by else ()
    choice = ReportChoice(order.leave_out, order.language, by, limits, rejected=order.rejected)
    with Project.open(project, write=False) as reader:
        template = order.template or None
        return (yield from write_report(reader, out, choice=choice, template=template, slide_ids=order.slide_ids))


class FileChoice(QWidget):
    """A file that may be chosen, by its name; ``path`` is "" without one."""

    def __init__(self, title: str, shown: str, nothing: str, ask: AskFile, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self.shown, self._ask = title, shown, ask
        self.path = ""
        self.line, self.choose, self.drop = QLineEdit(), QPushButton("Choose…"), QPushButton("None")
        self.line.setReadOnly(True)
        self.line.setPlaceholderText(nothing)
        self.line.setAccessibleName(title)
        for button in (self.choose, self.drop):
            button.setAutoDefault(False)
        self.choose.clicked.connect(self._on_choose)
        self.drop.clicked.connect(lambda: self.set(""))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.line, self.choose, self.drop):
            row.addWidget(part)
        self.set("")

    def set(self, path: str) -> None:
        """Show a path, or that there is none."""
        self.path = path
        self.line.setText(Path(path).name if path else "")
        self.line.setToolTip(path)
        self.drop.setEnabled(bool(path))

    def _on_choose(self) -> None:
        chosen = self._ask(self, self._title, str(Path(self.path).parent) if self.path else "", self.shown)
        if chosen:
            self.set(chosen)


class ReportDialog(QDialog):
    """What is chosen is remembered for the next report, of any project.

    Parameters
    ----------
    save
        Saves the settings.
    ask_new, ask, show_file
        Replace the system's dialogs and programs in tests.
    """

    def __init__(
        self, session: Session, jobs: JobRunner, settings: AppSettings, parent: QWidget | None = None, *,
        save: Callable[[], None], ask_new: AskFile = ask_new_file, ask: AskFile = ask_file,
        show_file: Callable[[Path], None] = open_file,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.setObjectName("reportDialog")
        self.setWindowTitle("Report")
        self._session, self._jobs, self._settings, self._save = session, jobs, settings, save
        self._ask_new, self._show_file = ask_new, show_file
        self._previewing: JobHandle | None = None
        self._gone = False
        self.parts = {name: QCheckBox(title) for name, title in CONTENTS.items()}
        self.language, self.kind, self.by = QComboBox(), QComboBox(), QComboBox()
        self.template = FileChoice("Template", "", _NO_TEMPLATE, ask)
        self.limits = FileChoice("Acceptance limits", "Tables (*.csv *.xlsx)", "No verdict", ask)
        self.with_rejected = QCheckBox("Rejected findings in maps and pictures, too")
        self.open_it = QCheckBox("Open it when it is written")
        self.said = sentence()
        self.preview, self.start_template = QPushButton("Preview"), QPushButton("Start a Word template…")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.write = buttons.addButton("Write…", QDialogButtonBox.ButtonRole.AcceptRole)
        self._fill()
        self._lay_out(buttons)
        self.kind.currentIndexChanged.connect(self._on_kind_changed)
        self.write.clicked.connect(self._on_write)
        buttons.rejected.connect(self.reject)
        self.preview.clicked.connect(self._on_preview)
        self.start_template.clicked.connect(self._on_start_template)
        self._on_kind_changed()

    def _fill(self) -> None:
        known = self._settings.report
        left_out = known.get("leave_out", "").split()
        for name, box in self.parts.items():
            box.setChecked(name not in left_out)
        for title, code in ((title, code) for code, title in LANGUAGES.items()):
            self.language.addItem(title, code)
        for title, suffix in KINDS:
            self.kind.addItem(title, suffix)
        self.by.addItem("All slides together", "")
        self.by.addItem("Slide", SLIDE)
        project = self._session.project
        if project is not None:
            for field in project.fields.known:
                if any(record.fields.get(field.name) is not None for record in project.slides):
                    self.by.addItem(field.title or field.name, field.name)
        for choice, name in ((self.language, "language"), (self.kind, "kind"), (self.by, "by")):
            choice.setCurrentIndex(max(0, choice.findData(known.get(name, ""))))
        self.template.set(known.get("template", ""))
        self.limits.set(known.get("limits", ""))
        self.with_rejected.setChecked(known.get("rejected") == "yes")
        self.open_it.setChecked(known.get("open", "yes") == "yes")

    def _lay_out(self, buttons: QDialogButtonBox) -> None:
        contents = QGroupBox("Contents")
        grid = QGridLayout(contents)
        half = -(-len(self.parts) // 2)
        for number, box in enumerate(self.parts.values()):
            grid.addWidget(box, number % half, number // half)
        form = QFormLayout()
        for words, part in (
            ("File", self.kind), ("Language", self.language), ("Groups", self.by), ("Template", self.template),
            ("Limits", self.limits),
        ):  # fmt: skip
            form.addRow(words, part)
        self.template.setToolTip("A page or Word file of your own with fields such as {{ total.kept }}")
        self.start_template.setToolTip("Writes the Word file that the program's own report is made from")
        for button in (self.preview, self.start_template):
            button.setAutoDefault(False)
        row = QHBoxLayout()
        row.addWidget(self.preview)
        row.addWidget(self.start_template)
        row.addStretch(1)
        row.addWidget(buttons)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(ScopeSwitch(self._session))
        column.addWidget(contents)
        column.addLayout(form)
        column.addWidget(self.with_rejected)
        column.addWidget(self.open_it)
        column.addWidget(self.said)
        column.addLayout(row)
        self.said.hide()

    # -- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def suffix(self) -> str:
        """What the name of the report ends in."""
        return str(self.kind.currentData())

    def order(self) -> ReportOrder:
        """What the job is told."""
        scope = self._session.scope
        left_out = frozenset(name for name, box in self.parts.items() if not box.isChecked())
        return ReportOrder(
            left_out, str(self.language.currentData()), str(self.by.currentData()), self.limits.path,
            self._template(), self.with_rejected.isChecked(), None if scope.kind == "all" else tuple(scope.slide_ids),
        )  # fmt: skip

    def _template(self) -> str:
        """The template, where it is one for the kind of file."""
        fits = Path(self.template.path).suffix.lower() in TEMPLATES[self.suffix]
        return self.template.path if fits else ""

    def _on_kind_changed(self) -> None:
        suffixes = TEMPLATES[self.suffix]
        self.template.shown = f"Templates ({' '.join(f'*{suffix}' for suffix in suffixes)})"
        self.template.setEnabled(bool(suffixes))
        unfit = self.template.path and not self._template()
        self._say(f"{Path(self.template.path).name} is no template for this kind of file." if unfit else "")

    def _remember(self) -> None:
        order = self.order()
        self._settings.report = {
            "leave_out": " ".join(sorted(order.leave_out)), "language": order.language, "kind": self.suffix,
            "by": order.by, "limits": order.limits, "template": self.template.path,
            "rejected": "yes" if order.rejected else "", "open": "yes" if self.open_it.isChecked() else "",
        }  # fmt: skip
        self._save()

    def _say(self, words: str) -> None:
        self.said.setText(words)
        self.said.setVisible(bool(words))

    # -- what is done ------------------------------------------------------------------------------------------------

    def _on_preview(self) -> None:
        """Write it into the cache and show it; the dialog stays."""
        project = self._session.project
        if project is None:
            return
        out = cache_folder() / "preview" / f"report{self.suffix}"
        self.preview.setEnabled(False)
        self._say("")

        def ready(written: Path) -> None:
            if not self._gone:
                self.preview.setEnabled(True)
                self._show_file(written)

        def failed(error: BaseException) -> None:
            self._say_failed(error)
            if not self._gone:
                self.preview.setEnabled(True)

        def cancelled() -> None:
            if not self._gone:
                self.preview.setEnabled(True)

        self._previewing = self._jobs.run(
            report_job(project.path, out, self.order()), "Preview of the report", ready, failed, cancelled
        )

    def done(self, result: int) -> None:
        """Qt: the dialog closes, and nobody waits for a preview."""
        self._gone = True
        if self._previewing is not None:
            self._previewing.cancel()
        super().done(result)

    def _say_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        if not self._gone:
            self._say(str(error))

    def _on_write(self) -> None:
        """Ask where, and write it in the background; the dialog closes."""
        session, project = self._session, self._session.project
        if project is None:
            return
        offered = project.path.parent / f"{project.name}-report{self.suffix}"
        chosen = self._ask_new(self, "Report", str(offered), f"{self.kind.currentText()} (*{self.suffix})")
        if not chosen:
            return
        out = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(self.suffix)
        order, show, notice = self.order(), self.open_it.isChecked(), session.notice
        try:
            check_names(out, Path(order.template) if order.template else None)
        except MicroscopeQCError as error:
            self._say(str(error))
            return
        self._remember()
        show_file = self._show_file

        def written(path: Path) -> None:
            notice.emit(f"Written: {path.name}")
            if show:
                show_file(path)

        self._jobs.run(report_job(project.path, out, order), f"Writing {out.name}", written)
        self.accept()

    def _on_start_template(self) -> None:
        """Write the Word file to begin a template with, and take it as the template."""
        from microscope_qc.reports.word_start import write_starting_template

        chosen = self._ask_new(self, "Word template", "report-template.docx", "Word (*.docx)")
        if not chosen:
            return
        out = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(".docx")
        language = str(self.language.currentData())

        def written(path: Path) -> None:
            if self._gone:
                return
            self.kind.setCurrentIndex(self.kind.findData(".docx"))
            self.template.set(str(path))
            self._say(f"{path.name} is written: change it in Word, and write the report from it.")
            self._show_file(path)

        self._jobs.call(lambda: write_starting_template(out, language), written, self._say_failed)
