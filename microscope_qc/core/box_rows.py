"""The columns of a box, and the review states of a finding.

Boxes are half-open, in full-resolution slide pixels, (y, x).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np


class ReviewState(IntEnum):
    """The user's verdict on a finding."""

    UNREVIEWED = 0
    CONFIRMED = 1
    REJECTED = 2

    @property
    def word(self) -> str:
        """The state as a word, on screen and in files: unreviewed, confirmed, rejected."""
        return self.name.lower()


REJECT_REASONS = {
    "f": "false positive",
    "p": "preparation artefact",
    "d": "duplicate",
    "o": "out of focus",
    "e": "outside the area of interest",
    "x": "other",
}
"""Key to press after N, and the reason it stands for."""

BOX_DTYPE = np.dtype(
    [
        ("id", "i8"),
        ("class_id", "i4"),
        ("y0", "f8"),
        ("x0", "f8"),
        ("y1", "f8"),
        ("x1", "f8"),
        ("confidence", "f4"),  # NaN where the user drew the box
        ("state", "u1"),
        ("run_id", "i4"),  # 0 where the user drew or imported the box
        ("chosen", "?"),  # chosen for the SEM
        ("reason", "O"),  # why it was rejected, "" otherwise
        ("note", "O"),
    ]
)
EDITABLE_COLUMNS = tuple(name for name in BOX_DTYPE.names or () if name != "id")


def make_rows(count: int, **columns: Any) -> np.ndarray:
    """Make ``count`` box rows; by default without an id, unreviewed, drawn by the user, not chosen, without texts."""
    rows = np.zeros(count, BOX_DTYPE)
    rows["confidence"] = np.nan
    rows["reason"] = ""
    rows["note"] = ""
    for name, values in columns.items():
        rows[name] = values
    return rows


def class_counts(rows: np.ndarray, mask: np.ndarray) -> dict[int, int]:
    """Return the number of rows selected by a mask per class id, without classes that have none."""
    ids, counts = np.unique(rows["class_id"][mask], return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def coordinates(rows: np.ndarray) -> np.ndarray:
    """Return the (N, 4) float array y0, x0, y1, x1 of box rows."""
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1) if len(rows) else np.empty((0, 4))
