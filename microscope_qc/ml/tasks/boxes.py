"""What tasks whose results are boxes have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
from microscope_qc.ml.tasks.base import Size, TileResult
from microscope_qc.ml.tasks.on_device import A, OnDevice

MOST = 300
"""Maximum number of candidates of an image."""


class BoxTask(OnDevice[A]):
    """A detector on a device; where memory is short, a tile is computed in halves that overlap."""

    seams = True

    def parts(self, shape: Size) -> list[Region]:
        """See :class:`microscope_qc.ml.tasks.base.Task`; halves that overlap like tiles."""
        overlap = max(self.stride, min(self.card.overlap_px, max(shape) // 4) // self.stride * self.stride)
        side = -(-(max(shape) + overlap) // (2 * self.stride)) * self.stride
        if side >= max(shape) or overlap >= side:
            return []
        return list(TileGrid(Region(0, 0, *shape), side, overlap))

    def join(self, results: Sequence[TileResult], parts: Sequence[Region], shape: Size) -> TileResult:
        """See :class:`microscope_qc.ml.tasks.base.Task`; merged like tiles."""
        side = max(parts[0].shape)
        grid = TileGrid(Region(0, 0, *shape), side, side - max(parts[1].x0 - parts[0].x0, parts[-1].y0 - parts[0].y0))
        placed = []
        for number, (found, part) in enumerate(zip(results, parts, strict=True)):
            rows = found.candidates.copy()
            for name, start in (("y0", part.y0), ("y1", part.y0), ("x0", part.x0), ("x1", part.x0)):
                rows[name] += start
            rows["tile"] = number
            placed.append(rows)
        merged = merge_candidates(np.concatenate(placed), grid)
        merged["tile"] = 0
        return TileResult(merged)


def candidate_rows(boxes: Tensor, scores: Tensor, labels: Tensor) -> np.ndarray:
    """CANDIDATE_DTYPE from boxes (n, 4) as y0, x0, y1, x1, their confidences and labels (n,)."""
    rows = np.zeros(len(scores), CANDIDATE_DTYPE)
    corners = boxes.double().numpy()
    for column, name in enumerate(("y0", "x0", "y1", "x1")):
        rows[name] = corners[:, column]
    rows["confidence"] = scores.float().numpy()
    rows["label"] = labels.numpy()
    return rows
