"""Which boxes of the slide on screen pass the filter, kept up to date box by box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxFilter

if TYPE_CHECKING:
    from microscope_qc.app.session import Session
    from microscope_qc.core.boxes import BoxTable


class ShownBoxes:
    """The filter's answer for every row of the session's table; asking costs nothing until something changes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids = np.empty(0, np.int64)
        self._mask: np.ndarray | None = None
        self._rows: np.ndarray | None = None
        self._limit: np.ndarray | None = None
        self._limit_of: BoxTable | None = None

    @property
    def limited(self) -> bool:
        """Whether only some of the boxes that pass the filter are shown."""
        return self._limit is not None and self._limit_of is self._session.table

    def limit(self, ids: np.ndarray | None) -> None:
        """Of the boxes on this slide that pass the filter show only these, whatever detections are switched off.

        None lifts it. Exports do not follow it: it belongs to the window, not to the project.
        """
        wanted = None if ids is None else np.unique(np.asarray(ids, np.int64))
        if wanted is None and self._limit is None:
            return
        self._limit, self._limit_of = wanted, None if wanted is None else self._session.table
        self.forget()
        self._session.filter_changed.emit()

    def passes(self, rows: np.ndarray, *, limited: bool = True) -> np.ndarray:
        """One boolean for each of some rows of the slide on screen; without the limit where ``limited`` is False."""
        passing = self._filter().mask(rows)
        if limited and self.limited and self._limit is not None:
            passing &= _among(self._limit, rows["id"])
        return passing

    def forget(self) -> None:
        """The filter or what it looks at has changed as a whole."""
        self._mask = self._rows = None

    def follow(self, change: BoxChange) -> None:
        """Boxes of the table have changed."""
        self._rows = None
        mask, table = self._mask, self._session.table
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
            self._mask = mask.copy()  # somebody may be looking through the one before
            self._mask[places] = answers

    def mask(self) -> np.ndarray:
        """One boolean for each row of the table. Read it, do not write to it."""
        rows = self._session.table.rows
        if self._mask is None or len(self._mask) != len(rows):
            self._ids = np.ascontiguousarray(rows["id"])
            self._mask = self.passes(rows) if len(rows) else np.empty(0, bool)
        return self._mask

    def rows(self) -> np.ndarray:
        """The rows that are shown: a copy for all who ask, which cannot be written to."""
        if self._rows is None:
            rows, mask = self._session.table.rows, self.mask()
            self._rows = rows[mask] if len(rows) else np.zeros(0, BOX_DTYPE)
            self._rows.flags.writeable = False
        return self._rows

    def _filter(self) -> BoxFilter:
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return BoxFilter()
        known = project.filter
        if self.limited:
            known = replace(known, hidden_runs=frozenset(), found_by=None)
        if known.text or known.size_um is not None:  # the facts are gathered from all boxes
            return replace(known, facts=project.facts(slide.id))
        return known


def _among(known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Whether each of ``ids`` is in ``known``, which is sorted."""
    if len(known) == 0:
        return np.zeros(len(ids), bool)
    return known[np.minimum(np.searchsorted(known, ids), len(known) - 1)] == ids
