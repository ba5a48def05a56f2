"""The index returns what checking every box would, whatever was added, moved or removed since."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from microscope_qc.core import box_index
from microscope_qc.core import boxes as boxes_module
from microscope_qc.core.box_index import BLOCK
from microscope_qc.core.boxes import BoxFacts, BoxFilter, BoxTable, ReviewState, make_rows
from microscope_qc.core.opinions import OPINION_DTYPE, OpinionTable


def scattered(ids: np.ndarray, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner, size = rng.random((2, len(ids))) * 10_000, 1 + rng.random((2, len(ids))) ** 20 * 3000
    return make_rows(len(ids), id=ids, y0=corner[0], x0=corner[1], y1=corner[0] + size[0], x1=corner[1] + size[1])


def looked_for(table: BoxTable, y0: float, x0: float, y1: float, x1: float) -> list[int]:
    rows = table.rows
    return np.flatnonzero((rows["y0"] < y1) & (rows["y1"] > y0) & (rows["x0"] < x1) & (rows["x1"] > x0)).tolist()


steps = st.lists(
    st.tuples(st.sampled_from(["add", "between", "remove", "newest", "move", "relabel", "reset"]), st.integers(0, 999)),
    max_size=12,
)
views = st.lists(st.tuples(*[st.floats(-100, 10_100)] * 2, *[st.floats(0, 900)] * 2), min_size=1, max_size=8)


@given(steps, views)
def test_any_view_after_any_change(steps, views):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes_module, "SMALLEST", 100)
        patch.setattr(
            box_index, "BLOCK", 4
        )  # a view of a few thousand boxes asks few of them, as one of a million does
        table = BoxTable(scattered(np.arange(0, 6000, 2) + 2, seed=1))
        for kind, seed in steps:
            rng = np.random.default_rng(seed)
            ids = table.rows["id"]
            some = rng.choice(ids, min(len(ids), 1 + seed % 40), replace=False)
            if kind == "add":
                table.add(scattered(np.arange(1 + seed % 40) + ids.max(initial=0) + 1, seed=seed))
            elif kind == "between":
                free = np.setdiff1d(np.arange(1, 6000), ids)[seed : seed + 20]
                table.add(scattered(free, seed=seed))
            elif kind == "remove":
                table.remove(some)
            elif kind == "newest":
                table.remove(ids[-1 - seed % 40 :].copy())
            elif kind == "move":
                table.put(scattered(some, seed=seed))
            elif kind == "relabel":
                rows = table.get(some)
                rows["class_id"] += 1
                table.put(rows)
            else:
                table.reset(scattered(np.arange(1, 2400 + seed), seed=seed))
            np.testing.assert_array_equal(table.corners[2], table.rows["y1"])
        for y, x, height, width in views:
            view = (y, x, y + height, x + width)
            assert table.inside(*view).tolist() == looked_for(table, *view)


def test_a_small_view_asks_few_boxes():
    table = BoxTable(scattered(np.arange(1, 40_001), seed=3))
    assert table._index is not None
    near = table._index.candidates(5000, 5000, 5050, 5050, limit=len(table))
    assert near is not None and len(near) < 14 * BLOCK
    assert table._index.candidates(0, 0, 1e4, 1e4, limit=1000) is None, "a view of everything looks at all boxes"


@given(st.floats(0, 10_000), st.floats(0, 10_000), st.floats(0, 50))
def test_the_smallest_box_at_a_point(y, x, margin):
    table = BoxTable(scattered(np.arange(1, 501), seed=5))
    rows = table.rows
    hit = (
        (rows["y0"] - margin <= y) & (y < rows["y1"] + margin) & (rows["x0"] - margin <= x) & (x < rows["x1"] + margin)
    )
    area = (rows["y1"] - rows["y0"]) * (rows["x1"] - rows["x0"])
    expected = int(rows["id"][hit][np.argmin(area[hit])]) if hit.any() else None
    assert table.at(y, x, margin_px=margin) == expected
    among = rows["id"] % 2 == 0
    evens = hit & among
    expected = int(rows["id"][evens][np.argmin(area[evens])]) if evens.any() else None
    assert table.at(y, x, margin_px=margin, among=among) == expected
    assert table.at(y, x, margin_px=margin, among=np.flatnonzero(among)) == expected


def test_the_first_pixel_of_a_box_is_hit_and_the_one_behind_it_is_not():
    table = BoxTable(make_rows(1, id=[1], y0=10, x0=20, y1=11, x1=21))
    assert table.at(10, 20) == 1 and table.at(11, 20) is None and table.at(10, 21) is None
    assert table.at(9.999, 20) is None


def test_a_filter_of_size_finder_range_and_words():
    rows = make_rows(
        4, id=[1, 2, 3, 4], y0=0, x0=0, y1=[10, 20, 30, 40], x1=5, confidence=[0.1, 0.5, 0.9, np.nan],
        run_id=[1, 2, 2, 0], class_id=[1, 1, 2, 2],
    )  # fmt: skip
    opinions = np.zeros(5, OPINION_DTYPE)
    opinions["id"], opinions["finding_id"] = range(1, 6), [1, 2, 3, 3, 4]
    opinions["run_id"] = [1, 2, 2, 3, 3]
    facts = BoxFacts((0.5, 0.5), {1: "ACP", 2: "Größe"}, {2: "material Al2O3", 9: "elsewhere"},
                     opinions=OpinionTable(opinions))  # fmt: skip

    def shown(**columns: object) -> list[int]:
        return rows["id"][BoxFilter(**columns).mask(rows, facts=facts)].tolist()

    assert shown(size_um=(10, 15)) == [2, 3]
    assert BoxFilter(size_um=(0, 1e9)).mask(rows).tolist() == [False] * 4, "no pixel size, no size in um"
    assert BoxFilter(size_um=(10, 15), facts=facts).mask(rows).tolist() == [False, True, True, False]
    assert shown(found_by=frozenset({0, 1})) == [1, 4]
    assert shown(found_by=frozenset({2})) == [2, 3] and shown(found_by=frozenset({3})) == [3, 4], "whoever leads"
    assert shown(min_confidence=0.3, max_confidence=0.6) == [2, 4]
    assert shown(text="GRÖSSE") == [3, 4] and shown(text="al2o3") == [2] and shown(text="nowhere") == []
    rows["note"][0], rows["reason"][2] = "am Rand", "Duplicate"
    assert shown(text="rand") == [1] and shown(text="duplicate") == [3]
    rows["state"][0] = ReviewState.CONFIRMED
    assert shown(max_confidence=0.0) == [1, 4], "what a user judged stays visible"


def test_a_box_that_is_gone_does_not_bring_its_neighbour_twice():
    count = 30_000
    x0 = np.arange(count) * 10.0
    table = BoxTable(make_rows(count, id=np.arange(1, count + 1), y0=0, x0=x0, y1=9, x1=x0 + 9))
    table.remove([101, 102, count])
    assert table._index is not None
    assert table.rows["id"][table.inside(0, 985, 9, 1045)].tolist() == [99, 100, 103, 104, 105]
    assert table.rows["id"][table.inside(0, 10.0 * count - 25, 9, 1e9)].tolist() == [count - 2, count - 1]
