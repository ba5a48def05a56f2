"""The findings of several slides in one table, and the slide of each. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from microscope_qc.core.arrays import Ints, Rows
from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxTable

if TYPE_CHECKING:
    from microscope_qc.project import Project
    from microscope_qc.project.commands import Ahead

NO_SLIDE = 0
MUCH = 32
"""A change of less than this part of a table is made in it."""


class MergedTable(BoxTable):
    """Copies of the rows of several slides' tables; ids are unique in a project. Its owner keeps it up to date."""

    indexed: ClassVar[bool] = False  # places on different slides have nothing to do with each other

    def __init__(self, rows: Rows | None = None, slides: Ints | None = None) -> None:
        """Take rows, which nobody else may use then, and the id of the slide of each."""
        rows = np.zeros(0, BOX_DTYPE) if rows is None else rows
        ids = np.ascontiguousarray(rows["id"])
        order = np.argsort(ids, kind="stable")
        self._known = ids[order]
        self._slides = np.zeros(0, np.int64) if slides is None else np.asarray(slides, np.int64)[order]
        super().__init__(rows, own=True)

    def slides_of(self, ids: Ints) -> Ints:
        """Id of the slide of each finding, 0 for those that are not here."""
        wanted = np.asarray(ids, np.int64)
        if len(self._known) == 0:
            return np.full(len(wanted), NO_SLIDE, np.int64)
        near = np.minimum(np.searchsorted(self._known, wanted), len(self._known) - 1)
        return np.where(self._known[near] == wanted, self._slides[near], NO_SLIDE)

    @property
    def slides(self) -> Ints:
        """Id of the slide of each row. Read it, do not write to it."""
        return self._slides

    def come(self, slides: int | Ints, rows: Rows) -> None:
        """Add the rows of new findings on a slide, or each on one of several."""
        order = np.argsort(rows["id"], kind="stable")
        ids = np.ascontiguousarray(rows["id"][order])
        before = np.searchsorted(self._known, ids)
        self._known = np.insert(self._known, before, ids)
        self._slides = np.insert(self._slides, before, slides if isinstance(slides, int) else slides[order])
        self.add(rows)

    def go(self, ids: Ints) -> None:
        """Remove findings; those that are not here are ignored."""
        ids = ids[self.has(ids)]
        if len(ids):
            keep = np.ones(len(self._known), bool)
            keep[np.searchsorted(self._known, ids)] = False
            self._known, self._slides = self._known[keep], self._slides[keep]
            self.remove(ids)

    def take_over(self, other: BoxTable, changes: Sequence[BoxChange]) -> None:
        """Become ``other``, a table of the same slides."""
        assert isinstance(other, MergedTable)
        self._known, self._slides = other._known, other._slides
        super().take_over(other, changes)


def together(parts: Sequence[Rows]) -> Rows:
    """The rows of several slides, one slide after the other."""
    rows = np.zeros(sum(map(len, parts)), BOX_DTYPE)
    if parts:
        for name in BOX_DTYPE.names or ():  # whole rows with text in them are copied at a tenth of this pace
            np.concatenate([part[name] for part in parts], out=rows[name])
    return rows


def merged(tables: Mapping[int, BoxTable]) -> MergedTable:
    """Copy the rows of several slides, by slide id, into one table."""
    parts = [table.rows for table in tables.values()]
    rows = together(parts)
    return MergedTable(rows, np.repeat(np.fromiter(tables, np.int64, len(tables)), [len(part) for part in parts]))


@dataclass(frozen=True, slots=True)
class SpareTable:
    """A table over several slides that is kept ready: right as long as nothing has changed in the project."""

    project: Project
    slide_ids: tuple[int, ...]
    version: int
    table: MergedTable

    def is_of(self, project: Project, slide_ids: tuple[int, ...]) -> bool:
        """Whether it is the table over these slides as they are now."""
        now = project, slide_ids, project.boxes.version
        return now == (self.project, self.slide_ids, self.version)


@dataclass(frozen=True, slots=True)
class MadeAhead:
    """What a large change makes of the table over several slides, made while it is written.

    Attributes
    ----------
    slide_ids
        The slides that change.
    change
        What the table tells then: all of them change in one way.
    """

    of: MergedTable
    slide_ids: frozenset[int]
    change: BoxChange
    table: MergedTable

    def fits(self, table: MergedTable | None, told: Sequence[tuple[int, BoxChange]]) -> bool:
        """Whether this is what the changes that slides have told make of a table."""
        if table is not self.of or any(change.kind != self.change.kind for _, change in told):
            return False
        if len(told) != len(self.slide_ids) or {slide_id for slide_id, _ in told} != self.slide_ids:
            return False
        return sum(len(change.ids) for _, change in told) == len(self.change.ids)


def made_ahead(table: MergedTable, tables: Mapping[int, BoxTable], ahead: Ahead) -> MadeAhead | None:
    """Work out in any thread what a change makes of the table over ``tables``, by slide id.

    None where it changes little of it, or slides in different ways: it is better followed slide by slide then.
    """
    changes = [(slide_id, change) for slide_id, change in ahead.changes if slide_id in tables and len(change.ids)]
    told = {slide_id: change.changes() for slide_id, change in changes}
    kinds = {tell.kind for tells in told.values() for tell in tells}
    if len(kinds) != 1 or kinds == {"reset"}:
        return None
    told = {slide_id: tells for slide_id, tells in told.items() if tells}
    ids = np.sort(np.concatenate([tells[0].ids for tells in told.values()]))
    if len(ids) * MUCH < len(table):
        return None
    changed = {slide_id: change.changed() for slide_id, change in changes}
    return MadeAhead(table, frozenset(told), BoxChange(kinds.pop(), ids), merged({**tables, **changed}))


def rows_of(table: BoxTable, ids: Ints) -> Rows:
    """The rows of some findings; not a copy where these are all."""
    rows = table.rows
    return rows if len(ids) == len(rows) and np.array_equal(ids, rows["id"]) else table.get(ids)


@dataclass(frozen=True, slots=True)
class PixelSizes:
    """Pixel sizes (y, x) in um of slides, by slide id; those of which it is not known are left out."""

    by_slide: Mapping[int, tuple[float, float]]

    def of(self, slides: Ints) -> tuple[np.ndarray, np.ndarray] | tuple[float, float] | None:
        """Pixel size of each of some slides, or one for all, to sort by; None where none is known.

        A slide whose pixel size is not known gets the usual one of the others.
        """
        if not self.by_slide:
            return None
        different = set(self.by_slide.values())
        if len(different) == 1:
            return next(iter(different))
        sizes = np.array(list(self.by_slide.values()))
        numbers, which = np.unique(slides, return_inverse=True)
        usual = np.median(sizes, axis=0)
        found = np.array([self.by_slide.get(number, usual) for number in numbers.tolist()]).reshape(-1, 2)
        return found[which, 0], found[which, 1]
