"""All boxes of one slide, column by column: the truth that canvas, table and gallery show.

Boxes are half-open, in full-resolution slide pixels, (y, x).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from psygnal import Signal

from microscope_qc.core.arrays import Flags, Floats, Ints, Rows
from microscope_qc.core.box_facts import BoxFacts
from microscope_qc.core.box_filter import BoxFilter
from microscope_qc.core.box_index import SMALLEST, BoxIndex
from microscope_qc.core.box_rows import (
    BOX_DTYPE,
    EDITABLE_COLUMNS,
    OF_USER,
    REJECT_REASONS,
    SAYS_NOTHING,
    STORED_FLAGS,
    FindingFlag,
    ReviewState,
    class_counts,
    coordinates,
    has_flag,
    is_claimed,
    make_rows,
)

__all__ = [
    "BOX_DTYPE",
    "EDITABLE_COLUMNS",
    "OF_USER",
    "REJECT_REASONS",
    "SAYS_NOTHING",
    "STORED_FLAGS",
    "BoxChange",
    "BoxFacts",
    "BoxFilter",
    "BoxTable",
    "FindingFlag",
    "ReviewState",
    "class_counts",
    "coordinates",
    "has_flag",
    "is_claimed",
    "make_rows",
]

_SIDES = ("y0", "x0", "y1", "x1")
_MANY = 50
_FLAT = ("class_id", "state", "chosen", "confidence", "flags")
"""What panels count after every edit, and what the order of review goes by."""


@dataclass(frozen=True, slots=True)
class BoxChange:
    """What happened to a table: ``kind`` is "added", "removed", "updated" or "reset" (then ``ids`` is everything)."""

    kind: str
    ids: np.ndarray


def _room_for(count: int) -> int:
    """Rows that are kept ready, so that one box more is one row written."""
    return count + max(64, count // 4)


def _block(places: Ints) -> Ints | slice:
    """Row numbers as a slice where they are many and one after the other."""
    if len(places) >= _MANY and places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


class BoxTable:
    """Boxes of one slide, sorted by id.

    The project alone writes to it; everybody else reads ``rows`` and listens to ``changed``.
    """

    changed: ClassVar[Signal] = Signal(BoxChange)
    indexed: ClassVar[bool] = True
    """Whether places are looked up; without an index a large table is made sooner."""

    def __init__(self, rows: np.ndarray | None = None, *, own: bool = False) -> None:
        """Take a copy of rows; with ``own`` the rows themselves, which nobody else may use then."""
        self._take(np.zeros(0, BOX_DTYPE) if rows is None else rows, own=own)

    def _take(self, rows: np.ndarray, *, own: bool = False) -> None:
        self._count = len(rows)
        ids = rows["id"]
        sorted_already = bool((ids[1:] > ids[:-1]).all())
        if own and sorted_already:
            self._store = rows
        else:
            sort = slice(None) if sorted_already else np.argsort(ids, kind="stable")
            self._store = np.zeros(_room_for(len(rows)), BOX_DTYPE)
            for name in BOX_DTYPE.names or ():  # whole rows with text in them are copied at a tenth of this pace
                self._store[name][: self._count] = rows[name][sort]
        # the same again without gaps between the numbers: a query reads nothing else
        self._ids = np.ascontiguousarray(self._store["id"])
        self._corners = np.stack([self._store[side] for side in _SIDES])
        self._flat = {name: np.ascontiguousarray(self._store[name]) for name in _FLAT}
        self._pack()

    def _pack(self) -> None:
        enough = self.indexed and self._count >= SMALLEST
        self._index = BoxIndex(self._ids[: self._count], self._corners[:, : self._count]) if enough else None

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Rows:
        """All rows, sorted by id. A view: read it, do not write to it, do not keep it over a change."""
        return self._store[: self._count]

    @property
    def corners(self) -> Floats:
        """Corners y0, x0, y1, x1 of all rows, shape (4, N), each side without gaps in memory. A view as ``rows``."""
        return self._corners[:, : self._count]

    @property
    def ids(self) -> Ints:
        """Ids of all rows without gaps in memory. A view as ``rows``."""
        return self._ids[: self._count]

    @property
    def class_ids(self) -> Ints:
        """Classes of all rows without gaps in memory. A view as ``rows``."""
        return self._flat["class_id"][: self._count]

    @property
    def states(self) -> Ints:
        """Review states of all rows without gaps in memory. A view as ``rows``."""
        return self._flat["state"][: self._count]

    @property
    def chosen(self) -> Flags:
        """Whether the SEM visits each row, without gaps in memory. A view as ``rows``."""
        return self._flat["chosen"][: self._count]

    @property
    def confidences(self) -> Floats:
        """Confidences of all rows without gaps in memory, NaN where the user drew the box. A view as ``rows``."""
        return self._flat["confidence"][: self._count]

    @property
    def flags(self) -> Ints:
        """Flags of all rows without gaps in memory. A view as ``rows``."""
        return self._flat["flags"][: self._count]

    def rows_of(self, ids: Ints | list[int]) -> Ints:
        """Row numbers of ``ids``.

        Raises
        ------
        KeyError
            When one of them is not in the table.
        """
        wanted = np.asarray(ids, np.int64)
        found, there = self.look_up(wanted)
        if not there.all():
            raise KeyError(f"no box {np.unique(wanted[~there])[:5].tolist()}")
        return found

    def look_up(self, ids: Ints) -> tuple[Ints, Flags]:
        """Return row numbers of ``ids``, and a boolean for each: whether it is there, else its number means nothing."""
        known = self._ids[: self._count]
        if len(ids) == self._count > 1 and np.array_equal(ids, known):  # a change of everything
            return np.arange(self._count), np.ones(self._count, bool)
        found = np.searchsorted(known, ids)
        if self._count == 0:
            return found, np.zeros(len(ids), bool)
        return found, known[np.minimum(found, self._count - 1)] == ids

    def row_of(self, box_id: int) -> int | None:
        """Row number of one box, None where it is not in the table: a tenth of what :meth:`look_up` costs."""
        place = int(self._ids[: self._count].searchsorted(box_id))
        return place if place < self._count and self._ids[place] == box_id else None

    def get(self, ids: Ints | list[int]) -> Rows:
        """Copy of the rows of ``ids``, in their order."""
        return self.rows[self.rows_of(ids)]

    def has(self, ids: Ints) -> Flags:
        """Boolean for each of ``ids``: whether it is in the table."""
        return self.look_up(np.asarray(ids, np.int64))[1]

    def spans(self, box_id: int) -> bool:
        """Whether a box could be here, going by the smallest and the largest id: quick to ask of many tables."""
        return self._count > 0 and bool(self._ids[0] <= box_id <= self._ids[self._count - 1])

    def __contains__(self, box_id: int) -> bool:
        return self.row_of(box_id) is not None

    def inside(self, y0: float, x0: float, y1: float, x1: float) -> Ints:
        """Row numbers of the boxes that overlap a viewport, in order."""
        if self._index is not None:
            ids = self._index.candidates(y0, x0, y1, x1, limit=self._count // 16)
            if ids is not None:
                found, there = self.look_up(ids)
                found = found[there]
                low_y, low_x, high_y, high_x = self._corners[:, found]
                hit: Flags = (low_y < y1) & (high_y > y0) & (low_x < x1) & (high_x > x0)
                return found[hit]
        low_y, low_x, high_y, high_x = self.corners
        return np.flatnonzero((low_y < y1) & (high_y > y0) & (low_x < x1) & (high_x > x0))

    def at(self, y: float, x: float, *, among: np.ndarray | None = None, margin_px: float = 0.0) -> int | None:
        """Return the id of the smallest box that covers a point (so that a box inside a box can be hit), or None.

        Parameters
        ----------
        among
            Row numbers, or a boolean for each row: only these can be hit.
        """
        # a box of which the point is the first pixel ends behind the point: ask for the pixel, not for the point
        near = self.inside(y - margin_px, x - margin_px, np.nextafter(y, np.inf) + margin_px,
                           np.nextafter(x, np.inf) + margin_px)  # fmt: skip
        if among is not None and len(near):
            near = near[among[near] if among.dtype == bool else np.isin(near, among)]
        if len(near) == 0:
            return None
        low_y, low_x, high_y, high_x = self._corners[:, near]
        hit = (low_y - margin_px <= y) & (y < high_y + margin_px) & (low_x - margin_px <= x) & (x < high_x + margin_px)
        area = np.where(hit, (high_y - low_y) * (high_x - low_x), np.inf)
        best = int(np.argmin(area))
        return int(self._ids[near[best]]) if hit[best] else None

    def add(self, rows: np.ndarray) -> None:
        """Add rows whose ids are new."""
        if len(rows) == 0:
            return
        rows = rows[np.argsort(rows["id"], kind="stable")]
        ids = np.ascontiguousarray(rows["id"])
        if self._count and ids[0] <= self._ids[self._count - 1]:
            self._insert(rows, ids)
        else:
            self._append(rows, ids)
        self._came(ids)
        self.changed.emit(BoxChange("added", ids))

    def _append(self, rows: np.ndarray, ids: np.ndarray) -> None:
        start, needed = self._count, self._count + len(rows)
        self._make_room(needed)
        self._write(slice(start, needed), rows, ids)
        self._count = needed

    def _make_room(self, needed: int) -> None:
        if needed <= len(self._store):
            return
        before, count = self._store, self._count
        self._store = np.zeros(_room_for(needed), BOX_DTYPE)
        for name in BOX_DTYPE.names or ():
            self._store[name][:count] = before[name][:count]
        room = len(self._store) - count
        self._ids = np.concatenate([self._ids[:count], np.zeros(room, np.int64)])
        self._corners = np.concatenate([self.corners, np.zeros((4, room))], axis=1)
        for name, column in self._flat.items():
            self._flat[name] = np.concatenate([column[:count], np.zeros(room, column.dtype)])

    def _write(self, places: slice, rows: np.ndarray, ids: np.ndarray) -> None:
        for name in BOX_DTYPE.names or ():
            self._store[name][places] = rows[name]
        self._ids[places] = ids
        for name, column in self._flat.items():
            column[places] = rows[name]
        self._copy_corners(places, rows)

    def _insert(self, rows: np.ndarray, ids: np.ndarray) -> None:
        if self.has(ids).any():
            raise ValueError("a box with this id is already there")
        places, count, needed = np.searchsorted(self._ids[: self._count], ids), self._count, self._count + len(rows)
        self._make_room(needed)
        if places[0] == places[-1]:  # one gap is opened
            first = int(places[0])
            for column in self._columns():
                column[first + len(rows) : needed] = column[first:count]
            self._write(slice(first, first + len(rows)), rows, ids)
        else:
            self._write(slice(count, needed), rows, ids)
            order = np.argsort(self._ids[:needed], kind="stable")
            for column in self._columns():
                column[:needed] = column[:needed][order]
        self._count = needed

    def _columns(self) -> Iterator[np.ndarray]:
        yield from (self._store[name] for name in BOX_DTYPE.names or ())
        yield self._ids
        yield from self._corners
        yield from self._flat.values()

    def _copy_corners(self, places: slice | np.ndarray, rows: np.ndarray) -> None:
        for number, side in enumerate(_SIDES):
            self._corners[number, places] = rows[side]

    def _came(self, ids: np.ndarray) -> None:
        if self._index is not None:
            self._index.came(ids)
        if self.indexed and self._count >= SMALLEST and (self._index is None or self._index.worn):
            self._pack()

    def remove(self, ids: np.ndarray | list[int]) -> None:
        """Take rows out."""
        if len(ids) == 0:
            return
        gone = self.rows_of(ids)
        if len(np.unique(gone)) == self._count - gone.min():  # the newest ones, which undo takes back
            self._count = int(gone.min())
        elif len(gone) == 1:
            self._close_gap(int(gone[0]))
        else:
            keep = np.ones(self._count, bool)
            keep[gone] = False
            left = int(keep.sum())
            for column in self._columns():
                column[:left] = column[: self._count][keep]
            self._count = left
        self.changed.emit(BoxChange("removed", np.asarray(ids, np.int64)))

    def _close_gap(self, place: int) -> None:
        last = self._count - 1
        for column in self._columns():
            column[place:last] = column[place + 1 : last + 1]
        self._count = last

    def put(self, rows: np.ndarray) -> None:
        """Replace whole rows, matched by id."""
        if len(rows) == 0:
            return
        places = _block(self.rows_of(np.ascontiguousarray(rows["id"])))
        if isinstance(places, slice):
            for name in BOX_DTYPE.names or ():  # whole rows with text in them are copied at a third of this pace
                self._store[name][places] = rows[name]
        else:
            self._store[places] = rows
        for name, column in self._flat.items():
            column[places] = rows[name]
        moved = np.zeros(len(rows), bool)
        for number, side in enumerate(_SIDES):
            moved |= self._corners[number, places] != rows[side]
        if moved.any():
            self._copy_corners(places, rows)
            self._came(np.ascontiguousarray(rows["id"][moved]))
        self.changed.emit(BoxChange("updated", np.ascontiguousarray(rows["id"])))

    def touch(self, ids: np.ndarray) -> None:
        """Tell listeners that something beside the rows changed (attributes, outlines)."""
        if len(ids):
            self.changed.emit(BoxChange("updated", np.asarray(ids, np.int64)))

    def copy(self) -> BoxTable:
        """Return a table of the same rows that nobody listens to."""
        return BoxTable(self.rows)

    def take_over(self, other: BoxTable, changes: Sequence[BoxChange]) -> None:
        """Become ``other``, which nobody else may use then; ``changes`` say what is different in it.

        For a change of many rows that another thread has made in a copy. Listeners are told of each of the changes when
        all are there.
        """
        self._count, self._store, self._ids = other._count, other._store, other._ids
        self._corners, self._flat, self._index = other._corners, other._flat, other._index
        for change in changes:
            self.changed.emit(change)

    def reset(self, rows: np.ndarray) -> None:
        """Replace everything."""
        self._take(rows)
        self.changed.emit(BoxChange("reset", self._ids.copy()))
