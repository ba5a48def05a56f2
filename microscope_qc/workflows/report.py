"""Results for people: the marked overview and the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.workflows.wording import shown_words, size_words, thin


@contextlib.contextmanager
def open_scene(record: SlideRecord) -> Iterator[Mosaic]:
    """Open the mosaic of a project's slide.

    Raises
    ------
    SlideError
        When it cannot be opened.
    """
    with open_slide(record.path) as slide:
        yield slide.scene(record.scene)


def kept(rows: np.ndarray) -> np.ndarray:
    """Leave out rejected finds."""
    return rows[rows["state"] != ReviewState.REJECTED]


def write_overview(
    project: Project,
    path: Path | str,
    *,
    slide_id: int | None = None,
    selected: bool = False,
    rejected: bool = False,
    long_side_px: int = 4000,
) -> Job[Path]:
    """Write a picture of the whole slide with circles and numbers on its finds (PNG or TIFF, by the suffix).

    Parameters
    ----------
    slide_id
        None takes the first slide.
    selected
        Mark only what is chosen for the SEM.
    rejected
        Mark rejected finds too.

    Raises
    ------
    InputError
        When there is no slide, nothing is chosen, or the suffix is no picture's.
    """
    from microscope_qc.reports import overview

    record = project.slide() if slide_id is None else project.slide_by_id(slide_id)
    shown = project.all_rows(record.id)
    rows = shown if rejected else kept(shown)
    total = len(rows)
    if selected:
        everything = project.all_rows(record.id, shown=False)
        everything = everything if rejected else kept(everything)
        rows = everything[everything["chosen"]]
        if len(rows) == 0:
            raise InputError(f"No defect of {record.name} is chosen.", hint="Choose some in the gallery first.")
    marked = f"{thin(len(rows))} chosen of {thin(total)} finds" if selected else f"{thin(total)} finds"
    words = [marked, size_words(record), shown_words(project), f"{datetime.now():%Y-%m-%d}"]
    with open_scene(record) as mosaic:
        return (
            yield from overview.write_overview(
                mosaic,
                rows,
                project.classes,
                path,
                title=record.name,
                subtitle="   ·   ".join(words),
                pixel_size_um=record.pixel_size_um,
                long_side_px=long_side_px,
            )
        )
