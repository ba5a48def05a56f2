"""The page of studies: what is asked at the left, the table at the right; a study runs in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.learn.dividing import divide
from microscope_qc.app.panels.learn.studies.forms import PAGE, TABLE, FoldsForm, StudyForm, make_forms
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import column_of, heading, note, scrolled, sentence
from microscope_qc.app.widgets.plot_pane import PICTURES, TABLES, PlotPane
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import atomic_path
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import duration_text
from microscope_qc.workflows.models.in_child import run_command
from microscope_qc.workflows.models.shelf import ModelEntry, duplicate_model, find_model, shelf_reader
from microscope_qc.workflows.studies.table import StudyTable, read_table

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

FOLDER = "studies"
SIDE_PX, REFRESH_MS = 320, 100
_NOTHING = "Nothing yet. Choose a study and press Start: it goes on while you work, and can be stopped at any time."


class StudiesPanel(QWidget):
    """Studies of the open project; what they found is kept in its folder.

    Parameters
    ----------
    command
        Runs a command of the program in a process of its own; replaced in tests.
    """

    model_kept = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        command: Callable[..., Job[None]] = run_command,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("studies")
        self._session, self._jobs, self._command = session, jobs, command
        self._handle: JobHandle | None = None
        self._running: StudyForm | None = None
        self._generation, self._begun = 0, False
        self.found: StudyTable | None = None
        self.kind, self.stack = QComboBox(), QStackedWidget()
        self.forms = make_forms(settings)
        self.start, self.cancel = QPushButton("Start"), QPushButton("Stop")
        self.again = QPushButton("Begin again")
        self.bar, self.story = JobBar(), sentence()
        self.title, self.table, self.notes = heading(""), QTableWidget(), note()
        self.views, self.shown = QTabBar(), QStackedWidget()
        self.chart = PlotPane(jobs, session.notice.emit)
        self.open_page, self.save = QPushButton("Open page"), QPushButton("Save…")
        self.keep = QPushButton("Keep this model")
        self._build()
        self._due = Refresh(self, self._refresh)
        self._offer_soon = Refresh(self, self._offer, after_ms=REFRESH_MS)
        self.table.itemSelectionChanged.connect(self._due.soon)
        for form in self.forms:
            form.changed.connect(self._due.soon)
        self.kind.currentIndexChanged.connect(self._on_kind_chosen)
        for signal in (session.project_changed, session.runs_changed, session.model_in_use_changed):
            link(self, signal, self._offer_soon.soon)
        link(self, session.project_changed, self._read)
        self._offer()
        self._read()

    def _build(self) -> None:
        for form in self.forms:
            self.kind.addItem(form.title)
            self.stack.addWidget(form)
        self.start.setProperty("primary", True)
        self.start.clicked.connect(self.start_chosen)
        self.cancel.clicked.connect(self.stop)
        self.cancel.setToolTip("What is done is kept; Start goes on from there")
        self.again.clicked.connect(lambda: self.start_chosen(again=True))
        self.open_page.clicked.connect(self._on_open_page)
        self.open_page.setToolTip("The table with its charts, in the browser")
        self.save.clicked.connect(self.ask_and_save)
        self.views.setAccessibleName("Table and charts")
        self.views.setExpanding(False)
        self.views.setDrawBase(False)
        self.views.currentChanged.connect(self._on_view_changed)
        self.shown.addWidget(self.table)
        self.shown.addWidget(self.chart)
        self.keep.clicked.connect(self.keep_model)
        self.keep.setToolTip("Copies the model of the chosen line to the models of the project")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        buttons, below = QHBoxLayout(), QHBoxLayout()
        for button in (self.start, self.cancel, self.again):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.open_page, self.save, self.keep):
            below.addWidget(button)
        below.addStretch(1)
        above = column_of(self.kind, self.stack)
        above.addStretch(1)
        foot = column_of(self.bar, self.story, buttons)
        foot.setContentsMargins(theme.STEP, 4, theme.STEP, theme.STEP)
        side, holder = QVBoxLayout(), QWidget()
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(scrolled(above, self), 1)
        side.addLayout(foot)
        holder.setLayout(side)
        holder.setFixedWidth(SIDE_PX)
        right = column_of(self.title, self.views)
        right.addWidget(self.shown, 1)
        right.addWidget(self.notes)
        right.addLayout(below)
        right.setContentsMargins(0, theme.STEP, theme.STEP, theme.STEP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(holder)
        row.addLayout(right, 1)

    def sizeHint(self) -> QSize:
        """Qt: room for a form beside a table."""
        return QSize(900, 320)

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def form(self) -> StudyForm:
        """The study that is chosen."""
        return self.forms[self.kind.currentIndex()]

    @property
    def handle(self) -> JobHandle | None:
        """The study that runs; None while none does."""
        return self._handle

    def folder(self, form: StudyForm) -> Path | None:
        """Where a study of the open project is kept."""
        project = self._session.project
        return None if project is None else project.path / FOLDER / form.action

    def why_not(self) -> str:
        """Why the chosen study cannot be started; "" if it can."""
        if self._session.project is None:
            return "Open a project first."
        if not self._session.can_write:
            return "This project is open for reading only."
        return "A study is running." if self._handle is not None else self.form.why_not()

    def _on_kind_chosen(self, place: int) -> None:
        self.stack.setCurrentIndex(place)
        self._read()

    def _offer(self) -> None:
        """Read which models there are, in another thread."""
        self._jobs.call(shelf_reader(self._session.project), self._take_models, self._on_failed)

    def _take_models(self, models: list[ModelEntry]) -> None:
        for form in self.forms:
            form.offer(self._session.project, models)
        self._refresh()

    def _read(self) -> None:
        """Read what the chosen study found before, in another thread."""
        folder = self.folder(self.form)
        self._generation += 1
        self._take(self._generation, (None, False))
        if folder is not None and not self._jobs.closed:
            self._jobs.call(
                lambda: (read_table(folder / TABLE), folder.is_dir()), partial(self._take, self._generation)
            )

    def _take(self, generation: int, read: tuple[StudyTable | None, bool]) -> None:
        """Show a table; the other says whether anything of the study is kept."""
        if generation != self._generation:
            return
        found, self._begun = read
        self.found = found
        self.table.clear()
        head, cells = ([], []) if found is None else (found.head, found.cells())
        self.table.setColumnCount(len(head))
        self.table.setHorizontalHeaderLabels(head)
        self.table.setRowCount(len(cells))
        for row, line in enumerate(cells):
            for column, text in enumerate(line):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.table.resizeColumnsToContents()
        self._offer_views()
        self._refresh()

    def _offer_views(self) -> None:
        """Offer the table and its charts; which of them is shown stays where there is such a one."""
        before = self.views.tabText(self.views.currentIndex())
        charts = [] if self.found is None else self.found.charts
        self.views.blockSignals(True)
        while self.views.count():
            self.views.removeTab(0)
        for title in ("Table", *(chart.title for chart in charts)):
            self.views.addTab(title)
        titles = [self.views.tabText(place) for place in range(self.views.count())]
        self.views.setCurrentIndex(titles.index(before) if before in titles else 0)
        self.views.blockSignals(False)
        self._on_view_changed(self.views.currentIndex())

    def _on_view_changed(self, place: int) -> None:
        charts = [] if self.found is None else self.found.charts
        self.chart.want(charts[place - 1] if place > 0 else None)
        self.shown.setCurrentIndex(1 if place > 0 else 0)
        self.save.setToolTip(
            "As SVG, PNG or PDF, or its values" if place > 0
            else "As a page of HTML with charts, or as a table (CSV, XLSX)"
        )  # fmt: skip

    def _refresh(self) -> None:
        why_not, found = self.why_not(), self.found
        self.start.setEnabled(not why_not)
        self.start.setToolTip(why_not)
        self.again.setVisible(self.form.learns and self._begun)
        self.again.setEnabled(not why_not)
        self.again.setToolTip(why_not or "Without the models of this study that were trained before, which are deleted")
        self.cancel.setEnabled(self._handle is not None and not self._handle.cancelling)
        self.title.setText(_NOTHING if found is None else f"{found.title}, {found.subtitle}")
        self.notes.setText("" if found is None else "<br>".join(escape(line) for line in found.notes))
        for part in (self.shown, self.notes, self.open_page, self.save):
            part.setVisible(found is not None)
        self.views.setVisible(found is not None and len(found.charts) > 0)
        self.keep.setVisible(found is not None and any(row.get("model") for row in found.rows))
        self.keep.setEnabled(self._chosen_model() is not None and self._session.can_write)
        self._show_story()

    def _show_story(self) -> None:
        handle = self._handle
        self.bar.setVisible(handle is not None)
        if handle is None or self._running is None:
            return
        progress = handle.progress
        self.bar.setRange(0, 1000 if progress.total > 0 else 0)
        if progress.total > 0:
            self.bar.setValue(round(1000 * progress.fraction))
        words = "Stopping …" if handle.cancelling else f"{self._running.title}: {progress.note or 'starting'}"
        said = escape(words)
        if handle.seconds_left is not None and not handle.cancelling:
            said += f". <b>{duration_text(handle.seconds_left)}</b> left"
        self.story.setText(said)

    def _chosen_model(self) -> Path | None:
        rows = self.table.selectionModel().selectedRows()
        if self.found is None or not rows or rows[0].row() >= len(self.found.rows):
            return None
        row = self.found.rows[rows[0].row()]
        return Path(row["model"]) if row.get("model") and not row.get("problem") else None

    # -- what the user does ------------------------------------------------------------------------------------------

    def show_folds(self, network: str, minutes: int) -> None:
        """Show what a cross-validation of a network asks for."""
        place = next(place for place, form in enumerate(self.forms) if isinstance(form, FoldsForm))
        self.kind.setCurrentIndex(place)
        form = self.form
        assert isinstance(form, FoldsForm)
        form.choose(network, minutes)

    def start_chosen(self, *, again: bool = False) -> None:
        """Start the chosen study, or go on with it; or begin ``again``, without what is kept of it."""
        project, form = self._session.project, self.form
        folder = self.folder(form)
        if self.why_not() or project is None or folder is None:
            return
        arguments = form.command(project.path, folder)

        def go() -> None:
            if self._handle is None and not self._jobs.closed:
                self._run(form, folder, arguments, again=again)

        if form.learns:
            divide(self._session, self._jobs, project, go, self._on_failed)
        else:
            go()

    def _run(self, form: StudyForm, folder: Path, arguments: list[str], *, again: bool) -> None:
        def job() -> Job[None]:
            if again:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            yield from self._command(arguments)

        self._running = form
        self.story.setText("")
        handle = self._jobs.run(
            job(), form.title, lambda _: self._end(""), self._on_study_failed,
            lambda: self._end("Stopped. What is done is kept: Start goes on from there."),
        )  # fmt: skip
        self._handle = handle
        handle.changed.connect(self._due.soon)
        self._refresh()

    def stop(self) -> None:
        """Stop the study; what is done is kept."""
        if self._handle is not None:
            self._handle.cancel()
            self._refresh()

    def _end(self, said: str) -> None:
        self._handle, self._running = None, None
        self.story.setText(said)
        self._read()

    def _on_study_failed(self, error: BaseException) -> None:
        self._end(str(error) if isinstance(error, MicroscopeQCError) else f"It failed ({error}); see the log.")

    def _on_failed(self, error: BaseException) -> None:
        """Something else than the study failed, which may be running."""
        if not isinstance(error, MicroscopeQCError):
            raise error
        if self._handle is None:
            self.story.setText(str(error))
        else:
            self._session.notice.emit(str(error))

    def _on_open_page(self) -> None:
        folder = self.folder(self.form)
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder / PAGE)))

    def ask_and_save(self) -> None:
        """Ask where, and write the table, or the chart that is shown."""
        plot = self.chart.wanted
        kinds = f"Page with charts (*.html);;{TABLES}" if plot is None else f"{PICTURES};;{TABLES}"
        offered = f"{self.form.action}.html" if plot is None else f"{self.form.action}-{plot.name}.svg"
        out, _ = QFileDialog.getSaveFileName(self, "Save", offered, kinds)
        if out:
            self.save_to(Path(out))

    def save_to(self, path: Path) -> None:
        """Write what is shown, as the name says; in another thread."""
        found, folder = self.found, self.folder(self.form)
        if found is None or folder is None:
            return

        def write_table() -> Path:
            if path.suffix.lower() not in (".html", ".htm"):
                return found.write(path)
            with atomic_path(path) as draft:
                shutil.copyfile(folder / PAGE, draft)
            return path

        write = self.chart.writing(path) or write_table
        self._jobs.call(write, lambda done: self._session.notice.emit(f"{done} is written."), self._on_failed)

    def keep_model(self) -> None:
        """Copy the model of the chosen line to the models of the project."""
        model, project = self._chosen_model(), self._session.project
        if model is None or project is None:
            return

        def done(entry: ModelEntry) -> None:
            self._session.notice.emit(f"{entry.name} is among the models of the project.")
            self.model_kept.emit()

        self._jobs.call(lambda: duplicate_model(find_model(model, project), model.name, project), done, self._on_failed)
