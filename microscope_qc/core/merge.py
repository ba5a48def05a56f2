"""One defect, one box: candidates of overlapping tiles become finds.

Two things happen at the seams of tiles. The same defect is found twice (twins), and a defect larger than the overlap
is found as fragments cut by the tile's border. Fragments are joined first, twins are then removed by greedy non-maximum
suppression within a class. Connected groups of candidates are independent of each other, so a group can be settled as
soon as no unfinished tile touches it: finds appear while the rest of the slide is still being read, and are the same as
when everything is merged at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid, touching_pairs

CANDIDATE_DTYPE = np.dtype(
    [
        ("y0", "f8"),
        ("x0", "f8"),
        ("y1", "f8"),
        ("x1", "f8"),
        ("confidence", "f4"),
        ("label", "i4"),  # index into the model's classes
        ("tile", "i4"),  # index into the tile grid
    ]
)


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """How candidates are joined.

    ``iou`` and ``inside``: a weaker box of the same class is a twin when it overlaps a stronger one by more than
    ``iou`` (intersection over union) or lies in it by more than ``inside`` (intersection over its own area).
    ``across_iou``: the same between different classes (the stronger class wins).
    ``border_px``: how near to a tile's inner border a box must end to count as cut by it.
    ``fragment_overlap``: share of the shorter side over which two fragments of one defect must line up.
    ``fragment_confidence``: how sure the weaker fragment must be, as a share of the stronger one's confidence.
    """

    iou: float = 0.45
    inside: float = 0.7
    across_iou: float = 0.65
    border_px: float = 6.0
    fragment_overlap: float = 0.3
    fragment_confidence: float = 0.5


def merge_candidates(candidates: np.ndarray, grid: TileGrid, settings: MergeSettings | None = None) -> np.ndarray:
    """Merge the candidates of all tiles; returns rows of :data:`CANDIDATE_DTYPE`, strongest first."""
    settings = settings or MergeSettings()
    if len(candidates) == 0:
        return candidates.copy()
    joined = _join_fragments(candidates, grid, settings)
    return _suppress_twins(joined, settings)


def _boxes(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1)


def _tile_borders(rows: np.ndarray, grid: TileGrid) -> np.ndarray:
    """(N, 4) tile of each row as y0, x0, y1, x1; a side on the region's own border, which cuts nothing, is infinite."""
    tiles, inverse = np.unique(rows["tile"], return_inverse=True)
    regions = np.array([[t.y0, t.x0, t.y1, t.x1] for t in (grid[int(i)] for i in tiles)], float)
    outer = grid.region
    for column, limit in enumerate((outer.y0, outer.x0, outer.y1, outer.x1)):
        regions[regions[:, column] == limit, column] = np.inf
    return regions[inverse]


def _join_fragments(rows: np.ndarray, grid: TileGrid, settings: MergeSettings) -> np.ndarray:
    """Join boxes of one class from neighbouring tiles that the border between them has cut."""
    boxes = _boxes(rows)
    near = np.abs(boxes - _tile_borders(rows, grid)) <= settings.border_px  # cut at top, left, bottom, right
    cut = np.flatnonzero(near.any(axis=1))
    if len(cut) == 0:
        return rows
    first, second = touching_pairs(boxes, margin_px=settings.border_px)
    keep = (rows["label"][first] == rows["label"][second]) & (rows["tile"][first] != rows["tile"][second])
    keep &= near[first].any(axis=1) | near[second].any(axis=1)
    one, other = rows["confidence"][first], rows["confidence"][second]
    keep &= np.minimum(one, other) >= settings.fragment_confidence * np.maximum(one, other)
    first, second = first[keep], second[keep]
    # two fragments belong together when one is cut on the side on which the other continues, and they line up along it
    linked = np.zeros(len(first), bool)
    for axis in (0, 1):
        across = 1 - axis
        low, high = axis, axis + 2
        overlap = np.minimum(boxes[first, across + 2], boxes[second, across + 2]) - np.maximum(
            boxes[first, across], boxes[second, across]
        )
        length = np.minimum(
            boxes[first, across + 2] - boxes[first, across], boxes[second, across + 2] - boxes[second, across]
        )
        aligned = overlap >= settings.fragment_overlap * np.maximum(length, 1e-9)
        goes_on = (near[first, high] & (boxes[second, high] > boxes[first, high])) | (
            near[first, low] & (boxes[second, low] < boxes[first, low])
        )
        goes_on |= (near[second, high] & (boxes[first, high] > boxes[second, high])) | (
            near[second, low] & (boxes[first, low] < boxes[second, low])
        )
        linked |= aligned & goes_on
    return _union(rows, first[linked], second[linked])


def _union(rows: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Replace every connected group by one row: the box around it, with the strongest member's confidence and tile."""
    if len(first) == 0:
        return rows
    group = np.arange(len(rows))
    while True:
        lowest = np.minimum(group[first], group[second])
        before = group.copy()
        np.minimum.at(group, first, lowest)
        np.minimum.at(group, second, lowest)
        group = group[group]
        if (group == before).all():
            break
    order = np.lexsort((-rows["confidence"], group))
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    sorted_rows = rows[order]
    merged = sorted_rows[starts].copy()
    for name in ("y0", "x0"):
        merged[name] = np.minimum.reduceat(sorted_rows[name], starts)
    for name in ("y1", "x1"):
        merged[name] = np.maximum.reduceat(sorted_rows[name], starts)
    return merged


def _suppress_twins(rows: np.ndarray, settings: MergeSettings) -> np.ndarray:
    """Greedy non-maximum suppression; ties are broken by place, so that the order of tiles does not matter."""
    rows = rows[np.lexsort((rows["x0"], rows["y0"], rows["label"], -rows["confidence"]))]
    boxes = _boxes(rows)
    first, second = touching_pairs(boxes)
    top_left = np.maximum(boxes[first, :2], boxes[second, :2])
    bottom_right = np.minimum(boxes[first, 2:], boxes[second, 2:])
    intersection = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.maximum(area[first] + area[second] - intersection, 1e-9)
    iou = intersection / union
    within = intersection / np.maximum(area[second], 1e-9)
    same = rows["label"][first] == rows["label"][second]
    twins = np.where(same, (iou > settings.iou) | (within > settings.inside), iou > settings.across_iou)
    first, second = first[twins], second[twins]
    keep = np.ones(len(rows), bool)
    order = np.argsort(first, kind="stable")
    for strong, weak in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if keep[strong]:
            keep[weak] = False
    return rows[keep]


class SeamMerger:
    """Merges candidates tile by tile and gives out each find once, as soon as no unfinished tile can change it."""

    def __init__(self, grid: TileGrid, settings: MergeSettings | None = None) -> None:
        self._grid = grid
        self._settings = settings or MergeSettings()
        self._open_tiles = set(range(len(grid)))
        self._waiting = np.zeros(0, CANDIDATE_DTYPE)

    def add(self, tile: int, candidates: np.ndarray) -> None:
        """Take the candidates of a finished tile (a tile that is given twice counts once)."""
        if tile in self._open_tiles:
            self._open_tiles.discard(tile)
            self._waiting = np.concatenate([self._waiting, candidates])

    def settled(self) -> np.ndarray:
        """Merge and return the groups that no unfinished tile touches."""
        if len(self._waiting) == 0:
            return self._waiting
        if not self._open_tiles:
            return self.rest()
        boxes = _boxes(self._waiting)
        margin = self._settings.border_px
        first, second = touching_pairs(boxes, margin_px=margin)
        open_regions = [self._grid[index] for index in self._open_tiles]
        blocked = _touches(boxes, open_regions, margin)
        while True:  # a group is blocked when one of its members is
            spread = blocked[first] | blocked[second]
            if (blocked[first] == spread).all() and (blocked[second] == spread).all():
                break
            np.logical_or.at(blocked, first, spread)
            np.logical_or.at(blocked, second, spread)
        ready, self._waiting = self._waiting[~blocked], self._waiting[blocked]
        return merge_candidates(ready, self._grid, self._settings)

    def rest(self) -> np.ndarray:
        """Merge and return whatever is left (the run has ended or was stopped)."""
        ready, self._waiting = self._waiting, np.zeros(0, CANDIDATE_DTYPE)
        return merge_candidates(ready, self._grid, self._settings)


def _touches(boxes: np.ndarray, regions: list[Region], margin: float) -> np.ndarray:
    tiles = np.array([[r.y0, r.x0, r.y1, r.x1] for r in regions], float)
    result = np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), 4096):  # bounded memory whatever the number of open tiles
        part = boxes[start : start + 4096, None]
        result[start : start + 4096] = (
            (part[..., 0] - margin < tiles[:, 2])
            & (part[..., 2] + margin > tiles[:, 0])
            & (part[..., 1] - margin < tiles[:, 3])
            & (part[..., 3] + margin > tiles[:, 1])
        ).any(axis=1)
    return result
