"""Which boxes of the slide on screen count and pass the filter, kept up to date box by box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal

from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxFilter, BoxTable, ReviewState
from microscope_qc.core.inclusion import Inclusion

if TYPE_CHECKING:
    from microscope_qc.project import Project

STATES = len(ReviewState)


class ShownBoxes:
    """Whether each row of one slide's table is shown, cached until something changes.

    Its owner says which slide is on screen (:meth:`show`) and what has changed (:meth:`forget`,
    :meth:`follow`).
    """

    limit_changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self._project: Project | None = None
        self._slide_id: int | None = None
        self._table = BoxTable()
        self._ids = np.empty(0, np.int64)
        self._mask: np.ndarray | None = None
        self._rows: np.ndarray | None = None
        self._counts: np.ndarray | None = None
        self._limit: np.ndarray | None = None  # a boolean for each id, up to the largest that is shown
        self._limit_of: BoxTable | None = None

    def show(self, project: Project | None, slide_id: int | None, table: BoxTable) -> None:
        """Switch to another slide: its project's filter, its boxes."""
        self._project, self._slide_id, self._table = project, slide_id, table
        self.forget()

    @property
    def limited(self) -> bool:
        """Whether only some of the boxes that pass the filter are shown."""
        return self._limit is not None and self._limit_of is self._table

    def limit(self, ids: np.ndarray | None) -> None:
        """Show only these of the boxes that pass the filter on this slide, even if their detections are switched off.

        None removes the limit. It does not apply to exports: it belongs to the window, not to the project.
        """
        if ids is None and self._limit is None:
            return
        self._limit = self._limit_of = None
        if ids is not None:
            self._limit = np.zeros(int(ids.max(initial=0)) + 1, bool)
            self._limit[ids] = True
            self._limit_of = self._table
        self.forget()
        self.limit_changed.emit()

    def passes(self, rows: np.ndarray, *, limited: bool = True) -> Flags:
        """One boolean for each of some rows of the slide on screen; ``limited=False`` ignores the limit."""
        passing: Flags = self._inclusion().mask(rows, rejected=True) & self._filtered(rows, self._filter())
        return passing & self.within_limit(rows) if limited and self.limited else passing

    def within_limit(self, rows: np.ndarray) -> Flags:
        """One boolean for each of some rows: whether the limit lets it be shown."""
        if not self.limited or self._limit is None:
            return np.ones(len(rows), bool)
        ids, last = rows["id"], len(self._limit) - 1
        inside: Flags = self._limit[np.minimum(ids, last)] & (ids <= last)
        return inside

    def counted(self) -> Flags:
        """One boolean for each row of the table: whether it counts, shown or not; rejected ones count as rejected."""
        return self._inclusion().mask(self._table.rows, rejected=True)

    def filtered(self, box_filter: BoxFilter) -> Flags:
        """One boolean for each row of the table: whether another filter shows it if it counts."""
        return self._filtered(self._table.rows, box_filter)

    def passing(self, box_filter: BoxFilter) -> Flags:
        """One boolean for each row of the table: whether it counts and another filter shows it."""
        return self.counted() & self.filtered(box_filter)

    def forget(self) -> None:
        """Recompute everything: the filter or its data changed as a whole."""
        self._mask = self._rows = self._counts = None

    def follow(self, change: BoxChange) -> None:
        """Update the boxes of the table that changed."""
        self._rows = self._counts = None
        mask, table = self._mask, self._table
        if mask is None:
            return
        if change.kind == "reset":
            self.forget()
            return
        if change.kind == "removed":
            keep = np.ones(len(mask), bool)
            keep[np.searchsorted(self._ids, change.ids)] = False
            self._ids, self._mask = self._ids[keep], mask[keep]
            return
        places = table.rows_of(change.ids)
        answers = self.passes(table.rows[places])
        if change.kind == "added":
            before = np.searchsorted(self._ids, change.ids)
            self._ids = np.insert(self._ids, before, change.ids)
            self._mask = np.insert(mask, before, answers)
        else:
            self._mask = mask.copy()  # the old array may be in use elsewhere
            self._mask[places] = answers

    def mask(self) -> np.ndarray:
        """One boolean for each row of the table. Read only."""
        rows = self._table.rows
        if self._mask is None or len(self._mask) != len(rows):
            self._ids = np.ascontiguousarray(rows["id"])
            self._mask = self.passes(rows) if len(rows) else np.empty(0, bool)
        return self._mask

    def rows(self) -> np.ndarray:
        """The rows that are shown: one shared copy, read-only."""
        if self._rows is None:
            rows, mask = self._table.rows, self.mask()
            self._rows = rows[mask] if len(rows) else np.zeros(0, BOX_DTYPE)
            self._rows.flags.writeable = False
        return self._rows

    def counts(self) -> np.ndarray:
        """How many boxes of each class id and state are shown, shape (classes, states): counted once."""
        if self._counts is None:
            table, mask = self._table, self.mask()
            keys = (table.class_ids * STATES + table.states)[mask]
            found = np.bincount(keys, minlength=STATES)
            self._counts = np.append(found, np.zeros(-len(found) % STATES, found.dtype)).reshape(-1, STATES)
            self._counts.flags.writeable = False
        return self._counts

    def class_counts(self) -> dict[int, int]:
        """Number of shown boxes of each class; classes without any are left out."""
        total = self.counts().sum(axis=1)
        return {number: int(total[number]) for number in np.flatnonzero(total).tolist()}

    def _inclusion(self) -> Inclusion:
        if self._project is None:
            return Inclusion()
        known = self._project.inclusion.current
        return replace(known, hidden_runs=frozenset()) if self.limited else known

    def _filter(self) -> BoxFilter:
        if self._project is None:
            return BoxFilter()
        known = self._project.filters.current
        return replace(known, found_by=None) if self.limited else known

    def _filtered(self, rows: np.ndarray, box_filter: BoxFilter) -> Flags:
        """Which rows a filter shows."""
        project, slide_id = self._project, self._slide_id
        if project is None or slide_id is None or not needs_facts(box_filter):
            return box_filter.mask(rows)
        return box_filter.mask(rows, facts=project.boxes.facts(slide_id))


def needs_facts(box_filter: BoxFilter) -> bool:
    """Whether a filter must know more of the findings than their rows; that is collected from all of them."""
    return bool(box_filter.text) or box_filter.size_um is not None
