"""A project's boxes as annotation files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.composition import Amount
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.pictures import picture_path, told_apart
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.exchange.matching import picture_address
from microscope_qc.workflows.intake.changes import require_unchanged


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written. ``loses`` says what the format cannot hold, "" where it holds everything."""

    files: tuple[Path, ...]
    boxes: int
    slides: int
    loses: str = ""


def selected_rows(
    project: Project,
    slide_id: int,
    *,
    states: Iterable[ReviewState] | None = None,
    chosen_only: bool = False,
    shown: bool = False,
) -> np.ndarray:
    """Box rows of a slide that count, limited to review states, chosen ones, and what the view filter shows."""
    rows = project.boxes.rows(slide_id, shown=shown)
    if states is not None:
        rows = rows[np.isin(rows["state"], [int(state) for state in states])]
    return rows[rows["chosen"]] if chosen_only else rows


def make_document(
    project: Project,
    *,
    slide_ids: Iterable[int] | None = None,
    states: Iterable[ReviewState] | None = None,
    chosen_only: bool = False,
    shown: bool = False,
) -> Document:
    """Document of the boxes that count, see :func:`selected_rows`.

    Its pictures have the names of slide files, and folders before them where slides of the project have equal names.
    """
    wanted = None if slide_ids is None else set(slide_ids)
    states = None if states is None else tuple(states)
    code_of = {cls.id: cls.code for cls in project.classes}
    document = Document(classes=list(project.classes))
    names = picture_names(project.slides)
    for slide in project.slides:
        if wanted is not None and slide.id not in wanted:
            continue
        rows = selected_rows(project, slide.id, states=states, chosen_only=chosen_only, shown=shown)
        attributes, outlines = project.attributes.of_slide(slide.id), project.outlines.of_slide(slide.id)
        measured = project.measurements.compositions
        boxes = [_box(row, code_of, attributes, outlines, measured) for row in rows]
        document.images.append(ImageEntry(names[slide.id], slide.shape_px, slide.pixel_size_um, boxes))
    return document


def picture_names(slides: Sequence[SlideRecord]) -> dict[int, str]:
    """What the pictures of an export are called, by slide id; all are different."""
    places = {slide.id: picture_address(slide) for slide in slides}
    short = told_apart(places.values())
    names: dict[int, str] = {}
    used: set[str] = set()
    for slide in slides:
        name = short[places[slide.id]]
        names[slide.id] = picture_path(slide.name) if name in used else name  # the same file twice
        used.add(name)
    return names


def _box(
    row: np.void,
    code_of: dict[int, str],
    attributes: dict[int, dict[str, Any]],
    outlines: dict[int, Outline],
    measured: Mapping[int, tuple[Amount, ...]],
) -> Box:
    score = float(row["confidence"])
    return Box(
        code_of.get(int(row["class_id"]), "?"),
        float(row["y0"]),
        float(row["x0"]),
        float(row["y1"]),
        float(row["x1"]),
        score=None if np.isnan(score) else round(min(max(score, 0.0), 1.0), 6),
        state=ReviewState(int(row["state"])),
        reason=str(row["reason"]),
        note=str(row["note"]),
        id=int(row["id"]),
        chosen=bool(row["chosen"]),
        attributes=attributes.get(int(row["id"]), {}),
        outline=outlines.get(int(row["id"])),
        composition=measured.get(int(row["id"]), ()),
    )


def export_boxes(
    project: Project,
    path: Path | str,
    format: str,
    *,
    slide_ids: Iterable[int] | None = None,
    states: Iterable[ReviewState] | None = None,
    chosen_only: bool = False,
    shown: bool = False,
) -> Job[ExportSummary]:
    """Write every box that counts in an annotation format; with ``shown`` only what the view filter shows.

    Raises
    ------
    InputError
        When there is no such format, or the file of a slide has changed since its findings were made.
    ExchangeError
        When the format cannot hold it.
    """
    known = FORMATS.get(format)
    slide_ids = None if slide_ids is None else list(slide_ids)
    yield from require_unchanged(project, slide_ids)
    yield Progress(0, 2, "steps", "collecting boxes")
    document = make_document(project, slide_ids=slide_ids, states=states, chosen_only=chosen_only, shown=shown)
    yield Progress(1, 2, "steps", f"writing {known.title}")
    with FORMATS.in_use(known.name):
        files = known.write(path, document)
    yield Progress(2, 2, "steps")
    return ExportSummary(tuple(files), document.box_count, len(document.images), known.loses)
