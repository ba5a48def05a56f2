"""One defect, one box: candidates of overlapping tiles become findings.

Two things happen at the seams of tiles. The same defect is found twice (twins), and a defect larger than the overlap
is found as fragments cut by the tile's border. Fragments are joined first, twins are then removed by greedy non-maximum
suppression within a class. Boxes of a class that a model found in one tile are not twins: it has told them apart, also
where one lies in the other. Connected groups of candidates are independent of each other, so a group can be settled as
soon as no unfinished tile touches it: findings appear while the rest of the slide is still being read, and are the same
as when everything is merged at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.geometry import TileGrid, touching_pairs
from microscope_qc.core.matching import areas, connected_groups, intersections

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
    ``told_apart``: boxes of a class from one tile are not twins.
    """

    iou: float = 0.45
    inside: float = 0.7
    across_iou: float = 0.65
    border_px: float = 6.0
    fragment_overlap: float = 0.3
    fragment_confidence: float = 0.5
    told_apart: bool = True


def merge_candidates(candidates: np.ndarray, grid: TileGrid, settings: MergeSettings | None = None) -> np.ndarray:
    """Merge the candidates of all tiles; returns rows of :data:`CANDIDATE_DTYPE`, strongest first."""
    settings = settings or MergeSettings()
    if len(candidates) == 0:
        return candidates.copy()
    rows, joined = _join_fragments(candidates, grid, settings)
    return _suppress_twins(rows, joined, settings)


def _boxes(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1)


def _tile_borders(rows: np.ndarray, grid: TileGrid) -> np.ndarray:
    """(N, 4) tile of each row as y0, x0, y1, x1; a side not inside the region, which cuts nothing, is infinite."""
    tops, lefts = grid.starts
    y0, x0 = tops[rows["tile"] // len(lefts)], lefts[rows["tile"] % len(lefts)]
    outer = grid.region
    y1, x1 = np.minimum(y0 + grid.tile_px, outer.y1), np.minimum(x0 + grid.tile_px, outer.x1)
    borders = np.stack([y0, x0, y1, x1], axis=1).astype(float)
    for column, limit in enumerate((outer.y0, outer.x0)):
        borders[borders[:, column] <= limit, column] = np.inf
        other = (outer.y1, outer.x1)[column]
        borders[borders[:, column + 2] >= other, column + 2] = np.inf
    return borders


def _join_fragments(rows: np.ndarray, grid: TileGrid, settings: MergeSettings) -> tuple[np.ndarray, int]:
    """Join boxes of one class from neighbouring tiles that the border between them has cut; see :func:`_union`."""
    boxes = _boxes(rows)
    near = np.abs(boxes - _tile_borders(rows, grid)) <= settings.border_px  # cut at top, left, bottom, right
    cut = near.any(axis=1)
    if not cut.any():
        return rows, 0
    around = np.flatnonzero(_near(boxes, cut, margin_px=settings.border_px))
    first, second = (around[part] for part in touching_pairs(boxes[around], margin_px=settings.border_px))
    keep = cut[first] | cut[second]
    for column, alike in (("label", True), ("tile", False)):
        values = np.ascontiguousarray(rows[column])
        first, second = first[keep], second[keep]
        keep = (values[first] == values[second]) == alike
    first, second = first[keep], second[keep]
    one, other = rows["confidence"][first], rows["confidence"][second]
    keep = np.minimum(one, other) >= settings.fragment_confidence * np.maximum(one, other)
    first, second = first[keep], second[keep]
    linked = _continued(boxes[first], boxes[second], near[first], near[second], settings)
    return _union(rows, first[linked], second[linked])


def _near(boxes: np.ndarray, chosen: np.ndarray, *, margin_px: float) -> Flags:
    """Mask of at least those boxes (N, 4) that come within twice the margin of a chosen one, and of few others.

    Cells are marked around the chosen boxes; a box no larger than a cell that touches one has its middle in them.
    """
    grown = boxes + np.array([-margin_px, -margin_px, margin_px, margin_px])
    grown -= np.tile(grown[:, :2].min(axis=0), 2)
    sides: Floats = np.maximum(grown[:, 2] - grown[:, 0], grown[:, 3] - grown[:, 1])
    cell = max(float(np.quantile(sides, 0.95)), 1e-6 * float(grown[:, 2:].max()), 1e-9)
    columns = int(grown[:, 3].max() / cell) + 3
    wide = grown[chosen] / cell + np.array([0.5, 0.5, 1.5, 1.5])
    low, high = wide[:, :2].astype(np.int64), wide[:, 2:].astype(np.int64)
    spans = high - low + 1
    covered = spans[:, 0] * spans[:, 1]
    within = np.arange(int(covered.sum())) - np.repeat(np.cumsum(covered) - covered, covered)
    across = np.repeat(spans[:, 1], covered)
    rows, places = np.repeat(low[:, 0], covered) + within // across, np.repeat(low[:, 1], covered) + within % across
    middle = (grown[:, :2] + grown[:, 2:]) / (2 * cell) + 1
    own = middle[:, 0].astype(np.int64) * columns + middle[:, 1].astype(np.int64)
    return np.isin(own, rows * columns + places) | (sides > cell)


def _continued(
    one: np.ndarray, other: np.ndarray, one_cut: np.ndarray, other_cut: np.ndarray, settings: MergeSettings
) -> np.ndarray:
    """Whether one is cut on the side on which the other continues, and they line up along it; pairs of boxes (N, 4)."""
    linked = np.zeros(len(one), bool)
    for axis in (0, 1):
        across = 1 - axis
        low, high = axis, axis + 2
        overlap = np.minimum(one[:, across + 2], other[:, across + 2]) - np.maximum(one[:, across], other[:, across])
        length = np.minimum(one[:, across + 2] - one[:, across], other[:, across + 2] - other[:, across])
        aligned = overlap >= settings.fragment_overlap * np.maximum(length, 1e-9)
        goes_on = (one_cut[:, high] & (other[:, high] > one[:, high])) | (
            one_cut[:, low] & (other[:, low] < one[:, low])
        )
        goes_on |= (other_cut[:, high] & (one[:, high] > other[:, high])) | (
            other_cut[:, low] & (one[:, low] < other[:, low])
        )
        linked |= aligned & goes_on
    return linked


def _union(rows: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, int]:
    """Replace every connected group by one row: the box around it, with the strongest member's confidence and tile.

    These rows come last; their number is returned, too.
    """
    if len(first) == 0:
        return rows, 0
    involved, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
    first, second = numbers[: len(first)], numbers[len(first) :]
    group = connected_groups(len(involved), first, second)
    members = rows[involved]
    order = np.lexsort((-members["confidence"], group))
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    members = members[order]
    merged = members[starts].copy()
    for name in ("y0", "x0"):
        merged[name] = np.minimum.reduceat(members[name], starts)
    for name in ("y1", "x1"):
        merged[name] = np.maximum.reduceat(members[name], starts)
    return np.concatenate([np.delete(rows, involved), merged]), len(merged)


def _suppress_twins(rows: np.ndarray, joined: int, settings: MergeSettings) -> np.ndarray:
    """Greedy non-maximum suppression; ties are broken by place, so that the order of tiles does not matter.

    The last ``joined`` rows consist of fragments.
    """
    order = _strongest_first(rows)
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows))
    # compared in the order of the tiles, where neighbours lie near each other in memory
    boxes = _boxes(rows)
    first, second = touching_pairs(boxes)
    swap = rank[first] > rank[second]
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    twins = _are_twins(boxes, rows["label"], first, second, settings)
    if settings.told_apart:
        twins &= ~_told_apart(rows, first, second, joined)
    strong, weak = rank[first[twins]], rank[second[twins]]
    by_strength = np.argsort(strong, kind="stable")
    keep = bytearray(b"\1") * len(rows)
    for winner, loser in zip(strong[by_strength].tolist(), weak[by_strength].tolist(), strict=True):
        if keep[winner]:
            keep[loser] = 0
    kept: Flags = np.frombuffer(keep, bool)
    return rows[order[kept]]


def _strongest_first(rows: np.ndarray) -> Ints:
    """Order by confidence; the few of equal confidence by class and place (sorting all by all of them is slow)."""
    order = np.argsort(-rows["confidence"], kind="stable")
    falling = rows["confidence"][order]
    equal = np.flatnonzero(falling[1:] == falling[:-1])
    if len(equal):
        places = np.union1d(equal, equal + 1)
        tied = rows[order[places]]
        by_place = np.lexsort((tied["x0"], tied["y0"], tied["label"], -tied["confidence"]))
        order[places] = order[places][by_place]
    return order


def _told_apart(rows: np.ndarray, first: Ints, second: Ints, joined: int) -> Flags:
    """Whether the model itself, seeing both of a class in one tile, has said that they are two."""
    same: Flags = rows["label"][first] == rows["label"][second]
    same &= rows["tile"][first] == rows["tile"][second]
    return same & (np.maximum(first, second) < len(rows) - joined)


def _are_twins(boxes: np.ndarray, label: np.ndarray, strong: Ints, weak: Ints, settings: MergeSettings) -> Flags:
    """Whether the weaker box of each pair shows what the stronger one shows."""
    area, label = areas(boxes), np.ascontiguousarray(label)
    common = intersections(boxes[strong], boxes[weak])
    weak_area = area[weak]
    union = np.maximum(area[strong] + weak_area - common, 1e-9)
    same: Flags = label[strong] == label[weak]
    twins: Flags = common > union * np.where(same, settings.iou, settings.across_iou)
    within: Flags = common > settings.inside * np.maximum(weak_area, 1e-9)
    return twins | (same & within)


class SeamMerger:
    """Merges candidates tile by tile and returns each finding once, as soon as no unfinished tile can change it."""

    def __init__(self, grid: TileGrid, settings: MergeSettings | None = None) -> None:
        self._grid = grid
        self._settings = settings or MergeSettings()
        self._open = np.ones((grid.rows, grid.columns), bool)
        self._waiting = np.zeros(0, CANDIDATE_DTYPE)
        self._new: list[np.ndarray] = []

    def add(self, tile: int, candidates: np.ndarray) -> None:
        """Take the candidates of a finished tile (a tile that is given twice counts once)."""
        place = divmod(tile, self._grid.columns)
        if self._open[place]:
            self._open[place] = False
            self._new.append(candidates)

    def settled(self) -> np.ndarray:
        """Merge and return the groups that no unfinished tile touches."""
        self._take_new()
        if len(self._waiting) == 0:
            return self._waiting
        if not self._open.any():
            return self.rest()
        boxes = _boxes(self._waiting)
        margin = self._settings.border_px
        first, second = touching_pairs(boxes, margin_px=margin)
        # fragments may be two margins apart; the third is for tiles that are read on whole pixels of a coarser level.
        # With less, a group that was given out could have grown later, and a resumed run would count other groups
        touched = self._grid.near(self._open, boxes, margin_px=3 * margin)
        group = connected_groups(len(boxes), first, second)
        stopped = np.zeros(len(boxes), bool)
        stopped[group[touched]] = True
        blocked = stopped[group]  # a group is blocked when one of its members is
        ready, self._waiting = self._waiting[~blocked], self._waiting[blocked]
        return merge_candidates(ready, self._grid, self._settings)

    def rest(self) -> np.ndarray:
        """Merge and return whatever is left (the run has ended or was stopped)."""
        self._take_new()
        ready, self._waiting = self._waiting, np.zeros(0, CANDIDATE_DTYPE)
        return merge_candidates(ready, self._grid, self._settings)

    def _take_new(self) -> None:
        self._waiting = np.concatenate([self._waiting, *self._new])
        self._new.clear()
