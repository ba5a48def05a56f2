"""Findings of a project that look like one of them: nearest neighbours on stored features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.boxes import coordinates
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.features.looks import looks_of, nearest, standardised
from microscope_qc.project import Project
from microscope_qc.workflows.scenes import open_scene
from microscope_qc.workflows.suggestions.stores import store_of

COUNT = 24


@dataclass(frozen=True, slots=True)
class SimilarFinding:
    """A finding, its slide, and how alike it looks: 1 is the same, 0 is as unlike as any other."""

    finding_id: int
    slide_id: int
    alike: float


@dataclass(frozen=True, slots=True)
class Looks:
    """How the findings of a project look.

    Attributes
    ----------
    ids, slide_ids : (n,)
    unit : (n, k)
        Of length 1.
    without
        Slides that have no features yet.
    """

    ids: Ints
    slide_ids: Ints
    unit: Floats
    without: tuple[str, ...] = ()

    def like(self, finding_id: int, *, count: int = COUNT) -> list[SimilarFinding]:
        """The findings that look most like one, which is left out, the most alike first.

        Raises
        ------
        InputError
            When there is no such finding, or its slide has no features.
        """
        place = np.flatnonzero(self.ids == finding_id)
        if not len(place):
            raise InputError(
                f"It is not known how the finding {finding_id} looks.",
                hint="Check the number, and compute the features of its slide (embed on the command line).",
            )
        rows, alike = nearest(self.unit, self.unit[place[0]], count + 1)
        found = [
            SimilarFinding(int(self.ids[row]), int(self.slide_ids[row]), float(value))
            for row, value in zip(rows, alike, strict=True)
            if row != place[0]
        ]
        return found[:count]


def looks_of_findings(project: Project, *, slide_ids: Sequence[int] | None = None) -> Job[Looks]:
    """How the findings look that count, of slides with features.

    Raises
    ------
    SlideError
        When a slide cannot be opened.
    """
    ids, owners, looks, without = [], [], [], []
    slides = [slide for slide in project.slides if slide_ids is None or slide.id in slide_ids]
    for done, slide in enumerate(slides):
        yield Progress(done, len(slides), "slides", slide.name)
        with open_scene(slide) as whole:
            store = store_of(slide, whole)
        if not store.complete:
            without.append(slide.name)
            continue
        rows = project.boxes.rows(slide.id)
        ids.append(rows["id"])
        owners.append(np.full(len(rows), slide.id))
        looks.append(looks_of(store, coordinates(rows)))
        store.used()
    none = np.zeros(0, np.int64)
    if not sum(map(len, ids)):
        return Looks(none, none, np.zeros((0, 0), np.float32), tuple(without))
    return Looks(np.concatenate(ids), np.concatenate(owners), standardised(np.concatenate(looks)), tuple(without))
