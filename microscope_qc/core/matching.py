"""Which boxes show the same: overlap, pairs, one-to-one matching, connected groups. Boxes are (N, 4) y0, x0, y1, x1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import touching_pairs

_DENSE = 4_096
"""Up to so many pairs of boxes all are compared, which is quicker than asking first which of them touch."""
_STRIP = 2_000
"""Of more, so many boxes of the first set are matched at a time."""


def areas(boxes: np.ndarray) -> Floats:
    """Area (N,) of each box."""
    found: Floats = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return found


def intersections(a: np.ndarray, b: np.ndarray) -> Floats:
    """Area that ``a[i]`` and ``b[i]`` have in common, 0 where they do not touch; any two shapes that broadcast."""
    height = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    width = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    common: Floats = np.maximum(height, 0) * np.maximum(width, 0)
    return common


def overlaps(a: np.ndarray, b: np.ndarray) -> Floats:
    """Intersection over union of ``a[i]`` and ``b[i]``, 0 where both are empty; any two shapes that broadcast."""
    common = intersections(a, b)
    union = areas(a) + areas(b) - common
    share: Floats = np.divide(common, union, out=np.zeros(common.shape), where=union > 0)
    return share


def iou_matrix(a: np.ndarray, b: np.ndarray) -> Floats:
    """Intersection over union (N, M) of every box of ``a`` with every box of ``b``."""
    return overlaps(a[:, None], b[None])


def match_by_score(
    boxes: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    iou: float,
    classes: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Ints, Ints]:
    """Match findings with the truth, each used once: the strongest finding takes the free true box it overlaps most.

    The rule of PASCAL VOC with each true box taken once (Everingham et al., IJCV 88 (2010) 303), and of COCO's
    ``evaluateImg`` without crowds. Of equal scores and of equal overlaps the first in the arrays comes first; COCO
    takes the last true box of equal overlap.

    Parameters
    ----------
    boxes, scores, truth
        (N, 4), (N,) and (M, 4).
    iou
        Least overlap of a match, above 0.
    classes
        Classes of boxes (N,) and of truth (M,): only the same class matches. Without it any does.

    Returns
    -------
    tuple of ndarray
        Indices into ``boxes`` and into ``truth``, strongest first.
    """
    rank = np.empty(len(boxes), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(boxes))
    one, other, overlap = overlapping_pairs(boxes, truth, iou=iou)
    if classes is not None:
        same = classes[0][one] == classes[1][other]
        one, other, overlap = one[same], other[same], overlap[same]
    return _each_once(one, other, np.lexsort((other, -overlap, rank[one])))


def require_shares(*, iou: float, confidence: float | None = None) -> None:
    """Refuse what is no overlap or no confidence, such as per cent: with it nothing, or everything, would match.

    Raises
    ------
    InputError
        It says what was meant.
    """
    if not 0 < iou <= 1:
        raise InputError("The overlap must be above 0 and at most 1.", hint="50 % is 0.5.")
    if confidence is not None and not 0 <= confidence <= 1:
        raise InputError("A confidence is 0 to 1.", hint="50 % is 0.5.")


def match_by_overlap(first: np.ndarray, second: np.ndarray, *, iou: float) -> tuple[Ints, Ints]:
    """Match two sets of boxes, each box used once, the largest overlap first; of equal ones the first in the arrays.

    Parameters
    ----------
    first, second
        (N, 4) and (M, 4).
    iou
        Least overlap of a match, above 0.

    Returns
    -------
    tuple of ndarray
        Indices into ``first`` and into ``second``, the best match first.
    """
    one, other, overlap = overlapping_pairs(first, second, iou=iou)
    return _each_once(one, other, np.lexsort((other, one, -overlap)))


SAME_PLACE_IOU = 0.5
"""Boxes of any class that overlap by so much are of one place."""
SAME_CLASS_COVERED = 0.8
"""Boxes of one class are of one place, too, where so much of the smaller one lies in the larger one."""


@dataclass(frozen=True, slots=True)
class KnownPlaces:
    """Boxes by which places are known; one place may have several.

    Attributes
    ----------
    ids, boxes, class_ids
        Place (M,), box (M, 4) and class (M,).
    ranks
        (M,): where a box fits several places, one of the lowest rank takes it.
    """

    ids: Ints
    boxes: Floats
    class_ids: Ints
    ranks: Ints


def match_places(
    boxes: np.ndarray, class_ids: np.ndarray, scores: np.ndarray, places: KnownPlaces, *, held: np.ndarray | None = None
) -> tuple[Ints, Ints]:
    """Match boxes with places, each used once, the best fit first; the result does not depend on the order of either.

    A box fits a place where it overlaps one of the place's boxes by SAME_PLACE_IOU, or has its class and
    SAME_CLASS_COVERED of the smaller box lies in the larger one. Of equal fits the place with the lowest id takes the
    box of the highest score.

    Parameters
    ----------
    boxes, class_ids, scores
        (N, 4), (N,) and (N,).
    held
        (N,): place that a box has already (0: none). It keeps it even where it does not fit any more, unless another
        box fits.

    Returns
    -------
    tuple of ndarray
        Indices of the boxes that have a place, and the ids of their places.
    """
    one, place, fit = _fits(boxes, class_ids, places)
    ids, ranks = places.ids[place], places.ranks[place]
    if held is not None and held.any():
        own = np.flatnonzero(held)
        one, ids = np.concatenate([one, own]), np.concatenate([ids, held[own]])
        fit = np.concatenate([fit, np.zeros(len(own))])
        ranks = np.concatenate([ranks, np.full(len(own), places.ranks.max(initial=0) + 1)])
    known, other = np.unique(ids, return_inverse=True)
    by_box = (class_ids, *boxes.T[::-1], -scores)  # least important first
    order = np.lexsort((*(key[one] for key in by_box), ids, -fit, ranks))
    chosen, taken = _each_once(one, other, order)
    return chosen, known[taken]


def _fits(boxes: np.ndarray, class_ids: np.ndarray, places: KnownPlaces) -> tuple[Ints, Ints, Floats]:
    """Indices of boxes and of ``places`` that fit, and how well."""
    if len(boxes) * len(places.boxes) <= _DENSE:
        one, other = np.nonzero(intersections(boxes[:, None], places.boxes[None]) > 0)
    else:
        first, second = touching_pairs(np.concatenate([boxes, places.boxes]))
        across = (first < len(boxes)) & (second >= len(boxes))
        one, other = first[across], second[across] - len(boxes)
    mine, theirs = boxes[one], places.boxes[other]
    overlap = overlaps(mine, theirs)
    smaller = np.minimum(areas(mine), areas(theirs))
    covered = np.divide(intersections(mine, theirs), smaller, out=np.zeros(len(one)), where=smaller > 0)
    alike = (class_ids[one] == places.class_ids[other]) & (covered >= SAME_CLASS_COVERED)
    fit = np.where(overlap >= SAME_PLACE_IOU, 1.0 + overlap, np.where(alike, covered, 0.0))
    keep = fit > 0
    return one[keep], other[keep], fit[keep]


def overlapping_pairs(first: np.ndarray, second: np.ndarray, *, iou: float) -> tuple[Ints, Ints, Floats]:
    """Indices into both sets, and the overlap, of all pairs that overlap by ``iou`` (above 0) or more; in any order."""
    if len(first) * len(second) <= _DENSE:
        matrix = iou_matrix(first, second)
        one, other = np.nonzero(matrix >= iou)
        return one, other, matrix[one, other]
    one, other, overlap = (np.concatenate(part) for part in zip(*_strips(first, second, iou), strict=True))
    return one, other, overlap


def _strips(first: np.ndarray, second: np.ndarray, iou: float) -> Iterator[tuple[Ints, Ints, Floats]]:
    """The pairs of :func:`overlapping_pairs`, a strip of the slide at a time.

    Among crowds most boxes touch dozens of others: all pairs at once would take a lot of memory, and single steps so
    long that a window which has this done in a thread would stand still.
    """
    order = np.argsort(first[:, 0], kind="stable")
    tops = np.argsort(second[:, 0], kind="stable")
    sorted_tops = second[tops, 0]
    tallest = float((second[:, 2] - second[:, 0]).max(initial=0.0))
    for start in range(0, len(order), _STRIP):
        own = order[start : start + _STRIP]
        low, high = first[own, 0].min() - tallest, first[own, 2].max()
        near = tops[np.searchsorted(sorted_tops, low) : np.searchsorted(sorted_tops, high)]
        boxes = np.concatenate([first[own], second[near]])
        before, behind = touching_pairs(boxes)
        across = (before < len(own)) & (behind >= len(own))
        before, behind = before[across], behind[across]
        overlap = overlaps(boxes[before], boxes[behind])
        keep = overlap >= iou
        yield own[before[keep]], near[behind[keep] - len(own)], overlap[keep]


def _each_once(one: Ints, other: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Go through pairs in this order and take each whose two boxes are still free."""
    one, other = one[order], other[order]
    # taking the first pair that is left, again and again, is the same as taking all pairs at once that are the first
    # left for both of their boxes
    left, taken = np.arange(len(one)), [np.empty(0, np.int64)]
    free = np.ones(one.max(initial=-1) + 1, bool), np.ones(other.max(initial=-1) + 1, bool)
    while len(left):
        chosen = left[_is_first(one[left]) & _is_first(other[left])]
        taken.append(chosen)
        free[0][one[chosen]] = False
        free[1][other[chosen]] = False
        left = left[free[0][one[left]] & free[1][other[left]]]
    kept = np.sort(np.concatenate(taken))
    return one[kept], other[kept]


def _is_first(numbers: np.ndarray) -> Flags:
    """Whether each number occurs for the first time."""
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first


def connected_groups(count: int, first: np.ndarray, second: np.ndarray) -> Ints:
    """Number of the group of each of ``count`` things, where ``first[i]`` and ``second[i]`` belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    groups: Ints = connected_components(links, directed=False)[1]
    return groups
