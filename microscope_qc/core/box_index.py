"""A spatial index of boxes: finds those in a viewport without checking all of them."""

from __future__ import annotations

import numpy as np

BLOCK = 256
SMALLEST = 20_000
"""With fewer boxes, checking all of them is faster than an index."""


class BoxIndex:
    """Boxes packed into blocks of neighbours (sort-tile-recursive packing: Leutenegger et al., ICDE 1997).

    Blocks hold ids, so that removing boxes changes nothing here. Boxes that were added or moved since the last packing
    are kept in a separate list and are always candidates; when that has become long, the index is packed again.
    """

    def __init__(self, ids: np.ndarray, corners: np.ndarray) -> None:
        """Pack ``ids`` with their (4, N) corners y0, x0, y1, x1."""
        count = len(ids)
        self._waiting: list[np.ndarray] = []
        self._waiting_count = 0
        self._room = max(4 * BLOCK, count // 8)
        order = np.concatenate([_packed(corners, group) for group in _by_size(corners)])
        # large and small boxes are in separate blocks: the last block of a group is padded with its last box
        self._ids = ids[order]
        starts = np.arange(0, len(order), BLOCK)
        reach = [np.minimum, np.minimum, np.maximum, np.maximum]
        self._around = np.stack(
            [ufunc.reduceat(side[order], starts) for ufunc, side in zip(reach, corners, strict=True)]
        )

    @property
    def worn(self) -> bool:
        """Whether so many boxes were added or moved that packing again is worthwhile."""
        return self._waiting_count > self._room

    def came(self, ids: np.ndarray) -> None:
        """Register boxes that were added or moved."""
        self._waiting.append(ids)
        self._waiting_count += len(ids)

    def candidates(self, y0: float, x0: float, y1: float, x1: float, *, limit: int) -> np.ndarray | None:
        """Return ids of boxes that may overlap a viewport, sorted, without duplicates; some may be deleted or moved.

        None when there are more than ``limit``: checking all boxes is then faster.
        """
        low_y, low_x, high_y, high_x = self._around
        blocks = np.flatnonzero((low_y < y1) & (high_y > y0) & (low_x < x1) & (high_x > x0))
        if len(blocks) * BLOCK + self._waiting_count > limit:
            return None
        if len(self._waiting) > 1:
            self._waiting = [np.unique(np.concatenate(self._waiting))]
            self._waiting_count = len(self._waiting[0])
        places = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        return np.unique(np.concatenate([self._ids[places], *self._waiting]))


def _by_size(corners: np.ndarray) -> list[np.ndarray]:
    """Indices of the usual boxes and of the large ones, which would make every block large."""
    size = np.maximum(corners[2] - corners[0], corners[3] - corners[1])
    groups: list[np.ndarray] = []
    lowest = 0.0
    for share in (0.8, 0.96, 1.0):
        limit = np.quantile(size, share)
        taken = size <= limit if not groups else (size <= limit) & (size > lowest)
        groups.append(np.flatnonzero(taken))
        lowest = float(limit)
    return [group for group in groups if len(group)]


def _packed(corners: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The indices in ``group`` with neighbours together, padded to whole blocks."""
    count = len(group)
    blocks = -(-count // BLOCK)
    strip = BLOCK * int(np.ceil(blocks**0.5))
    by_x = group[np.argsort((corners[1, group] + corners[3, group]).astype(np.float32))]
    y = (corners[0, by_x] + corners[2, by_x]).astype(np.float32)
    order = by_x[np.lexsort((y, np.arange(count) // strip))]
    return np.concatenate([order, np.repeat(order[-1:], blocks * BLOCK - count)])
