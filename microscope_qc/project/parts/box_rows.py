"""Rows of boxes before they are stored: checking, changing and comparing them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.cells import visible
from microscope_qc.core.errors import InputError
from microscope_qc.project.deltas import BOX_COLUMNS
from microscope_qc.project.store import Store

SIDES = ("y0", "x0", "y1", "x1")
_ONLY_STATES = "A box is unreviewed, confirmed or rejected; there is no other state."


def check_rows(
    store: Store,
    rows: np.ndarray,
    *,
    names: Collection[str] = BOX_COLUMNS,
    new_classes: Sequence[int] = (),
) -> None:
    """Check the columns ``names`` of boxes; the others are unchanged.

    Raises
    ------
    InputError
        When a box is empty or not finite, names a class or run that does not exist, or holds what cannot be stored.
    """
    names = set(names)
    memory = store.memory
    if not names.isdisjoint(SIDES):
        corners = [rows[name] for name in SIDES]
        if not np.isfinite(corners).all() or not ((rows["y1"] > rows["y0"]) & (rows["x1"] > rows["x0"])).all():
            raise InputError(
                "A box must have a width and a height.", hint="Its corners are y0 < y1 and x0 < x1, in px."
            )
    if "class_id" in names:
        lost = rows["class_id"][~np.isin(rows["class_id"], [*memory.classes.by_id, *new_classes])]
        if len(lost):
            raise InputError(f"There is no class {lost[0]} in {store.name}.")
    if (rows["state"] > max(ReviewState)).any():
        raise InputError(_ONLY_STATES)
    if np.isinf(rows["confidence"]).any():
        raise InputError("A confidence must be a finite number.")
    for name in {"reason", "note"} & names:
        if not all(issubclass(kind, str) for kind in set(map(type, rows[name].tolist()))):
            raise InputError(f"The {name} of a box must be text.")


_HALF = re.compile("[\ud800-\udfff]")
"""Half of a letter: no text that can be stored."""


def _visible(value: Any) -> Any:
    """Text, or an array of texts, without control characters; what cannot be stored is refused later."""
    if isinstance(value, np.ndarray):
        return np.array([_visible(text) for text in value.tolist()], object)
    return visible(value) if isinstance(value, str) and not _HALF.search(value) else value


def assign(rows: np.ndarray, name: str, value: object, places: np.ndarray, count: int) -> None:
    """Set a column of ``rows``: one value for all, or one for each of ``count`` boxes, taken at ``places``.

    Raises
    ------
    InputError
        When the number of values is wrong, or the column cannot hold them.
    """
    try:
        if np.ndim(value) == 1:  # type: ignore[arg-type]
            values = np.asarray(value)
            if len(values) != count:
                raise InputError(f"{len(values)} values were given for the {name} of {count} boxes.")
            value = values[places]
        if name in ("reason", "note"):
            value = _visible(value)
        if name == "state":
            value = np.asarray(value, np.int64)
            if ((value < 0) | (value > max(ReviewState))).any():
                raise InputError(_ONLY_STATES)
        rows[name] = value
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{value!r} cannot be the {name} of a box.") from error


def differs(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Boolean for each box: whether one of the columns ``names`` differs."""
    found = np.zeros(len(before), bool)
    for name in names:
        old, new = before[name], after[name]
        unequal = old != new
        if name == "confidence":
            unequal &= ~(np.isnan(old) & np.isnan(new))
        found |= unequal.astype(bool)
    return found
