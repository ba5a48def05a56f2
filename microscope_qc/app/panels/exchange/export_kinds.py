"""What can be exported, and the jobs that write it. No widgets.

A job runs in a worker thread and opens the project for reading there: the window's project belongs to its own thread,
and every edit is on disk before a person can press a button.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.correlation.registration import Registration
    from microscope_qc.project import Project

T = TypeVar("T")

TravelList = Callable[[], "tuple[np.ndarray, Registration | None, str]"]
"""Gives box rows in the order to visit, the alignment and its name."""


@dataclass(frozen=True, slots=True)
class ExportKind:
    """One button.

    ``needs`` is "finds", "alignment" or "chosen"; ``is_folder`` when it writes one file per picture;
    ``also`` holds further suffixes a person may give.
    """

    id: str
    text: str
    title: str
    suffix: str
    icon: str
    needs: str = "finds"
    is_folder: bool = False
    file_name: str = ""
    also: tuple[str, ...] = ()


COORDINATES_CSV = ExportKind(
    "coordinates_csv",
    "Coordinates CSV",
    "CSV table",
    ".csv",
    "file-delimited-outline",
    "alignment",
    False,
    "coordinates",
)
COORDINATES_XLSX = ExportKind(
    "coordinates_xlsx",
    "Coordinates XLSX",
    "Excel table",
    ".xlsx",
    "file-excel-outline",
    "alignment",
    False,
    "coordinates",
)
DRIVE_SHEET = ExportKind(
    "drive_sheet", "Drive sheet", "Drive sheet", ".html", "map-outline", "alignment", False, "drive-sheet"
)
OVERVIEW = ExportKind(
    "overview", "Marked overview", "Picture", ".png", "image-marker-outline", "chosen", False, "overview", (".tif",)
)
REPORT = ExportKind("report", "Report", "Report", ".html", "file-document-outline", "finds", False, "report", (".pdf",))
GEOJSON = ExportKind("geojson", "GeoJSON", "GeoJSON (QuPath)", ".geojson", "vector-polygon", file_name="defects")
COCO = ExportKind("coco", "COCO", "COCO", ".json", "code-json", file_name="coco")
VOC = ExportKind("voc", "Pascal VOC", "Pascal VOC", ".xml", "folder-outline", is_folder=True, file_name="voc")

BUTTONS = (COORDINATES_CSV, COORDINATES_XLSX, DRIVE_SHEET, OVERVIEW, REPORT, GEOJSON, COCO, VOC)


def other_kinds() -> list[ExportKind]:
    """Every further format: annotations for other tools, positions for other instruments."""
    from microscope_qc.correlation.registry import STAGE_FORMATS
    from microscope_qc.exchange.registry import FORMATS

    kinds = [
        ExportKind(known.name, known.title, known.title, known.suffix, "", "finds", known.is_folder, known.name)
        for known in FORMATS.values()
        if known.name not in {kind.id for kind in BUTTONS}
    ]
    return kinds + [
        ExportKind(f"stage:{known.name}", known.title, known.title, known.suffix, "", "alignment", False, "positions")
        for known in STAGE_FORMATS.values()
        if known.name not in ("csv", "xlsx")
    ]


def why_not(kind: ExportKind, session: Session, *, aligned: bool, chosen: int) -> str:
    """Why an export has nothing to write; "" when it has."""
    if session.project is None or session.slide is None:
        return "Open a slide or a project first."
    if kind.needs in ("alignment", "chosen") and chosen == 0:
        return "Choose finds for the SEM first (S in the gallery)."
    if kind.needs == "alignment" and not aligned:
        return "Align the slide with the stage first (SEM workspace)."
    return ""


def job_of(kind: ExportKind, session: Session, path: Path, travel: TravelList) -> Job[Any]:
    """Job that writes ``kind`` to ``path``.

    Everything that belongs to the window's thread is read here; the generator may run in another thread.
    """
    project, slide = session.project, session.slide
    if project is None or slide is None:
        raise ValueError("nothing is open")
    rows, registration, name = travel()
    if kind.needs == "alignment" and registration is not None:
        from microscope_qc.correlation.targets import TargetList, make_targets

        targets = make_targets(rows, session.classes, registration)
        listed = TargetList(slide.name, slide.fingerprint, name, registration, targets)
        if kind is DRIVE_SHEET:
            from microscope_qc.workflows.stage.drive_sheet import write_sheet

            return write_sheet(slide, listed, path)
        return _write_positions(kind, path, listed)
    slide_id = slide.id
    if kind is OVERVIEW:
        return _reading(project.path, lambda reader: _overview(reader, path, slide_id))
    if kind is REPORT:
        return _reading(project.path, lambda reader: _report(reader, path))
    return _reading(project.path, lambda reader: _boxes(reader, path, kind.id))


def _write_positions(kind: ExportKind, path: Path, listed: Any) -> Job[Path]:
    from microscope_qc.correlation.registry import stage_format

    short = kind.id.removeprefix("stage:").removeprefix("coordinates_")
    yield Progress(0, 1, "files", path.name)
    stage_format(short).write(path, listed)
    yield Progress(1, 1, "files", path.name)
    return path


def _reading(path: Path, make: Callable[[Project], Job[T]]) -> Job[T]:
    from microscope_qc.project import Project

    reader = Project.open(path, write=False)
    try:
        return (yield from make(reader))
    finally:
        reader.close()


def _overview(reader: Project, path: Path, slide_id: int) -> Job[Any]:
    from microscope_qc.workflows.results import report

    return report.write_overview(reader, path, slide_id=slide_id, selected=True)


def _report(reader: Project, path: Path) -> Job[Any]:
    from microscope_qc.workflows.results import report

    return report.write_report(reader, path)


def _boxes(reader: Project, path: Path, name: str) -> Job[Any]:
    from microscope_qc.workflows.exchange import export

    return export.export_boxes(reader, path, format=name)
