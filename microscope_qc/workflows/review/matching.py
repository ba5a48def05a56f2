"""Findings of a project that a query means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.sampling import SampleEstimate, sample_estimate, sample_order
from microscope_qc.core.arrays import Flags, Rows
from microscope_qc.core.boxes import BOX_DTYPE, FindingFlag, ReviewState, has_flag
from microscope_qc.core.opinions import is_judged
from microscope_qc.core.query import Query, parse
from microscope_qc.core.query_fields import FieldRows
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord

_OF_SAMPLE = ("class", "slide", "state")
"""Whatever else a query asks for, a random sample of what it means is none of all findings."""


@dataclass(frozen=True, slots=True)
class Matches:
    """What a query means: rows by slide, and how many more fit that do not count in the project.

    ``of_all`` says that all findings of their classes and slides are meant, but for judged ones.
    """

    slides: tuple[tuple[SlideRecord, np.ndarray], ...]
    hidden: int
    of_all: bool = False

    @property
    def ids(self) -> np.ndarray:
        """Numbers of all of them."""
        return np.concatenate([np.zeros(0, np.int64), *(rows["id"] for _, rows in self.slides)])

    def sample(self, count: int) -> Matches:
        """Return so many of them that were not judged, drawn at random in bands of confidence; see ``sample_order``."""
        rows = self._rows()
        order = sample_order(rows["id"], rows["confidence"])
        wanted = rows["id"][order[~is_judged(rows)[order]]][:count]
        slides = [(slide, mine[np.isin(mine["id"], wanted)]) for slide, mine in self.slides]
        return Matches(tuple((slide, mine) for slide, mine in slides if len(mine)), self.hidden, self.of_all)

    def estimate(self) -> SampleEstimate:
        """How many of them are true, from those that were judged at random."""
        rows = self._rows()
        return sample_estimate(
            rows["id"], rows["confidence"], known=is_judged(rows), kept=rows["state"] != ReviewState.REJECTED,
            at_random=has_flag(rows, FindingFlag.SAMPLED),
        )  # fmt: skip

    def _rows(self) -> Rows:
        every = [rows for _, rows in self.slides]
        return np.concatenate(every) if every else np.zeros(0, BOX_DTYPE)

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
    of_all = not hidden and (query is None or all(term.field.name in _OF_SAMPLE for term in query.terms))
    return Matches(tuple(slides), left_out, of_all)
