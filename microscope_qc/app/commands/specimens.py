"""What is known of the specimens on the slides: a form, tables, names of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDialog, QFileDialog

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project, writing, writing_slide
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

TABLES = "Tables (*.csv *.xlsx)"


def _run(dialog: QDialog) -> None:
    dialog.exec()
    dialog.deleteLater()


def _edit(context: Context) -> None:
    """Open the form about the specimens on the chosen slides."""
    from microscope_qc.app.dialogs.specimen import SpecimenDialog
    from microscope_qc.app.widgets.slide_choice import chosen_slide_ids

    ids = chosen_slide_ids(context.session)
    if ids:
        _run(SpecimenDialog(context.session, ids, context.navigator.window))


def _import(context: Context) -> None:
    """Ask for a table, and show what it says before it is taken over."""
    from microscope_qc.app.dialogs.specimen_import import SpecimenTableDialog

    project, window = context.session.project, context.navigator.window
    if project is None:
        return
    chosen, _ = QFileDialog.getOpenFileName(
        window, "Table with a column “slide”", str(project.path.parent), f"{TABLES};;All files (*)"
    )
    if chosen:
        _run(SpecimenTableDialog(context, Path(chosen), window))


def _from_names(context: Context) -> None:
    """Fill fields from the names of files."""
    from microscope_qc.app.dialogs.specimen_import import SpecimenNamesDialog

    _run(SpecimenNamesDialog(context, context.navigator.window))


def _export(context: Context) -> None:
    """Write the fields of all slides into a table, in a worker."""
    from microscope_qc.workflows.specimens.plan import SlidesAndFields
    from microscope_qc.workflows.specimens.tables import write_fields

    project = context.session.project
    if project is None:
        return
    start = project.path.parent / f"{project.name} specimens.xlsx"
    chosen, wanted = QFileDialog.getSaveFileName(
        context.navigator.window,
        "Write the specimens as a table",
        str(start),
        "Excel table (*.xlsx);;CSV table (*.csv)",
    )
    if not chosen:
        return
    path = Path(chosen)
    if path.suffix.lower() not in (".csv", ".xlsx"):
        path = path.with_name(path.name + (".csv" if "csv" in wanted else ".xlsx"))
    known = SlidesAndFields.of(project)
    context.jobs.call(
        lambda: write_fields(known, path),
        on_done=lambda count: context.session.notice.emit(f"{things(count, 'slide')} written to {path.name}."),
    )


ACTIONS = (
    Action(
        "slide.fields",
        "Specimen…",
        "Slide",
        _edit,
        (),
        "card-text-outline",
        when=writing_slide,
        group=2,
        tooltip="What is known of the specimens on the selected slides",
    ),
    Action(
        "slide.names_fields",
        "Specimens from file names…",
        "Slide",
        _from_names,
        (),
        "form-textbox",
        when=writing,
        group=2,
    ),
    Action(
        "slide.import_fields",
        "Specimens from a table…",
        "Slide",
        _import,
        (),
        "table-arrow-left",
        when=writing,
        group=2,
    ),
    Action(
        "slide.export_fields",
        "Specimens as a table…",
        "Slide",
        _export,
        (),
        "table-arrow-right",
        when=with_project,
        group=2,
    ),
)
