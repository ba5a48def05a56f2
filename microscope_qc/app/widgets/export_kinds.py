"""What can be exported, and the jobs that write it, as the command line does. No widgets.

A job runs in a worker thread and opens the project for reading there: the window's project belongs to its own thread,
and every edit is on disk before a user can press a button.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from microscope_qc.core.jobs import Job

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.options import StageOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExportKind:
    """One button.

    ``needs`` is "findings", "chosen" (findings), "marks" (an alignment) or "travel list" (both); ``is_folder`` when it
    writes one file per picture; ``also`` holds further suffixes a user may give; ``stage_format`` is what the command
    line calls it.
    """

    id: str
    text: str
    title: str
    suffix: str
    icon: str
    needs: str = "findings"
    is_folder: bool = False
    file_name: str = ""
    also: tuple[str, ...] = ()
    stage_format: str = ""


COORDINATES_CSV = ExportKind(
    "coordinates_csv",
    "Coordinates CSV",
    "CSV table",
    ".csv",
    "file-delimited-outline",
    "travel list",
    file_name="coordinates",
    stage_format="csv",
)
COORDINATES_XLSX = ExportKind(
    "coordinates_xlsx",
    "Coordinates XLSX",
    "Excel table",
    ".xlsx",
    "file-excel-outline",
    "travel list",
    file_name="coordinates",
    stage_format="xlsx",
)
DRIVE_SHEET = ExportKind(
    "drive_sheet",
    "Drive sheet",
    "Drive sheet",
    ".html",
    "map-outline",
    "travel list",
    file_name="drive-sheet",
    stage_format="sheet",
)
OVERVIEW = ExportKind(
    "overview", "Marked overview", "Picture", ".png", "image-marker-outline", "chosen", False, "overview", (".tif",)
)
REPORT = ExportKind(
    "report", "Report", "Report", ".html", "file-document-outline", "findings", False, "report", (".pdf",)
)
GEOJSON = ExportKind("geojson", "GeoJSON", "GeoJSON (QuPath)", ".geojson", "vector-polygon", file_name="defects")
COCO = ExportKind("coco", "COCO", "COCO", ".json", "code-json", file_name="coco")
VOC = ExportKind("voc", "Pascal VOC", "Pascal VOC", ".xml", "folder-outline", is_folder=True, file_name="voc")

BUTTONS = (COORDINATES_CSV, COORDINATES_XLSX, DRIVE_SHEET, OVERVIEW, REPORT, GEOJSON, COCO, VOC)


def other_kinds() -> list[ExportKind]:
    """Every further format: annotations for other programs, positions for other instruments."""
    from microscope_qc.correlation.registry import STAGE_FORMATS
    from microscope_qc.exchange.registry import FORMATS

    kinds = [
        ExportKind(known.name, known.title, known.title, known.suffix, "", "findings", known.is_folder, known.name)
        for known in FORMATS.values()
        if known.name not in {kind.id for kind in BUTTONS}
    ]
    on_buttons = {kind.stage_format for kind in BUTTONS}
    return kinds + [
        ExportKind(
            f"stage:{known.name}",
            known.title,
            known.title,
            known.suffix,
            "",
            "marks" if known.marks_only else "travel list",
            file_name="positions",
            stage_format=known.name,
        )
        for known in STAGE_FORMATS.values()
        if known.name not in on_buttons
    ]


def why_not(kind: ExportKind, session: Session, *, aligned: bool, chosen: int) -> str:
    """Why an export has nothing to write; "" when it has."""
    if session.project is None or session.slide is None:
        return "Open a slide or a project first."
    if kind.needs in ("travel list", "chosen") and chosen == 0:
        return "Choose findings for the SEM first (S in the gallery)."
    if kind.needs in ("travel list", "marks") and not aligned:
        return "Align the slide with the stage first (SEM workspace)."
    return ""


def job_of(kind: ExportKind, session: Session, path: Path, options: StageOptions) -> Job[Any]:
    """Job that writes ``kind`` to ``path``.

    Everything that belongs to the window's thread is read here; the generator may run in another thread.
    """
    project, slide = session.project, session.slide
    if project is None or slide is None:
        raise ValueError("nothing is open")
    slide_id = slide.id
    if kind.stage_format:
        return _reading(project.path, lambda reader: _positions(reader, path, kind.stage_format, slide_id, options))
    if kind is OVERVIEW:
        return _reading(project.path, lambda reader: _overview(reader, path, slide_id))
    if kind is REPORT:
        return _reading(project.path, lambda reader: _report(reader, path))
    return _reading(project.path, lambda reader: _boxes(reader, path, kind.id))


def _reading(path: Path, make: Callable[[Project], Job[T]]) -> Job[T]:
    from microscope_qc.project import Project

    reader = Project.open(path, write=False)
    try:
        return (yield from make(reader))
    finally:
        reader.close()


def _positions(reader: Project, path: Path, name: str, slide_id: int, options: StageOptions) -> Job[Any]:
    from microscope_qc.workflows.stage.stage import export_stage

    return export_stage(reader, path, format=name, slide_id=slide_id, options=options)


def _overview(reader: Project, path: Path, slide_id: int) -> Job[Any]:
    from microscope_qc.workflows.results import report

    return report.write_overview(reader, path, slide_id=slide_id, selected=True)


def _report(reader: Project, path: Path) -> Job[Any]:
    from microscope_qc.workflows.results import report

    return report.write_report(reader, path)


def _boxes(reader: Project, path: Path, name: str) -> Job[Any]:
    from microscope_qc.workflows.exchange import export

    return export.export_boxes(reader, path, format=name)
