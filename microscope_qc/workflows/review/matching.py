"""Findings of a project that a query means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.sampling import SampleEstimate, sample_estimate, sample_order
from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import BOX_DTYPE, ReviewState
from microscope_qc.core.opinions import class_is_users
from microscope_qc.core.query import Query, parse
from microscope_qc.core.query_fields import FieldRows
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord


@dataclass(frozen=True, slots=True)
class Matches:
    """What a query means: rows by slide, and how many more fit that do not count in the project."""

    slides: tuple[tuple[SlideRecord, np.ndarray], ...]
    hidden: int

    @property
    def ids(self) -> np.ndarray:
        """Numbers of all of them."""
        return np.concatenate([np.zeros(0, np.int64), *(rows["id"] for _, rows in self.slides)])

    def sample(self, count: int) -> Matches:
        """Return so many of them that were not judged, drawn at random in bands of confidence; see ``sample_order``."""
        every = [rows for _, rows in self.slides]
        rows = np.concatenate(every) if every else np.zeros(0, BOX_DTYPE)
        order = sample_order(rows["id"], rows["confidence"])
        wanted = rows["id"][order[~class_is_users(rows)[order]]][:count]
        slides = [(slide, mine[np.isin(mine["id"], wanted)]) for slide, mine in self.slides]
        return Matches(tuple((slide, mine) for slide, mine in slides if len(mine)), self.hidden)

    def estimate(self) -> SampleEstimate:
        """How many of them are true, from those that were judged."""
        confidence, known, kept = (
            np.concatenate([np.zeros(0, kind), *(of(rows) for _, rows in self.slides)])
            for kind, of in (
                (float, lambda rows: rows["confidence"]), (bool, class_is_users),
                (bool, lambda rows: rows["state"] != ReviewState.REJECTED),
            )
        )  # fmt: skip
        return sample_estimate(confidence, known, kept)

    def __iter__(self) -> Iterator[tuple[SlideRecord, np.void]]:
        for slide, rows in self.slides:
            for row in rows:
                yield slide, row

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.slides)


def read_query(project: Project, text: str) -> Query:
    """Read a query about a project.

    Raises
    ------
    QueryError
        When it cannot be read, or names a class, slide or run that the project does not have.
    """
    return parse(text, project.filters.known())


def matching(project: Project, query: Query | None, *, hidden: bool = False) -> Matches:
    """Return the findings that a query means; None means all.

    Parameters
    ----------
    hidden
        Also those that do not count: of runs switched off, below its confidence limit.
    """
    slides = []
    left_out = 0
    for slide in project.slides:
        rows = project.boxes.table(slide.id).rows
        fit: Flags = np.ones(len(rows), bool)
        if query is not None:
            fit = query.mask(FieldRows(rows, slide.name, project.boxes.facts(slide.id)))
        if not hidden and fit.any():
            counted = project.boxes.included(slide.id)
            left_out += int(np.count_nonzero(fit & ~counted))
            fit = fit & counted
        if fit.any():
            slides.append((slide, rows[fit]))
    return Matches(tuple(slides), left_out)
