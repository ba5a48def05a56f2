"""What a project knows of its slides, as lessons for the head that learns while a user judges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.boxes import SAYS_NOTHING, ReviewState, coordinates
from microscope_qc.core.errors import SlideError
from microscope_qc.ml.features.grid import FeatureGrid
from microscope_qc.ml.features.standing import Lesson
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.learning.dataset import trusted
from microscope_qc.workflows.scenes import open_scene
from microscope_qc.workflows.suggestions.stores import store_of


@dataclass(frozen=True, slots=True)
class KnownSlide:
    """A slide, where its features are, and what is known of it.

    Attributes
    ----------
    class_ids, numbers : (n,)
        Classes and numbers of the findings that are the lesson's boxes.
    rejected_numbers : (m,)
        Numbers of those that are its rejected ones.
    """

    record: SlideRecord
    lesson: Lesson
    class_ids: Ints
    numbers: Ints
    rejected_numbers: Ints

    @property
    def store(self) -> FeatureStore:
        """Its features."""
        return self.lesson.store


def known_slides(
    project: Project, *, slide_ids: Sequence[int] | None = None, root: Path | None = None
) -> list[KnownSlide]:
    """What is known of the slides of a project; those that cannot be opened are left out."""
    known = []
    for record in project.slides:
        if slide_ids is not None and record.id not in slide_ids:
            continue
        try:
            with open_scene(record) as whole:
                store = store_of(record, whole, root=root)
        except SlideError:
            continue
        known.append(_known(project, record, store))
    return known


def _known(project: Project, record: SlideRecord, store: FeatureStore) -> KnownSlide:
    rows = project.boxes.rows(record.id, every=True)
    truth = trusted(rows)
    said_no = (rows["state"] == ReviewState.REJECTED) & ~np.isin(rows["reason"], list(SAYS_NOTHING))
    waiting = ~said_no & ~np.isin(rows["id"], truth["id"])
    lesson = Lesson(
        store, coordinates(truth), coordinates(rows[said_no]), coordinates(rows[waiting]),
        _complete(project, record, store.grid),
    )  # fmt: skip
    class_ids, numbers = (truth[name].astype(np.int64) for name in ("class_id", "id"))
    return KnownSlide(record, lesson, class_ids, numbers, rows["id"][said_no].astype(np.int64))


def _complete(project: Project, record: SlideRecord, grid: FeatureGrid) -> Flags | None:
    """Cells whose middles lie in an area that was declared complete for all classes."""
    import cv2

    every = {defect.id for defect in project.classes}
    rings = [
        [np.array(ring, float)[:, ::-1] / grid.cell_slide_px[::-1] - 0.5 for ring in area.outline.rings()]
        for area in project.areas.of(record.id)
        if every <= area.class_ids
    ]
    if not rings:
        return None
    cells = np.zeros(grid.shape, np.uint8)
    for polygon in rings:
        cv2.fillPoly(cells, [np.rint(ring).astype(np.int32) for ring in polygon], 1)
    return cells.astype(bool)


def digest_of(known: Sequence[KnownSlide]) -> str:
    """Digest of all that can be learned from; the same as long as nothing was judged."""
    digest = hashlib.blake2b(digest_size=16)
    for slide in known:
        lesson = slide.lesson
        digest.update(json.dumps([slide.record.id, lesson.store.key]).encode())
        for values in (lesson.boxes, slide.class_ids, lesson.rejected, lesson.unknown):
            digest.update(np.ascontiguousarray(values, np.float64).tobytes() + b"|")
        digest.update(b"" if lesson.complete is None else np.packbits(lesson.complete).tobytes())
    return digest.hexdigest()
