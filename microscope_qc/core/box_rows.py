"""The columns of a box, and the review states of a finding.

Boxes are half-open, in full-resolution slide pixels, (y, x).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Flags


class ReviewState(IntEnum):
    """The user's verdict on a finding."""

    UNREVIEWED = 0
    CONFIRMED = 1
    REJECTED = 2

    @property
    def word(self) -> str:
        """The state as a word, on screen and in files: unreviewed, confirmed, rejected."""
        return self.name.lower()


class FindingFlag(IntFlag):
    """What holds for a finding besides its state.

    ``DRAWN``: a user drew or imported it. ``CLASS`` and ``BOX``: a user set its class or moved its box, so that no
    model changes it any more. ``DELETED``: a user deleted it. ``FOUND_AGAIN``: a model found it after a user had
    rejected or deleted it. ``DISPUTED``: a model that counts says another class. These two follow from the opinions of
    models and are not stored. ``SAMPLED``: it was judged because it was next in a random sample.
    """

    DRAWN = 1
    CLASS = 2
    BOX = 4
    DELETED = 8
    FOUND_AGAIN = 16
    DISPUTED = 32
    SAMPLED = 64


OF_USER = FindingFlag.DRAWN | FindingFlag.CLASS | FindingFlag.BOX
"""Flags of what a user drew or imported."""
STORED_FLAGS = OF_USER | FindingFlag.DELETED | FindingFlag.SAMPLED
"""Flags that do not follow from opinions."""

REJECT_REASONS = {
    "f": "false positive",
    "p": "preparation artefact",
    "d": "duplicate",
    "o": "out of focus",
    "e": "outside the area of interest",
    "x": "other",
}
"""Key to press after N, and the reason it stands for."""
SAYS_NOTHING = frozenset(REJECT_REASONS[key] for key in "doex")
"""Reasons for which something is rejected that may still be a defect: nothing is learned from it."""

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
        ("run_id", "i4"),  # whose opinion is shown; 0 where the user drew or imported the box
        ("chosen", "?"),  # chosen for the SEM
        ("reason", "O"),  # why it was rejected, "" otherwise
        ("note", "O"),
        ("flags", "u1"),  # FindingFlag
    ]
)
EDITABLE_COLUMNS = ("class_id", "y0", "x0", "y1", "x1", "state", "chosen", "reason", "note")
"""What a user can change of a finding."""


def make_rows(count: int, **columns: Any) -> np.ndarray:
    """Make ``count`` box rows; by default without an id, unreviewed, drawn by the user, not chosen, without texts."""
    rows = np.zeros(count, BOX_DTYPE)
    rows["confidence"] = np.nan
    rows["reason"] = ""
    rows["note"] = ""
    rows["flags"] = OF_USER
    for name, values in columns.items():
        rows[name] = values
    return rows


def has_flag(rows: np.ndarray, flags: int) -> Flags:
    """Boolean for each row: whether it has one of the flags."""
    found: Flags = (rows["flags"] & np.uint8(flags)) != 0
    return found


def is_claimed(rows: np.ndarray) -> Flags:
    """Boolean for each row: whether a user drew, moved, named, judged, chose or annotated it, or has deleted it."""
    found: Flags = has_flag(rows, STORED_FLAGS) | (rows["state"] != 0) | rows["chosen"] | (rows["note"] != "")
    return found


def class_counts(rows: np.ndarray, mask: np.ndarray) -> dict[int, int]:
    """Return the number of rows selected by a mask per class id, without classes that have none."""
    ids, counts = np.unique(rows["class_id"][mask], return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def coordinates(rows: np.ndarray) -> np.ndarray:
    """Return the (N, 4) float array y0, x0, y1, x1 of box rows."""
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1) if len(rows) else np.empty((0, 4))
