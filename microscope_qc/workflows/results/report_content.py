"""Collects what a report shows."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from microscope_qc import __version__
from microscope_qc.analysis.ranking import size_um, worst_first
from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import size_text
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.wording import included_words, size_words
from microscope_qc.reports.content import Column, GalleryItem, ModelWords, ReportClass, ReportContent, SlideContent
from microscope_qc.reports.crops import crop, jpeg
from microscope_qc.slides import Mosaic
from microscope_qc.workflows.results.statistics import project_statistics
from microscope_qc.workflows.scenes import kept, open_scene

THUMBNAIL_PX = 1440


def collect(project: Project, *, gallery: int = 60, rejected: bool = False) -> Job[ReportContent]:
    """Read numbers, positions and pictures of everything that is shown.

    A slide that cannot be opened costs its pictures, not the report; it is named in the warnings.
    """
    numbers = project_statistics(project)
    rows_of = {record.id: project.boxes.rows(record.id) for record in project.slides}
    shown_of = {number: rows if rejected else kept(rows) for number, rows in rows_of.items()}
    occurring = _occurring(project.classes, list(shown_of.values()))
    places = _gallery_places(project, shown_of)
    slides: list[SlideContent] = []
    items: dict[int, GalleryItem] = {}
    warnings: list[str] = []
    total, done = min(gallery, len(places)) + len(project.slides), 0
    for record, found in zip(project.slides, numbers["slides"], strict=True):
        rows = shown_of[record.id]
        wanted = [(place, row) for place, (slide_id, row) in enumerate(places[:gallery]) if slide_id == record.id]
        thumbnail = b""
        yield Progress(done, total, "pictures", record.name)
        try:
            with open_scene(record) as mosaic:
                thumbnail = _thumbnail(mosaic)
                done += 1
                for place, row in wanted:
                    yield Progress(done, total, "pictures", record.name)
                    items[place] = _item(mosaic, row, project.classes, record)
                    done += 1
        except MicroscopeQCError as error:
            warnings.append(f"No pictures of {record.name}: {error}")
        slides.append(_slide(record, rows, found, occurring, thumbnail))
    return ReportContent(
        title=project.name,
        date=f"{datetime.now():%Y-%m-%d %H:%M}",
        software=f"microscope-qc {__version__}",
        shown=included_words(project) + (", rejected ones in maps and gallery" if rejected else ""),
        total=numbers["total"],
        columns=tuple(Column(name, s.heading, s.unit, s.digits) for name, s in STATISTICS.items()),
        classes=tuple(ReportClass(cls.code, cls.name, cls.colour) for cls in occurring),
        slides=tuple(slides),
        models=tuple(_model(project, run) for run in project.runs if run.shown),
        gallery=tuple(items[place] for place in sorted(items)),
        gallery_of=sum(map(len, shown_of.values())),
        warnings=tuple(warnings),
    )


def _occurring(classes: Sequence[DefectClass], parts: list[np.ndarray]) -> list[DefectClass]:
    used = {int(number) for rows in parts for number in np.unique(rows["class_id"])}
    return [cls for cls in classes if cls.id in used]


def _gallery_places(project: Project, rows_of: dict[int, np.ndarray]) -> list[tuple[int, np.void]]:
    """Slide id and row of every finding, worst first over all slides."""
    scaled, slide_ids = [], []
    for record in project.slides:
        rows = rows_of[record.id].copy()
        size_y, size_x = record.pixel_size_um or (1.0, 1.0)
        for name, size in (("y0", size_y), ("y1", size_y), ("x0", size_x), ("x1", size_x)):
            rows[name] *= size
        scaled.append(rows)
        slide_ids += [record.id] * len(rows)
    if not slide_ids:
        return []
    order = worst_first(np.concatenate(scaled), project.classes, (1.0, 1.0))
    rows = np.concatenate(list(rows_of.values()))
    return [(slide_ids[i], rows[i]) for i in order]


def _thumbnail(mosaic: Mosaic) -> bytes:
    from microscope_qc.core.geometry import Region

    height, width = mosaic.shape
    factor = min(1.0, THUMBNAIL_PX / max(height, width))
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    return jpeg(mosaic.read_scaled(Region(0, 0, height, width), shape), quality=80)


def _item(mosaic: Mosaic, row: np.void, classes: Sequence[DefectClass], record: SlideRecord) -> GalleryItem:
    cls = next((c for c in classes if c.id == int(row["class_id"])), DefectClass("?", "Unknown class"))
    confidence = float(row["confidence"])
    return GalleryItem(
        defect_id=int(row["id"]),
        code=cls.code,
        class_name=cls.name,
        colour=cls.colour,
        size_words=size_text(row, record.pixel_size_um),
        confidence=None if np.isnan(confidence) else confidence,
        state=ReviewState(int(row["state"])).word,
        reason=str(row["reason"]),
        note=str(row["note"]),
        slide=record.name,
        picture=jpeg(crop(mosaic, row, cls.colour)),
    )


def _slide(
    record: SlideRecord, rows: np.ndarray, statistics: dict[str, Any], classes: list[DefectClass], thumbnail: bytes
) -> SlideContent:
    size_y, size_x = record.pixel_size_um or (1.0, 1.0)
    place_of = {cls.id: place for place, cls in enumerate(classes)}
    known = rows[np.isin(rows["class_id"], list(place_of))]
    points = np.stack(
        [
            (known["x0"] + known["x1"]) / 2 * size_x,
            (known["y0"] + known["y1"]) / 2 * size_y,
            np.array([place_of[int(number)] for number in known["class_id"]], float),
        ],
        axis=1,
    )
    return SlideContent(
        name=record.name,
        words=size_words(record),
        statistics=statistics,
        extent=(record.shape_px[0] * size_y, record.shape_px[1] * size_x),
        unit="px" if record.pixel_size_um is None else "um",
        points=points,
        sizes_um=np.full(len(known), np.nan) if record.pixel_size_um is None else size_um(known, record.pixel_size_um),
        thumbnail=thumbnail,
    )


def _model(project: Project, run: RunRecord) -> ModelWords:
    """Words about the model of a run; its card may have moved since."""
    from microscope_qc.ml.library import load_card

    name, trained_on = run.plan.title, ""
    with contextlib.suppress(MicroscopeQCError):
        card = load_card(run.plan.model)
        name, trained_on = card.name, card.trained_on
    slide = next((record for record in project.slides if record.id == run.slide_id), None)
    whole = slide is not None and run.plan.region == Region(0, 0, *slide.shape_px)
    area = f"{'the whole of' if whole else 'a part of'} {slide.name if slide else 'a slide'}"
    return ModelWords(
        name, trained_on, f"{run.started[:16].replace('T', ' ')}, {run.found} findings, {run.state}", area
    )
