"""All boxes of one slide, column by column: the truth that canvas, table and gallery show.

Boxes are half-open, in full-resolution slide pixels, (y, x).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from psygnal import Signal


class ReviewState(IntEnum):
    """What a person said about a find."""

    UNREVIEWED = 0
    CONFIRMED = 1
    REJECTED = 2

    @property
    def word(self) -> str:
        """The word on screen and in files: unreviewed, confirmed, rejected."""
        return self.name.lower()


REJECT_REASONS = {
    "f": "false positive",
    "p": "preparation artefact",
    "d": "duplicate",
    "o": "out of focus",
    "e": "outside the area of interest",
    "x": "other",
}
"""Letter to press after N, and the reason it gives."""

BOX_DTYPE = np.dtype(
    [
        ("id", "i8"),
        ("class_id", "i4"),
        ("y0", "f8"),
        ("x0", "f8"),
        ("y1", "f8"),
        ("x1", "f8"),
        ("confidence", "f4"),  # NaN where a person drew the box
        ("state", "u1"),
        ("run_id", "i4"),  # 0 where a person drew or imported the box
        ("chosen", "?"),  # chosen for the SEM
        ("reason", "O"),  # why it was rejected, "" otherwise
        ("note", "O"),
    ]
)
_FEW = 20
EDITABLE_COLUMNS = tuple(name for name in BOX_DTYPE.names or () if name != "id")


def make_rows(count: int, **columns: Any) -> np.ndarray:
    """Make ``count`` box rows; columns not given are: no id, unreviewed, drawn by a person, not chosen, no text."""
    rows = np.zeros(count, BOX_DTYPE)
    rows["confidence"] = np.nan
    rows["reason"] = ""
    rows["note"] = ""
    for name, values in columns.items():
        rows[name] = values
    return rows


def coordinates(rows: np.ndarray) -> np.ndarray:
    """Return the (N, 4) float array y0, x0, y1, x1 of box rows."""
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1) if len(rows) else np.empty((0, 4))


@dataclass(frozen=True, slots=True)
class BoxChange:
    """What happened to a table: ``kind`` is "added", "removed", "updated" or "reset" (then ``ids`` is everything)."""

    kind: str
    ids: np.ndarray


class BoxTable:
    """Boxes of one slide, sorted by id.

    The project alone writes to it; everybody else reads ``rows`` and listens to ``changed``.
    """

    changed: ClassVar[Signal] = Signal(BoxChange)

    def __init__(self, rows: np.ndarray | None = None) -> None:
        self._store = np.zeros(0, BOX_DTYPE)
        self._count = 0
        if rows is not None and len(rows):
            self._store = rows[np.argsort(rows["id"], kind="stable")].copy()
            self._count = len(rows)

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> np.ndarray:
        """All rows, sorted by id. A view: read it, do not write to it, do not keep it over a change."""
        return self._store[: self._count]

    def rows_of(self, ids: np.ndarray | list[int]) -> np.ndarray:
        """Row numbers of ``ids``.

        Raises
        ------
        KeyError
            When one of them is not in the table.
        """
        wanted = np.asarray(ids, np.int64)
        known = self.rows["id"]
        if len(wanted) <= _FEW:  # numpy would copy the whole column first
            found = np.array([bisect_left(known, number) for number in wanted.tolist()], np.int64)
        else:
            found = np.searchsorted(known, wanted)
        inside = found < self._count
        if not inside.all() or not (known[np.minimum(found, max(self._count - 1, 0))] == wanted).all():
            raise KeyError(f"no box {sorted(set(wanted.tolist()) - set(known.tolist()))[:5]}")
        return found

    def get(self, ids: np.ndarray | list[int]) -> np.ndarray:
        """Copy of the rows of ``ids``, in their order."""
        return self.rows[self.rows_of(ids)].copy()

    def __contains__(self, box_id: int) -> bool:
        row = bisect_left(self.rows["id"], box_id)
        return row < self._count and int(self.rows["id"][row]) == box_id

    def inside(self, y0: float, x0: float, y1: float, x1: float) -> np.ndarray:
        """Row numbers of the boxes that overlap a viewport."""
        rows = self.rows
        return np.flatnonzero((rows["y0"] < y1) & (rows["y1"] > y0) & (rows["x0"] < x1) & (rows["x1"] > x0))

    def at(self, y: float, x: float, *, among: np.ndarray | None = None, margin_px: float = 0.0) -> int | None:
        """Return the id of the smallest box that covers a point (so that a box inside a box can be hit), or None."""
        rows = self.rows if among is None else self.rows[among]
        hit = (
            (rows["y0"] - margin_px <= y)
            & (y < rows["y1"] + margin_px)
            & (rows["x0"] - margin_px <= x)
            & (x < rows["x1"] + margin_px)
        )
        rows = rows[hit]
        if len(rows) == 0:
            return None
        area = (rows["y1"] - rows["y0"]) * (rows["x1"] - rows["x0"])
        return int(rows["id"][int(np.argmin(area))])

    def add(self, rows: np.ndarray) -> None:
        """Add rows whose ids are new."""
        if len(rows) == 0:
            return
        rows = rows[np.argsort(rows["id"], kind="stable")]
        if self._count and rows["id"][0] <= self.rows["id"][-1]:
            if np.isin(rows["id"], self.rows["id"]).any():
                raise ValueError("a box with this id is already there")
            merged = np.concatenate([self.rows, rows])
            self._store = merged[np.argsort(merged["id"], kind="stable")]
            self._count = len(self._store)
        else:
            needed = self._count + len(rows)
            if needed > len(self._store):
                grown = np.zeros(max(needed, len(self._store) * 3 // 2, 64), BOX_DTYPE)
                grown[: self._count] = self.rows
                self._store = grown
            self._store[self._count : needed] = rows
            self._count = needed
        self.changed.emit(BoxChange("added", rows["id"].copy()))

    def remove(self, ids: np.ndarray | list[int]) -> None:
        """Take rows out."""
        if len(ids) == 0:
            return
        keep = np.ones(self._count, bool)
        keep[self.rows_of(ids)] = False
        self._store = self.rows[keep]
        self._count = len(self._store)
        self.changed.emit(BoxChange("removed", np.asarray(ids, np.int64)))

    def put(self, rows: np.ndarray) -> None:
        """Replace whole rows, matched by id."""
        if len(rows) == 0:
            return
        self._store[self.rows_of(rows["id"])] = rows
        self.changed.emit(BoxChange("updated", rows["id"].copy()))

    def reset(self, rows: np.ndarray) -> None:
        """Replace everything."""
        self._store = rows[np.argsort(rows["id"], kind="stable")].copy()
        self._count = len(rows)
        self.changed.emit(BoxChange("reset", self.rows["id"].copy()))


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """Which boxes are shown, counted and exported. None means all.

    ``min_confidence`` never hides what a person drew. ``hidden_runs`` are the detections switched off.
    """

    min_confidence: float = 0.0
    class_ids: frozenset[int] | None = None
    states: frozenset[ReviewState] | None = None
    hidden_runs: frozenset[int] = field(default_factory=frozenset)
    only_chosen: bool = False
    text: str = ""

    def mask(self, rows: np.ndarray) -> np.ndarray:
        """Boolean mask of the rows that are shown."""
        keep = ~(rows["confidence"] < np.float32(self.min_confidence))  # NaN (a person's box) compares false: kept
        # what a person has judged stays in sight, whatever the model thought of it
        keep |= rows["state"] != ReviewState.UNREVIEWED
        if self.class_ids is not None:
            keep &= np.isin(rows["class_id"], list(self.class_ids))
        if self.states is not None:
            keep &= np.isin(rows["state"], [int(state) for state in self.states])
        if self.hidden_runs:
            keep &= ~np.isin(rows["run_id"], list(self.hidden_runs))
        if self.only_chosen:
            keep &= rows["chosen"]
        if self.text:
            wanted = self.text.casefold()
            texts = (f"{note}\n{reason}".casefold() for note, reason in zip(rows["note"], rows["reason"], strict=True))
            keep &= np.fromiter((wanted in text for text in texts), bool, len(rows))
        return keep
