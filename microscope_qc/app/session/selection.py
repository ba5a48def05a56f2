"""The selected boxes, of the slide on screen or of any slide in the scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from psygnal import Signal


class Selection:
    """The selected boxes, of the slide on screen or of the scope; ``current`` is the one that the card describes."""

    changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.ids: np.ndarray = np.empty(0, np.int64)
        self.current: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, box_id: int) -> bool:
        return bool((self.ids == box_id).any())

    def set(self, ids: Iterable[int] | np.ndarray, current: int | None = None) -> None:
        """Select ``ids``; ``current`` defaults to the one that was current if it is still selected, else the first."""
        new = np.unique(np.asarray(list(ids) if not isinstance(ids, np.ndarray) else ids, np.int64))
        if current is None:
            current = self.current if self.current is not None and (new == self.current).any() else None
        if current is None and len(new):
            current = int(new[0])
        if len(new) == 0:
            current = None
        if np.array_equal(new, self.ids) and current == self.current:
            return
        self.ids, self.current = new, None if current is None else int(current)
        self.changed.emit()

    def toggle(self, box_id: int) -> None:
        """Add a box to the selection, or remove it."""
        if box_id in self:
            self.set(self.ids[self.ids != box_id])
        else:
            self.set(np.append(self.ids, box_id), current=box_id)

    def clear(self) -> None:
        """Clear the selection."""
        self.set(np.empty(0, np.int64))
