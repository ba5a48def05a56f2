"""Report, marked overview, drive sheet, stage positions, EDX measurements and history as exports."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.workflows.exports import Export, ExportOptions, Written, write_positions
from microscope_qc.workflows.results.report import write_overview, write_report
from microscope_qc.workflows.stage.edx_out import write_measurements
from microscope_qc.workflows.stage.stage import SHEET


def _report(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    from microscope_qc.workflows.results.report_content import ReportChoice

    choice = ReportChoice(rejected=options.rejected)
    written = yield from write_report(project, path, choice=choice, slide_ids=options.slide_ids)
    return Written((written,), f"Report written to {written}")


def _overview(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    written = yield from write_overview(
        project, path, slide_id=options.slide_id, selected=options.chosen_only, rejected=options.rejected
    )
    return Written((written,), f"Overview written to {written}")


def _history(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    yield Progress(0, 1, "files", path.name)
    lines = project.history.export(path)
    yield Progress(1, 1, "files", path.name)
    return Written((path,), f"{things(lines, 'line')} of the history written to {path}")


def _measurements(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    yield Progress(0, 1, "files", path.name)
    written = write_measurements(project, path)
    yield Progress(1, 1, "files", path.name)
    count = len(project.measurements)
    return Written((written,), f"{things(count, 'measurement')} written to {written}", facts={"measurements": count})


def _spectra(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.stage.edx_spectra import write_spectra

    written = yield from write_spectra(project, path)
    where = written[0] if len(written) == 1 else path
    words = f"{things(len(written), 'spectrum', 'spectra')} written to {where}"
    return Written(tuple(written), words, facts={"spectra": len(written)})


REPORT = Export("report", "Report", ".html", _report, takes=("slide_ids", "rejected"), also=(".pdf", ".docx", ".json"))
OVERVIEW = Export(
    "overview",
    "Marked overview",
    ".png",
    _overview,
    takes=("slide_id", "chosen_only", "rejected"),
    needs="chosen",
    also=(".tif", ".pdf"),
)
DRIVE_SHEET = Export(
    "drive-sheet",
    "Drive sheet",
    ".html",
    lambda project, path, options: write_positions(project, path, SHEET, options),
    takes=("slide_id", "stage"),
    needs="travel list",
)
HISTORY = Export("history", "History as a table", ".csv", _history, needs="project")
SPECTRA = Export("spectra", "EDX spectra (EMSA)", ".msa", _spectra, needs="project", is_folder=True)
MEASUREMENTS = Export("measurements", "EDX measurements", ".xlsx", _measurements, needs="project", also=(".csv",))
