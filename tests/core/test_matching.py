"""Overlap, matching and groups against shapely, pycocotools, networks walked by hand and one pair at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core import matching
from microscope_qc.core.matching import (
    connected_groups,
    intersections,
    iou_matrix,
    match_by_overlap,
    match_by_score,
    overlapping_pairs,
    overlaps,
)

seeds = st.integers(0, 2**32 - 1)
thresholds = st.floats(0.05, 1.0)


def some_boxes(rng: np.random.Generator, *, crowded: bool) -> np.ndarray:
    """Up to 25 boxes; a crowd on a coarse raster, where many pairs overlap equally."""
    count = int(rng.integers(0, 26))
    if crowded:
        corner = rng.integers(0, 8, (count, 2)) * 2.0
        return np.concatenate([corner, corner + rng.integers(1, 6, (count, 2)) * 2.0], axis=1)
    corner = rng.uniform(0, 120, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0.5, 60, (count, 2))], axis=1)


def by_hand(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs in their order, each whose two members are still free."""
    taken: list[tuple[int, int]] = []
    for one, other in pairs:
        if all(one != a and other != b for a, b in taken):
            taken.append((one, other))
    return taken


@given(seeds)
def test_overlap_is_that_of_shapely(seed: int) -> None:
    import shapely

    rng = np.random.default_rng(seed)
    a, b = some_boxes(rng, crowded=False), some_boxes(rng, crowded=False)
    one, other = (shapely.box(s[:, 1], s[:, 0], s[:, 3], s[:, 2]) for s in (a, b))
    common = shapely.area(shapely.intersection(one[:, None], other[None]))
    wanted = common / shapely.area(shapely.union(one[:, None], other[None]))
    np.testing.assert_allclose(iou_matrix(a, b), wanted, atol=1e-9)
    few = min(len(a), len(b))
    np.testing.assert_allclose(overlaps(a[:few], b[:few]), np.diagonal(wanted)[:few], atol=1e-9)
    np.testing.assert_allclose(intersections(a[:few], b[:few]), np.diagonal(common)[:few], atol=1e-9)


def test_boxes_that_only_touch_or_have_no_area_do_not_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 10, 10, 20], [5, 5, 5, 5], [0, 0, 10, 10]], float)
    assert iou_matrix(boxes, boxes).tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert intersections(boxes[:1], np.array([[20.0, 20, 30, 30]])).tolist() == [0.0], "not the area between them"


@given(seeds, st.booleans(), thresholds)
def test_pairs_are_the_same_in_strips_and_all_at_once(seed: int, crowded: bool, iou: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = some_boxes(rng, crowded=crowded), some_boxes(rng, crowded=crowded)
    wanted = {(int(i), int(j)) for i, j in np.argwhere(iou_matrix(first, second) >= iou)}
    for dense, strip in ((10_000, 7), (0, 7), (0, 1000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matching, "_DENSE", dense)
            patch.setattr(matching, "_STRIP", strip)
            one, other, overlap = overlapping_pairs(first, second, iou=iou)
        assert len(one) == len(wanted) and set(zip(one.tolist(), other.tolist(), strict=True)) == wanted
        np.testing.assert_array_equal(overlap, iou_matrix(first, second)[one, other])


@given(seeds, st.booleans(), thresholds)
def test_the_best_overlap_goes_first(seed: int, crowded: bool, iou: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = some_boxes(rng, crowded=crowded), some_boxes(rng, crowded=crowded)
    overlap = iou_matrix(first, second)
    pairs = sorted(np.argwhere(overlap >= iou).tolist(), key=lambda pair: (-overlap[tuple(pair)], *pair))
    one, other = match_by_overlap(first, second, iou=iou)
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == by_hand(pairs)


@given(seeds, st.booleans(), thresholds, st.booleans())
def test_the_strongest_takes_the_free_box_it_overlaps_most(seed: int, crowded: bool, iou: float, classed: bool) -> None:
    rng = np.random.default_rng(seed)
    boxes, truth = some_boxes(rng, crowded=crowded), some_boxes(rng, crowded=crowded)
    scores = rng.integers(0, 6, len(boxes)) / 5.0  # several are equally strong
    classes = rng.integers(0, 2, len(boxes)), rng.integers(0, 2, len(truth))
    overlap, free, wanted = iou_matrix(boxes, truth), np.ones(len(truth), bool), []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        allowed = free & ((classes[1] == classes[0][index]) | (not classed))
        row = np.where(allowed, overlap[index], -1.0)
        if len(row) and row.max() >= iou:
            best = int(np.argmax(row))
            free[best] = False
            wanted.append((index, best))
    one, other = match_by_score(boxes, scores, truth, iou=iou, classes=classes if classed else None)
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == wanted


def test_a_stronger_finding_takes_a_box_from_one_that_fits_better() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 1, 10, 11]], float)
    truth = np.array([[0, 0, 10, 10]], float)
    assert [v.tolist() for v in match_by_score(boxes, np.array([0.8, 0.9]), truth, iou=0.5)] == [[1], [0]]
    assert [v.tolist() for v in match_by_overlap(boxes, truth, iou=0.5)] == [[0], [0]]
    # the weaker one may still have the box that is left over
    two = np.array([[0, 1, 10, 11], [0, 3, 10, 13]], float)
    assert [v.tolist() for v in match_by_score(boxes, np.array([0.8, 0.9]), two, iou=0.5)] == [[1, 0], [0, 1]]


def test_an_overlap_counts_from_the_threshold_on() -> None:
    half = np.array([[0, 0, 10, 5]], float), np.array([[0, 0, 10, 10]], float)
    assert len(match_by_overlap(*half, iou=0.5)[0]) == 1 and len(match_by_overlap(*half, iou=0.5001)[0]) == 0


@given(seeds, st.sampled_from([0.3, 0.5, 0.75]))
def test_matches_are_those_of_pycocotools(seed: int, iou: float) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(seed)
    truth = some_boxes(rng, crowded=False)
    shifted = truth + np.tile(rng.normal(0, 6, (len(truth), 2)), 2)
    boxes = np.concatenate([some_boxes(rng, crowded=False), shifted])
    scores = rng.permutation(len(boxes)) / 100 + 0.05
    classes = rng.integers(0, 2, len(boxes)), rng.integers(0, 2, len(truth))
    if not len(boxes) or not len(truth):
        return

    def sized(box: np.ndarray) -> list[float]:
        return [box[1], box[0], box[3] - box[1], box[2] - box[0]]

    reference = coco.COCO()
    reference.dataset = {
        "images": [{"id": 1}], "categories": [{"id": 0, "name": "A"}, {"id": 1, "name": "B"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": int(c), "bbox": sized(box), "area": 100.0, "iscrowd": 0}
            for i, (box, c) in enumerate(zip(truth, classes[1], strict=True))
        ],
    }  # fmt: skip
    reference.createIndex()
    found = reference.loadRes([
        {"image_id": 1, "category_id": int(c), "bbox": sized(box), "score": float(score)}
        for box, score, c in zip(boxes, scores, classes[0], strict=True)
    ])  # fmt: skip
    judge: Any = cocoeval.COCOeval(reference, found, "bbox")
    judge.params.iouThrs = np.array([iou])
    judge.params.maxDets = [1000]
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.evaluate()
    wanted = {
        (int(dt) - 1, int(gt) - 1)  # loadRes numbers from 1, in the order given
        for image in judge.evalImgs
        if image is not None
        for dt, gt in zip(image["dtIds"], image["dtMatches"][0], strict=True)
        if gt
    }
    one, other = match_by_score(boxes, scores, truth, iou=iou, classes=classes)
    assert set(zip(one.tolist(), other.tolist(), strict=True)) == wanted


def test_matching_a_hundred_thousand_boxes_with_themselves_needs_no_table_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60_000, (100_000, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (100_000, 2))], axis=1)
    one, other = match_by_score(boxes, rng.random(100_000), boxes, iou=0.9)
    assert np.array_equal(np.sort(one), np.arange(100_000)) and (one == other).mean() > 0.999


@given(st.integers(1, 30), st.data())
def test_groups_are_those_of_walking_from_one_to_the_next(count: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    first, second = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    groups = connected_groups(count, first, second)
    for start in range(count):
        reached = {start}
        while True:
            more = {b for a, b in [*pairs, *((b, a) for a, b in pairs)] if a in reached} | reached
            if more == reached:
                break
            reached = more
        assert set(np.flatnonzero(groups == groups[start]).tolist()) == reached
