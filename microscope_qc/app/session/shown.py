"""Which boxes of the slide on screen count and pass the filter, kept up to date box by box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal

from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxFilter, BoxTable, ReviewState
from microscope_qc.core.inclusion import Inclusion

if TYPE_CHECKING:
    from microscope_qc.project import Project

STATES = len(ReviewState)
FEW = 100
"""So many changes are followed one by one also where they are most of a slide."""


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
        self._keys: np.ndarray | None = None  # class and state of each row, as one number
        self._in: np.ndarray | None = None  # whether each row counts
        self._rows: np.ndarray | None = None
        self._shown = self._counted = np.zeros(0, np.int64)  # rows by key, where the masks are known
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

        Limits of confidence do not apply then: what sets the limit knows which detection has to be sure.
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
        self._mask = self._in = self._keys = self._rows = None

    def follow(self, change: BoxChange) -> None:
        """Update the boxes of the table that changed."""
        self._rows = None
        if self._mask is None or self._in is None or self._keys is None:
            return
        if change.kind == "reset" or len(change.ids) > max(FEW, len(self._ids) // 2):
            self.forget()
            return
        if change.kind != "added":
            self._tally(np.searchsorted(self._ids, change.ids), -1)
        if change.kind == "removed":
            keep = np.ones(len(self._ids), bool)
            keep[np.searchsorted(self._ids, change.ids)] = False
            self._ids, self._mask = self._ids[keep], self._mask[keep]
            self._in, self._keys = self._in[keep], self._keys[keep]
            return
        places = self._table.rows_of(change.ids)
        rows = self._table.rows[places]
        shown, counted, keys = self.passes(rows), self._counts_in(rows), _keys(rows["class_id"], rows["state"])
        if change.kind == "added":
            before = np.searchsorted(self._ids, change.ids)
            self._ids = np.insert(self._ids, before, change.ids)
            self._mask = np.insert(self._mask, before, shown)
            self._in, self._keys = np.insert(self._in, before, counted), np.insert(self._keys, before, keys)
        else:
            self._mask = self._mask.copy()  # the old array may be in use elsewhere
            self._mask[places], self._in[places], self._keys[places] = shown, counted, keys
        self._tally(places, +1)

    def _tally(self, places: np.ndarray, sign: int) -> None:
        """Count some rows in (+1) or out (-1)."""
        assert self._mask is not None and self._in is not None and self._keys is not None
        keys, shown = self._keys[places], self._mask[places]
        self._shown = _plus(self._shown, sign * np.bincount(keys[shown]))
        self._counted = _plus(self._counted, sign * np.bincount(keys[self._in[places]]))

    def mask(self) -> np.ndarray:
        """One boolean for each row of the table. Read only."""
        self._know()
        assert self._mask is not None
        return self._mask

    def _know(self) -> None:
        """Look at all rows, unless it is known which of them are shown."""
        table, rows = self._table, self._table.rows
        if self._mask is not None and len(self._mask) == len(rows):
            return
        self._ids = rows["id"].copy()  # of a single row np.ascontiguousarray would be a view
        self._mask = self.passes(rows) if len(rows) else np.empty(0, bool)
        self._in = self._counts_in(rows) if len(rows) else np.empty(0, bool)
        self._keys = _keys(table.class_ids, table.states)
        self._shown, self._counted = np.bincount(self._keys[self._mask]), np.bincount(self._keys[self._in])

    def rows(self) -> np.ndarray:
        """The rows that are shown: one shared copy, read-only."""
        if self._rows is None:
            rows, mask = self._table.rows, self.mask()
            self._rows = rows[mask] if len(rows) else np.zeros(0, BOX_DTYPE)
            self._rows.flags.writeable = False
        return self._rows

    def counts(self) -> np.ndarray:
        """How many boxes of each class id and state are shown, shape (classes, states)."""
        self._know()
        return _by_class(self._shown)

    def all_counts(self) -> np.ndarray:
        """As :meth:`counts` for all boxes that count, whatever the view filter shows."""
        self._know()
        return _by_class(self._counted)

    def class_counts(self) -> dict[int, int]:
        """Number of shown boxes of each class; classes without any are left out."""
        total = self.counts().sum(axis=1)
        return {number: int(total[number]) for number in np.flatnonzero(total).tolist()}

    def _counts_in(self, rows: np.ndarray) -> np.ndarray:
        known = Inclusion() if self._project is None else self._project.inclusion.current
        return known.mask(rows, rejected=True)

    def _inclusion(self) -> Inclusion:
        if self._project is None:
            return Inclusion()
        return Inclusion() if self.limited else self._project.inclusion.current

    def _filter(self) -> BoxFilter:
        if self._project is None:
            return BoxFilter()
        known = self._project.filters.current
        return replace(known, found_by=None, min_confidence=0.0, max_confidence=1.0) if self.limited else known

    def _filtered(self, rows: np.ndarray, box_filter: BoxFilter) -> Flags:
        """Which rows a filter shows."""
        project, slide_id = self._project, self._slide_id
        if project is None or slide_id is None or not box_filter.needs_facts:
            return box_filter.mask(rows)
        return box_filter.mask(rows, facts=project.boxes.facts(slide_id))


def _keys(class_ids: np.ndarray, states: np.ndarray) -> Ints:
    keys: Ints = class_ids.astype(np.int64) * STATES + states
    return keys


def _plus(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The sum of two rows of numbers, of which one may be shorter."""
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def _by_class(found: np.ndarray) -> np.ndarray:
    padded = np.zeros(max(1, -(-len(found) // STATES)) * STATES, np.int64)
    padded[: len(found)] = found
    by_class: np.ndarray = padded.reshape(-1, STATES)
    return by_class
