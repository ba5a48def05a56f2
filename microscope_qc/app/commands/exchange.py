"""What goes in and out: finds as annotations, training pictures, the history; filters and classes beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.panels.classes.manager import ClassManager
    from microscope_qc.app.panels.exchange.import_dialog import ImportDialog
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project
    from microscope_qc.workflows.exchange.importing import ImportPlan, ImportSummary, PendingImport

ANNOTATIONS = "Annotations (*.json *.geojson *.xml *.csv *.txt *.yaml);;All files (*)"


WRITTEN_AT_ONCE = 5000
"""Fewer finds are written before the eye notices; more are written by a worker."""


class ExchangeCommands:
    """Import, export, training pictures, history as a table, classes, the filter."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._session = window.session
        self._classes: ClassManager | None = None
        self._session.filter_changed.connect(window.book_refresh_soon)

    # -- in ----------------------------------------------------------------------------------------------------------

    def import_dialog(self) -> None:
        """Ask for an annotation file."""
        chosen, _ = QFileDialog.getOpenFileName(self._window, "Import finds", self._folder(), ANNOTATIONS)
        if chosen:
            self.import_from(Path(chosen))

    def import_folder_dialog(self) -> None:
        """Ask for a folder with one annotation file for each picture."""
        chosen = QFileDialog.getExistingDirectory(self._window, "Import a folder of annotations", self._folder())
        if chosen:
            self.import_from(Path(chosen))

    def import_from(self, path: Path) -> ImportDialog | None:
        """Show what a file or folder holds, and take it in when the person says so."""
        from microscope_qc.app.panels.exchange.import_dialog import ImportDialog

        project = self._session.project
        if project is None:
            return None
        dialog = ImportDialog(self._session, self._window.jobs, path, self._window)
        dialog.accepted.connect(lambda: self._take_in(project, dialog.plan))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def _take_in(self, project: Project, plan: ImportPlan | None) -> None:
        from microscope_qc.workflows.exchange.importing import carry_out, prepare

        window, session = self._window, self._session
        if plan is None or session.project is not project:
            return
        if plan.summary.boxes < WRITTEN_AT_ONCE or window.jobs.running:
            # a detection that brings finds may not wait for a lock
            self._say_taken(carry_out(project, plan))
            return
        pending = prepare(project, plan)
        window.jobs.run(
            _write_job(pending),
            plan.title,
            on_done=lambda _: self._say_taken(pending.finish()) if session.project is project else None,
            on_cancelled=pending.command.give_up,
        )
        window.book_refresh_soon()

    def _say_taken(self, summary: ImportSummary) -> None:
        words = f"{things(summary.boxes, 'find')} taken in."
        if summary.new_classes:
            words += f" {things(len(summary.new_classes), 'new class', 'new classes')}."
        self._session.notice.emit(words)

    # -- out ---------------------------------------------------------------------------------------------------------

    def export_dialog(self) -> None:
        """Everything that can be written from the shown finds."""
        from microscope_qc.app.panels.exchange.export_panel import ExportDialog

        dialog = ExportDialog(self._session, self._window.jobs, self._window)
        dialog.training_requested.connect(self.training_pictures)
        dialog.exec()

    def training_pictures(self) -> None:
        """Cut pictures with their finds for training."""
        from microscope_qc.app.panels.exchange.training_dialog import TrainingDialog

        dialog = TrainingDialog(self._session, self._window.jobs, self._window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def export_history(self) -> None:
        """Write the history as a table."""
        project = self._session.project
        if project is None:
            return
        offered = str(project.path.parent / f"{project.name}-history.csv")
        chosen, _ = QFileDialog.getSaveFileName(self._window, "History as a table", offered, "CSV table (*.csv)")
        if not chosen:
            return
        target = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(".csv")
        place = project.path
        self._window.jobs.run(
            _history_job(place, target),
            f"Writing {target.name}",
            on_done=lambda lines: self._session.notice.emit(f"Written: {target.name}, {things(lines, 'line')}."),
        )

    # -- beside them -------------------------------------------------------------------------------------------------

    def clear_filter(self) -> None:
        """Show all finds again."""
        self._session.clear_filter()

    def manage_classes(self, class_id: int = 0) -> None:
        """Open the class manager beside the slide, at a class when one is given."""
        from microscope_qc.app.panels.classes.manager import ClassManager

        if self._classes is None:
            self._classes = ClassManager(self._session, self._window)
        self._classes.show()
        self._classes.raise_()
        self._classes.activateWindow()
        if class_id:
            self._classes.show_class(class_id)

    def _folder(self) -> str:
        project = self._session.project
        return str(project.path.parent) if project is not None else str(Path.home())


def _write_job(pending: PendingImport) -> Job[None]:
    yield Progress(0, 0, "", "writing")
    pending.write()


def _history_job(place: Path, target: Path) -> Job[int]:
    from microscope_qc.project import Project

    yield Progress(0, 0, "", f"writing {target.name}")
    with Project.open(place, write=False) as reader:
        return reader.history.export(target)
