"""Ids in an order, and the position of each. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Places:
    """Box ids in review order; looking up, adding and removing ids is fast, however many there are."""

    def __init__(self, ids: np.ndarray | Sequence[int] = (), by_id: np.ndarray | None = None) -> None:
        """Take ids in order; ``by_id`` is their argsort, if a worker has computed it already."""
        self.ids = np.asarray(ids, np.int64)
        self._by_id = np.argsort(self.ids) if by_id is None else by_id

    def __len__(self) -> int:
        return len(self.ids)

    def sorted(self) -> np.ndarray:
        """The ids by size."""
        return self.ids[self._by_id]

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Positions of some ids, -1 for those that are not in the list."""
        wanted = np.asarray(ids, np.int64)
        if len(self.ids) == 0:
            return np.full(len(wanted), -1, np.int64)
        if len(wanted) == len(self.ids) > 1 and np.array_equal(wanted, self.ids[self._by_id]):  # everything
            return self._by_id
        near = np.minimum(np.searchsorted(self.ids, wanted, sorter=self._by_id), len(self.ids) - 1)
        found = self._by_id[near]
        return np.where(self.ids[found] == wanted, found, -1)

    def append(self, ids: np.ndarray) -> None:
        """Append new ids."""
        new = np.asarray(ids, np.int64)
        start = len(self.ids)
        order = np.argsort(new)
        where = np.searchsorted(self.ids, new[order], sorter=self._by_id)
        self._by_id = np.insert(self._by_id, where, start + order)
        self.ids = np.concatenate([self.ids, new])

    def remove(self, places: np.ndarray) -> None:
        """Remove the ids at some positions."""
        keep = np.ones(len(self.ids), bool)
        keep[places] = False
        self.ids = self.ids[keep]
        moved = np.cumsum(keep) - 1
        self._by_id = moved[self._by_id[keep[self._by_id]]]
