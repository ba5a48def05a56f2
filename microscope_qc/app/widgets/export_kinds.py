"""The exports that the window offers, and the jobs that write them as the command line does. No widgets.

A job runs in a worker thread and opens the project for reading there: the window's project belongs to its own thread,
and every edit is on disk before a user can press a button.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import Job

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.workflows.exports import Export, ExportOptions, Written
    from microscope_qc.workflows.stage.options import StageOptions


@dataclass(frozen=True, slots=True)
class ExportButton:
    """An export that has a button: its name, what the button says, and what the file is called."""

    name: str
    text: str
    icon: str
    file_name: str


BUTTONS = (
    ExportButton("stage:csv", "Coordinates CSV", "file-delimited-outline", "coordinates"),
    ExportButton("stage:xlsx", "Coordinates XLSX", "file-excel-outline", "coordinates"),
    ExportButton("drive-sheet", "Drive sheet", "map-outline", "drive-sheet"),
    ExportButton("overview", "Marked overview", "image-marker-outline", "overview"),
    ExportButton("report", "Report", "file-document-outline", "report"),
    ExportButton("geojson", "GeoJSON", "vector-polygon", "defects"),
    ExportButton("coco", "COCO", "code-json", "coco"),
    ExportButton("voc", "Pascal VOC", "folder-outline", "voc"),
)


def other_exports() -> list[Export]:
    """Every further export: annotations for other programs, positions for other instruments, what plugins add."""
    from microscope_qc.workflows.exports import everything

    on_buttons = {button.name for button in BUTTONS}
    return [export for export in everything() if export.name not in on_buttons]


def file_name(export: Export) -> str:
    """What the file is called, without suffix."""
    names = {button.name: button.file_name for button in BUTTONS}
    return names.get(export.name) or export.file_name or export.name


def about_the_slide(export: Export) -> bool:
    """Whether it is about the slide in hand: its chosen findings or its marks; the others follow the scope."""
    return export.needs in ("chosen", "marks", "travel list")


def why_not(export: Export, session: Session, *, aligned: bool, chosen: int) -> str:
    """Why an export has nothing to write; "" when it has."""
    if session.project is None or session.slide is None:
        return "Open a slide or a project first."
    if export.needs in ("travel list", "chosen") and chosen == 0:
        return "Choose findings for the SEM first (S in the gallery)."
    if export.needs in ("travel list", "marks") and not aligned:
        return "Align the slide with the stage first (SEM workspace)."
    return ""


def job_of(
    export: Export, session: Session, path: Path, stage: StageOptions, *, shown_only: bool = False
) -> Job[Written]:
    """Job that writes an export to ``path``; with ``shown_only`` without what the view filter hides.

    Everything that belongs to the window's thread is read here; the generator may run in another thread.
    """
    from microscope_qc.workflows.exports import ExportOptions

    project, slide = session.project, session.slide
    if project is None or slide is None:
        raise ValueError("nothing is open")
    scope = session.scope
    options = ExportOptions(
        slide_id=slide.id if about_the_slide(export) else None,
        slide_ids=None if about_the_slide(export) or scope.kind == "all" else scope.slide_ids,
        chosen_only=export.needs == "chosen",
        shown_only=shown_only,
        stage=stage,
    )
    return writing(project.path, path, export, options.only(export.takes))


def writing(place: Path, path: Path, export: Export, options: ExportOptions | None = None) -> Job[Written]:
    """Job that writes an export of the project at ``place`` to ``path``."""
    from microscope_qc.project import Project

    with Project.open(place, write=False) as reader:
        return (yield from export.write(reader, path, options))
