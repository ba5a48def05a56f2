"""Import and export: annotations, training pictures, the history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project, writing
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.panels.exchange.import_dialog import ImportDialog
    from microscope_qc.project import Project
    from microscope_qc.workflows.exchange.importing import ImportPlan, PendingImport
    from microscope_qc.workflows.exchange.summary import ImportSummary

WRITTEN_AT_ONCE = 5000
"""Fewer findings than this are written at once; more are written by a worker."""

# -- in ----------------------------------------------------------------------------------------------------------------


def annotation_filter() -> str:
    """What the file dialog shows: files of every annotation format."""
    from microscope_qc.exchange.registry import suffixes

    return f"Annotations ({' '.join(f'*{suffix}' for suffix in suffixes())});;All files (*)"


def _import(context: Context) -> None:
    """Ask for an annotation file."""
    window = context.navigator.window
    chosen, _ = QFileDialog.getOpenFileName(window, "Import findings", _folder(context), annotation_filter())
    if chosen:
        import_from(context, Path(chosen))


def _import_folder(context: Context) -> None:
    """Ask for a folder with one annotation file for each picture."""
    window = context.navigator.window
    chosen = QFileDialog.getExistingDirectory(window, "Import a folder of annotations", _folder(context))
    if chosen:
        import_from(context, Path(chosen))


def import_from(context: Context, path: Path) -> ImportDialog | None:
    """Show what a file or folder contains, and import it when the user accepts."""
    from microscope_qc.app.panels.exchange.import_dialog import ImportDialog

    project = context.session.project
    if project is None:
        return None
    dialog = ImportDialog(context.session, context.jobs, path, context.navigator.window)
    dialog.accepted.connect(lambda: _carry_out(context, project, dialog.plan))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def _carry_out(context: Context, project: Project, plan: ImportPlan | None) -> None:
    from microscope_qc.workflows.exchange.importing import carry_out, prepare

    session, jobs = context.session, context.jobs
    if plan is None or session.project is not project:
        return
    if plan.summary.boxes < WRITTEN_AT_ONCE or jobs.running:
        # a running detection adds findings and must not wait for a lock
        _say_imported(context, carry_out(project, plan))
        return
    pending = prepare(project, plan)
    jobs.run(
        _write_job(pending),
        plan.title,
        on_done=lambda _: _say_imported(context, pending.finish()) if session.project is project else None,
        on_cancelled=pending.command.give_up,
    )
    context.navigator.refresh_actions()


def _say_imported(context: Context, summary: ImportSummary) -> None:
    words = f"{things(summary.boxes, 'finding')} imported."
    if summary.new_classes:
        words += f" {things(len(summary.new_classes), 'new class', 'new classes')}."
    context.session.notice.emit(words)


# -- out ---------------------------------------------------------------------------------------------------------------


def _export(context: Context) -> None:
    """Open the dialog with everything that can be written."""
    from microscope_qc.app.panels.exchange.export_dialog import ExportDialog

    window, save = context.navigator.window, context.navigator.save_settings
    dialog = ExportDialog(context.session, context.jobs, context.settings, window, save=save)
    dialog.training_requested.connect(lambda: training_pictures(context))
    dialog.exec()


def _report(context: Context) -> None:
    """Choose what a report says, and write it."""
    from microscope_qc.app.dialogs.report import ReportDialog

    window, save = context.navigator.window, context.navigator.save_settings
    dialog = ReportDialog(context.session, context.jobs, context.settings, window, save=save)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def training_pictures(context: Context) -> None:
    """Cut pictures with their findings for training."""
    from microscope_qc.app.panels.exchange.training_dialog import TrainingDialog

    dialog = TrainingDialog(context.session, context.jobs, context.navigator.window)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def _export_history(context: Context) -> None:
    """Write the history as a table."""
    from microscope_qc.app.widgets.export_kinds import writing
    from microscope_qc.workflows.exports import export_named

    session = context.session
    project = session.project
    if project is None:
        return
    offered = str(project.path.parent / f"{project.name}-history.csv")
    window = context.navigator.window
    chosen, _ = QFileDialog.getSaveFileName(window, "History as a table", offered, "CSV table (*.csv)")
    if not chosen:
        return
    target = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(".csv")
    context.jobs.run(
        writing(project.path, target, export_named("history")),
        f"Writing {target.name}",
        on_done=lambda _done: session.notice.emit(f"Written: {target.name}"),
    )


def _folder(context: Context) -> str:
    project = context.session.project
    return str(project.path.parent) if project is not None else str(Path.home())


def _write_job(pending: PendingImport) -> Job[None]:
    yield Progress(0, 0, "", "writing")
    pending.write()


ACTIONS = (
    Action(
        "file.export",
        "Export and report…",
        "File",
        _export,
        ("Ctrl+E",),
        "file-export-outline",
        when=with_project,
        group=2,
    ),
    Action(
        "file.report",
        "Report…",
        "File",
        _report,
        (),
        "file-chart-outline",
        when=with_project,
        group=2,
        tooltip="Numbers, plots, maps and pictures as a page, PDF or Word file, also from a template of your own",
    ),
    Action(
        "file.training",
        "Cut training pictures…",
        "File",
        training_pictures,
        (),
        "scissors-cutting",
        when=with_project,
        group=2,
        tooltip="Pictures around confirmed findings, or tiles, with their boxes in any format",
    ),
    Action("file.import", "Import findings…", "File", _import, (), "file-import-outline", when=writing, group=2),
    Action(
        "file.import_folder",
        "Import a folder of annotations…",
        "File",
        _import_folder,
        (),
        "folder-arrow-left-outline",
        when=writing,
        group=2,
        tooltip="Formats with one file for each picture: Pascal VOC, YOLO, LabelMe",
    ),
    Action(
        "file.history",
        "History as a table…",
        "File",
        _export_history,
        (),
        "history",
        when=with_project,
        group=2,
        tooltip="Who changed what and when, before and after, as CSV",
    ),
)
