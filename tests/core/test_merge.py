"""One defect, one box: whatever the tiles' borders cut, and whenever the tiles arrive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.geometry import Region, TileGrid, touching_pairs
from microscope_qc.core.matching import iou_matrix
from microscope_qc.core.merge import (
    CANDIDATE_DTYPE,
    MergeSettings,
    SeamMerger,
    _near,
    _suppress_twins,
    merge_candidates,
)
from microscope_qc.ml.quick_torchvision import torchvision


def candidates(rows: list[tuple[float, float, float, float, float, int, int]]) -> np.ndarray:
    return np.array(rows, CANDIDATE_DTYPE)


def scene(seed: int, *, defects: int = 40, size: int = 2000, tile: int = 300, overlap: int = 80):
    """True boxes, and what a perfect detector sees of them in every tile."""
    rng = np.random.default_rng(seed)
    grid = TileGrid(Region(0, 0, size, size), tile, overlap)
    corners = rng.uniform(0, size - 160, (defects, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(12, 150, (defects, 2))], axis=1)
    first, second = touching_pairs(boxes, margin_px=25)
    boxes = np.delete(boxes, np.unique(second), axis=0)
    labels = rng.integers(0, 3, len(boxes))
    per_tile = []
    for index in range(len(grid)):
        t = grid[index]
        seen = []
        for box, label in zip(boxes, labels, strict=True):
            y0, x0, y1, x1 = max(box[0], t.y0), max(box[1], t.x0), min(box[2], t.y1), min(box[3], t.x1)
            if y1 - y0 > 8 and x1 - x0 > 8:
                whole = (y1 - y0) * (x1 - x0) / ((box[2] - box[0]) * (box[3] - box[1]))
                seen.append((y0, x0, y1, x1, 0.5 + 0.4 * whole + rng.uniform(0, 0.05), label, index))
        per_tile.append(candidates(seen))
    return grid, boxes, per_tile


def found_boxes(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows["y0"], rows["x0"], rows["y1"], rows["x1"]], axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_every_defect_is_found_once_whatever_the_borders_cut(seed):
    grid, boxes, per_tile = scene(seed)
    merged = merge_candidates(np.concatenate(per_tile), grid)
    assert len(merged) == len(boxes)
    assert iou_matrix(boxes, found_boxes(merged)).max(axis=1).min() > 0.85


@pytest.mark.parametrize("seed", range(4))
def test_finds_given_out_early_are_those_of_the_whole(seed):
    grid, _, per_tile = scene(seed)
    merger = SeamMerger(grid)
    order = np.random.default_rng(seed).permutation(len(grid))
    early = []
    for tile in order:
        merger.add(int(tile), per_tile[tile])
        early.append(merger.settled())
    early.append(merger.rest())
    given_out = np.concatenate(early)
    whole = merge_candidates(np.concatenate(per_tile), grid)
    key = ["label", "y0", "x0"]
    assert np.array_equal(np.sort(given_out, order=key), np.sort(whole, order=key))
    assert sum(len(part) > 0 for part in early[:-2]) > 3, "nothing was given out before the end"


def test_a_tile_given_twice_counts_once():
    grid = TileGrid(Region(0, 0, 100, 100), 100, 0)
    merger = SeamMerger(grid)
    one = candidates([(10, 10, 20, 20, 0.9, 0, 0)])
    merger.add(0, one)
    merger.add(0, one)
    assert len(merger.rest()) == 1


def test_neighbours_of_different_classes_stay_and_same_place_goes_to_the_surer():
    grid = TileGrid(Region(0, 0, 100, 100), 100, 0)
    rows = candidates(
        [
            (10, 10, 30, 30, 0.9, 0, 0),
            (11, 11, 31, 31, 0.6, 1, 0),  # the same thing, called something else
            (60, 60, 80, 80, 0.8, 1, 0),
            (70, 70, 90, 90, 0.7, 0, 0),  # overlaps a little: another thing
        ]
    )
    merged = merge_candidates(rows, grid)
    found = {(int(row["label"]), round(float(row["confidence"]), 2)) for row in merged}
    assert found == {(0, 0.9), (1, 0.8), (0, 0.7)}


def test_what_a_model_tells_apart_in_one_tile_stays_apart() -> None:
    grid = TileGrid(Region(0, 0, 300, 500), 300, 100)
    assert len(grid) == 2
    rows = np.zeros(3, CANDIDATE_DTYPE)
    for row, values in zip(
        rows, [(20, 210, 120, 290, 0.9), (30, 220, 60, 280, 0.6), (31, 221, 61, 281, 0.5)], strict=True
    ):
        row["y0"], row["x0"], row["y1"], row["x1"], row["confidence"] = values
    rows["tile"] = 0, 0, 1
    kept = merge_candidates(rows, grid)["confidence"]
    assert kept.astype(float).round(1).tolist() == [0.9, 0.6], "the third shows the second, from the other tile"
    rows["label"] = 0, 1, 1
    rows["x0"][1:], rows["y0"][1:], rows["x1"][1:], rows["y1"][1:] = 212, 22, 288, 118
    assert merge_candidates(rows, grid)["confidence"].astype(float).round(1).tolist() == [0.9], (
        "one place is one defect of one class"
    )


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
def test_suppression_within_a_class_equals_torchvision(seed, threshold):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    corners = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (count, 2))], axis=1)
    scores = rng.permutation(count).astype(np.float32) / count
    rows = np.zeros(count, CANDIDATE_DTYPE)
    for i, name in enumerate(("y0", "x0", "y1", "x1")):
        rows[name] = boxes[:, i]
    rows["confidence"] = scores
    settings = MergeSettings(iou=threshold, inside=2.0, across_iou=2.0)
    merged = _suppress_twins(rows, count, settings)
    keep = torchvision.ops.nms(
        torch.tensor(boxes[:, [1, 0, 3, 2]]), torch.tensor(scores, dtype=torch.float64), threshold
    )
    assert merged["confidence"].tolist() == scores[keep.numpy()].tolist()


@given(st.integers(0, 2**32 - 1), st.floats(0, 10))
def test_touching_pairs_equal_comparing_everything(seed, margin):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 50))
    corners = rng.uniform(-100, 300, (count, 2))
    boxes = np.concatenate([corners, corners + rng.exponential(30, (count, 2)) + 0.5], axis=1)
    first, second = touching_pairs(boxes, margin_px=margin)
    grown = boxes + np.array([-margin, -margin, margin, margin])
    expected = {
        (i, j)
        for i in range(count)
        for j in range(i + 1, count)
        if (np.minimum(grown[i, 2:], grown[j, 2:]) > np.maximum(grown[i, :2], grown[j, :2])).all()
    }
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([50.0, 500.0, 1e5]), st.floats(0, 20))
def test_whatever_touches_a_cut_box_is_looked_at(seed, spread, margin):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 200))
    corners = rng.uniform(-spread, spread, (count, 2))
    boxes = np.concatenate([corners, corners + rng.lognormal(2.5, rng.uniform(0.2, 1.6), (count, 2))], axis=1)
    cut = rng.random(count) < 0.2
    cut[0] = True
    near = _near(boxes, cut, margin_px=margin)
    first, second = touching_pairs(boxes, margin_px=margin)
    keep = cut[first] | cut[second]
    assert near[cut].all() and near[first[keep]].all() and near[second[keep]].all()


@pytest.mark.parametrize("spread", [300.0, 5_000.0, 1e6])
def test_touching_pairs_of_crowds_and_of_boxes_far_apart(spread):
    rng = np.random.default_rng(3)
    corners = np.concatenate([rng.uniform(0, 300, (500, 2)), rng.uniform(0, spread, (300, 2))])
    boxes = np.concatenate([corners, corners + rng.lognormal(2, 1.5, (800, 2))], axis=1)
    first, second = touching_pairs(boxes)
    every_i, every_j = np.triu_indices(len(boxes), 1)
    touch = (
        np.minimum(boxes[every_i, 2:], boxes[every_j, 2:]) > np.maximum(boxes[every_i, :2], boxes[every_j, :2])
    ).all(axis=1)
    expected = set(zip(every_i[touch].tolist(), every_j[touch].tolist(), strict=True))
    assert len(first) == len(expected)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(8, 1024), st.floats(0, 0.9))
def test_tiles_cover_the_region_and_stay_inside(height, width, tile, share):
    region = Region(-7, 13, height - 7, width + 13)
    grid = TileGrid(region, tile, int(tile * share))
    tiles = list(grid) if len(grid) < 400 else [grid[0], grid[len(grid) - 1]]
    assert tiles[0].y0 == region.y0 and tiles[0].x0 == region.x0
    assert tiles[-1].y1 == region.y1 and tiles[-1].x1 == region.x1
    if len(grid) < 400:
        covered = np.zeros((height, width), bool)
        for t in tiles:
            assert t.clip((height - 7, width + 13)).shape == t.shape or t.y0 < 0
            covered[t.y0 + 7 : t.y1 + 7, t.x0 - 13 : t.x1 - 13] = True
        assert covered.all()
        assert [grid[i] for i in range(len(grid))] == tiles


def test_a_weak_guess_at_a_border_does_not_stretch_a_find():
    grid = TileGrid(Region(0, 0, 300, 500), 300, 100)  # tiles x 0..300 and 200..500
    sure = (100, 180, 140, 240, 0.9, 0, 0)
    guess = (90, 201, 160, 340, 0.1, 0, 1)  # begins at tile 1's border and reaches far beyond the defect
    merged = merge_candidates(candidates([sure, guess]), grid)
    assert merged["confidence"].tolist() == pytest.approx([0.9, 0.1])
    assert found_boxes(merged)[0].tolist() == [100, 180, 140, 240]
    cut = (101, 200, 139, 260, 0.7, 0, 1)  # a true fragment is nearly as sure
    assert found_boxes(merge_candidates(candidates([(100, 180, 140, 300, 0.9, 0, 0), cut]), grid)).tolist() == [
        [100, 180, 140, 300]
    ]


@given(st.integers(0, 2**32 - 1))
def test_finds_given_out_so_far_do_not_depend_on_how_often_one_looked(seed):
    chance = np.random.default_rng(seed)
    grid = TileGrid(Region(0, 0, 240, 240), 80, 0)
    order = chance.permutation(len(grid))
    tiles = {}
    for tile in order:
        place = grid[int(tile)]
        y0, x0 = chance.uniform(place.y0, place.y1 - 12), chance.uniform(place.x0, place.x1 - 12)
        y1, x1 = chance.uniform(y0 + 8, place.y1), chance.uniform(x0 + 8, place.x1)
        tiles[tile] = candidates([(y0, x0, y1, x1, chance.uniform(0.1, 1), 0, tile)])
    often, given_out = SeamMerger(grid), 0
    for number, tile in enumerate(order):
        often.add(int(tile), tiles[tile])
        given_out += len(often.settled())
        once = SeamMerger(grid)  # a run that is taken up again reads its journal at once
        for before in order[: number + 1]:
            once.add(int(before), tiles[before])
        assert len(once.settled()) == given_out


@pytest.mark.parametrize(("start", "joined"), [(110, True), (127, True), (129, False), (138, False)])
def test_fragments_are_joined_only_where_they_line_up(start, joined):
    grid = TileGrid(Region(0, 0, 300, 500), 300, 100)  # tiles x 0..300 and 200..500
    left = (100, 180, 140, 300, 0.9, 0, 0)  # cut by the border of tile 0
    right = (start, 200, start + 40, 360, 0.9, 0, 1)  # goes on in tile 1; 0.3 of 40 px are 12
    merged = merge_candidates(candidates([left, right]), grid)
    assert len(merged) == (1 if joined else 2)
    if joined:
        assert found_boxes(merged)[0].tolist() == [100, 180, start + 40, 360]
