"""Collects what a report shows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
from microscope_qc.core.wording import size_text, things
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.wording import included_words, size_words
from microscope_qc.reports.content import (
    Column,
    GalleryItem,
    MeasuredItem,
    ModelWords,
    ReportClass,
    ReportContent,
    SlideContent,
)
from microscope_qc.reports.crops import bounded_jpeg, crop, jpeg
from microscope_qc.slides import Mosaic
from microscope_qc.workflows.left_out import LeftOut, left_out_lines
from microscope_qc.workflows.results.statistics import statistics_job
from microscope_qc.workflows.scenes import kept, open_scene

THUMBNAIL_PX, SMALL_PX = 1440, 112
"""Longer side of a slide's picture under its map, and in a line of the table of many slides."""
MOST_BYTES = 350_000
"""A picture of a slide takes no more."""
MOST_MAPS = 12
"""Slides with a map and tables of their own, unless a user asks for more."""
MOST_MEASURED = 200
"""Findings whose composition is shown."""
MOST_SMALL = 500
"""Slides with a small picture in the table."""


def collect(
    project: Project,
    *,
    gallery: int = 60,
    rejected: bool = False,
    maps: int = MOST_MAPS,
    slide_ids: Collection[int] | None = None,
) -> Job[ReportContent]:
    """Read numbers, positions and pictures of everything that is shown.

    A slide that cannot be opened costs its pictures, not the report; it is named in the warnings.

    Parameters
    ----------
    maps
        Slides with a map and tables of their own: those with the most findings.
    slide_ids
        Only these slides; None takes all of the project.
    """
    numbers = yield from statistics_job(project, slide_ids)
    records = [record for record in project.slides if slide_ids is None or record.id in slide_ids]
    shown_of = {
        record.id: rows if rejected else kept(rows)
        for record, rows in ((record, project.boxes.rows(record.id)) for record in records)
    }
    occurring = _occurring(project.classes, list(shown_of.values()))
    places = _gallery_places(records, shown_of, project.classes, gallery)
    measured = _measured_places(project, shown_of)
    wanted = [*places, *measured[:MOST_MEASURED]]
    pictures = _Pictures(project.classes, wanted, _detailed(shown_of, maps), total=len(wanted) + len(records))
    slides: list[SlideContent] = []
    for number, (record, found) in enumerate(zip(records, numbers["slides"], strict=True)):
        thumbnail = yield from pictures.read(record, small=number < MOST_SMALL)
        detailed = record.id in pictures.detailed
        slides.append(_slide(record, shown_of[record.id], found, occurring, thumbnail, detailed=detailed))
    return ReportContent(
        title=project.name,
        date=f"{datetime.now():%Y-%m-%d %H:%M}",
        software=f"microscope-qc {__version__}",
        shown=included_words(project) + (", rejected ones in maps and gallery" if rejected else ""),
        total=numbers["total"],
        columns=tuple(Column(name, s.heading, s.unit, s.digits) for name, s in STATISTICS.items()),
        classes=tuple(ReportClass(cls.code, cls.name, cls.colour) for cls in occurring),
        slides=tuple(slides),
        models=_models(project, {record.id: record for record in records}),
        gallery=tuple(pictures.items[place] for place in sorted(pictures.items) if place < len(places)),
        measured=tuple(
            _measured(project, pictures.items[place]) for place in sorted(pictures.items) if place >= len(places)
        ),
        measured_of=len(measured),
        gallery_of=sum(map(len, shown_of.values())),
        warnings=tuple(left_out_lines(pictures.left_out)),
    )


def _measured_places(project: Project, rows_of: dict[int, np.ndarray]) -> list[tuple[int, np.void]]:
    """Slide id and row of every finding that EDX measured."""
    known = list(project.measurements.compositions)
    return [(slide_id, row) for slide_id, rows in rows_of.items() for row in rows[np.isin(rows["id"], known)]]


def _measured(project: Project, item: GalleryItem) -> MeasuredItem:
    found = [one for one in project.measurements.of_finding(item.defect_id) if one.kind != "reference"]
    words = ", ".join(dict.fromkeys(f"{one.label} ({one.source})" for one in found))
    if len(found) > 1:
        words = f"mean of {len(found)}: {words}"
    notes = " ".join(dict.fromkeys(one.note for one in found if one.note))
    amounts = project.measurements.compositions[item.defect_id]
    return MeasuredItem.of(item, amounts, words=f"{words}. {notes}".strip() if notes else words)


def _detailed(rows_of: dict[int, np.ndarray], maps: int) -> frozenset[int]:
    """The slides with the most findings; of as many the first."""
    return frozenset(sorted(rows_of, key=lambda number: -len(rows_of[number]))[:maps])


class _Pictures:
    """Reads the pictures of a report, each slide opened once and only where a picture of it is shown."""

    def __init__(
        self,
        classes: Sequence[DefectClass],
        places: Sequence[tuple[int, np.void]],
        detailed: frozenset[int],
        *,
        total: int,
    ) -> None:
        self._classes, self._total, self._done = classes, total, 0
        self._wanted: dict[int, list[tuple[int, np.void]]] = {}
        for place, (slide_id, row) in enumerate(places):
            self._wanted.setdefault(slide_id, []).append((place, row))
        self.detailed = detailed
        self.items: dict[int, GalleryItem] = {}
        self.left_out: list[LeftOut] = []

    def read(self, record: SlideRecord, *, small: bool) -> Job[bytes]:
        """Read the picture of a slide and its part of the gallery."""
        thumbnail = b""
        wanted, detailed = self._wanted.get(record.id, []), record.id in self.detailed
        yield Progress(self._done, self._total, "pictures", record.name)
        if detailed or small or wanted:
            try:
                with open_scene(record) as mosaic:
                    if detailed or small:
                        thumbnail = _thumbnail(mosaic, THUMBNAIL_PX if detailed else SMALL_PX)
                    for place, row in wanted:
                        yield Progress(self._done, self._total, "pictures", record.name)
                        self.items[place] = _item(mosaic, row, self._classes, record)
                        self._done += 1
            except MicroscopeQCError as error:
                told = MicroscopeQCError(f"No pictures of {record.name}: {error}")
                self.left_out.append(LeftOut(record.path, record.name, told))
        self._done += 1
        return thumbnail


def _occurring(classes: Sequence[DefectClass], parts: list[np.ndarray]) -> list[DefectClass]:
    used = {int(number) for rows in parts for number in np.unique(rows["class_id"])}
    return [cls for cls in classes if cls.id in used]


def _gallery_places(
    records: Sequence[SlideRecord], rows_of: dict[int, np.ndarray], classes: Sequence[DefectClass], count: int
) -> list[tuple[int, np.void]]:
    """Slide id and row of the worst findings over all slides."""
    scaled, slide_ids = [], []
    for record in records:
        rows = rows_of[record.id].copy()
        size_y, size_x = record.pixel_size_um or (1.0, 1.0)
        for name, size in (("y0", size_y), ("y1", size_y), ("x0", size_x), ("x1", size_x)):
            rows[name] *= size
        scaled.append(rows)
        slide_ids.append(np.full(len(rows), record.id))
    if not scaled:
        return []
    order = worst_first(np.concatenate(scaled), classes, (1.0, 1.0))[:count]
    rows, owners = np.concatenate(list(rows_of.values())), np.concatenate(slide_ids)
    return [(int(owners[i]), rows[i]) for i in order]


def _thumbnail(mosaic: Mosaic, longest_px: int) -> bytes:
    height, width = mosaic.shape
    factor = min(1.0, longest_px / max(height, width))
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    return bounded_jpeg(mosaic.read_scaled(Region(0, 0, height, width), shape), MOST_BYTES)


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
        picture=jpeg(crop(mosaic, row, cls.colour, um_per_px=record.pixel_size_um and record.pixel_size_um[1])),
    )


def _slide(
    record: SlideRecord,
    rows: np.ndarray,
    statistics: dict[str, Any],
    classes: list[DefectClass],
    thumbnail: bytes,
    *,
    detailed: bool,
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
        detailed=detailed,
    )


def _models(project: Project, slides: Mapping[int, SlideRecord]) -> tuple[ModelWords, ...]:
    """Words about the models of all shown runs on these slides, each model once."""
    runs_of: dict[tuple[str, str], list[RunRecord]] = {}
    for run in project.runs:
        if run.shown and run.slide_id in slides:
            runs_of.setdefault((run.plan.model, run.plan.weights), []).append(run)
    return tuple(_model(runs, slides) for runs in runs_of.values())


def _model(runs: Sequence[RunRecord], slides: Mapping[int, SlideRecord]) -> ModelWords:
    """Words about a model and its runs; its card may have moved since."""
    from microscope_qc.ml.library import load_card

    name, trained_on = runs[0].plan.title, ""
    with contextlib.suppress(MicroscopeQCError):
        card = load_card(runs[0].plan.model)
        name, trained_on = card.name, card.trained_on
    begun = [run.started[:16].replace("T", " ") for run in runs]
    when = begun[0] if len(runs) == 1 else f"{min(begun)} to {max(begun)}"
    states = Counter(run.state for run in runs)
    ended = runs[0].state if len(runs) == 1 else ", ".join(f"{count} {state}" for state, count in states.items())
    whole = [run for run in runs if run.plan.region == Region(0, 0, *slides[run.slide_id].shape_px)]
    if len(runs) == 1:
        area = f"{'the whole of' if whole else 'a part of'} {slides[runs[0].slide_id].name}"
    else:
        area = things(len({run.slide_id for run in runs}), "slide")
        parts = len(runs) - len(whole)
        area += f", {things(parts, 'detection')} of a part only" if parts else ""
    found = sum(run.found for run in runs)
    return ModelWords(name, trained_on, f"{when}, {things(found, 'finding')}, {ended}", area)
