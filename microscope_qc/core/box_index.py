"""Where boxes lie: found by place without looking at all of them."""

from __future__ import annotations

import numpy as np

BLOCK = 256
SMALLEST = 20_000
"""Below this many boxes, looking at all of them takes less time than asking an index."""


class BoxIndex:
    """Boxes packed into blocks of neighbours (sort-tile-recursive packing: Leutenegger et al., ICDE 1997).

    Blocks hold ids, so that taking boxes out changes nothing here. Boxes that came or moved since wait in a list of
    their own and are candidates always; when it has grown long the index is packed again.
    """

    def __init__(self, ids: np.ndarray, corners: np.ndarray) -> None:
        """Pack ``ids`` with their (4, N) corners y0, x0, y1, x1."""
        count = len(ids)
        self._waiting: list[np.ndarray] = []
        self._waiting_count = 0
        self._room = max(4 * BLOCK, count // 8)
        blocks = max(1, -(-count // BLOCK))
        strip = BLOCK * max(1, int(np.ceil(blocks**0.5)))
        by_x = np.argsort((corners[1] + corners[3]).astype(np.float32))
        place = np.empty(count, np.int32)
        place[by_x] = np.arange(count, dtype=np.int32) // strip
        order = np.lexsort(((corners[0] + corners[2]).astype(np.float32), place))
        starts = np.arange(0, count, BLOCK)
        self._ids = ids[order]
        reach = [np.minimum, np.minimum, np.maximum, np.maximum]
        self._around = np.stack(
            [ufunc.reduceat(side[order], starts) for ufunc, side in zip(reach, corners, strict=True)]
        )

    @property
    def worn(self) -> bool:
        """Whether so many boxes came or moved that packing again is worth its time."""
        return self._waiting_count > self._room

    def came(self, ids: np.ndarray) -> None:
        """Take note of boxes that are new or lie elsewhere now."""
        self._waiting.append(ids)
        self._waiting_count += len(ids)

    def candidates(self, y0: float, x0: float, y1: float, x1: float, *, limit: int) -> np.ndarray | None:
        """Return ids of boxes that may overlap a viewport, sorted, each once; some may be gone or lie elsewhere now.

        None when there are more than ``limit``: then looking at all boxes is quicker.
        """
        low_y, low_x, high_y, high_x = self._around
        blocks = np.flatnonzero((low_y < y1) & (high_y > y0) & (low_x < x1) & (high_x > x0))
        if len(blocks) * BLOCK + self._waiting_count > limit:
            return None
        if len(self._waiting) > 1:
            self._waiting = [np.unique(np.concatenate(self._waiting))]
            self._waiting_count = len(self._waiting[0])
        places = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        return np.unique(np.concatenate([self._ids[places[places < len(self._ids)]], *self._waiting]))
