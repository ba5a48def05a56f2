"""The tiles a view needs, the order of fetching, and what is replaced; no window, no OpenGL, no clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tile_toys import ToyMosaic, noise

from microscope_qc.app.canvas.tiles.atlas import Atlas
from microscope_qc.app.canvas.tiles.loader import LoadedTile, TileLoader
from microscope_qc.app.canvas.tiles.tile_plan import bounds_of, make_plan, tiles_in, tiles_to_draw
from microscope_qc.app.canvas.view import View
from microscope_qc.slides.display import ChannelView, DisplaySettings
from microscope_qc.slides.tile_cache import TileCache, TileSource

WIDE = np.zeros((8192, 8192), np.uint8)


def source_of(mosaic: ToyMosaic, megabytes: int = 64, **kwargs: object) -> TileSource:
    return TileSource(mosaic, cache=TileCache(megabytes << 20), **kwargs)  # type: ignore[arg-type]


PYRAMID = source_of(ToyMosaic(WIDE, WIDE[::2, ::2], WIDE[::4, ::4], WIDE[::8, ::8]))
FLAT = source_of(ToyMosaic(np.broadcast_to(np.uint8(0), (100_000, 100_000))))


# -- the plan --------------------------------------------------------------------------------------------------------


@given(
    st.floats(-500, 8700), st.floats(-500, 8700), st.floats(0.01, 60), st.sampled_from([1.0, 1.5, 2.0])
)  # fmt: skip
def test_a_plan_covers_the_view_at_the_level_of_the_screen(y: float, x: float, zoom: float, ratio: float) -> None:
    view = View(y, x, zoom, 1366, 768)
    plan = make_plan(PYRAMID, view, pixel_ratio=ratio)
    level_px = max(PYRAMID.downsample(plan.level)) * zoom * ratio
    assert level_px <= 1.01 or plan.level == 0
    assert level_px > 0.5 * 0.99 or plan.level == len(PYRAMID.levels) - 1
    y0, x0, y1, x1 = view.bounds
    for place_y in np.linspace(max(y0, 0), min(y1, 8191.9), 7):
        for place_x in np.linspace(max(x0, 0), min(x1, 8191.9), 7):
            if max(y0, 0) <= place_y < min(y1, 8192) and max(x0, 0) <= place_x < min(x1, 8192):
                assert any(
                    b[0] <= place_y < b[2] and b[1] <= place_x < b[3]
                    for b in (bounds_of(PYRAMID, tile) for tile in plan.sharp)
                )
    assert not set(plan.sharp) & set(plan.ahead)
    for tile in plan.sharp:
        b = bounds_of(PYRAMID, tile)
        assert b[0] < y1 and b[2] > y0 and b[1] < x1 and b[3] > x0


def test_tiles_come_from_the_middle_outwards_and_coarse_ones_before() -> None:
    view = View(4096, 4096, 1.0, 1500, 1500)
    plan = make_plan(PYRAMID, view)
    far = [max(abs((row + 0.5) * 512 - view.y), abs((column + 0.5) * 512 - view.x)) for _, row, column in plan.sharp]
    assert far == sorted(far)
    assert len(plan.sharp) == 16
    assert {tile[0] for tile in plan.coarse} == {2}
    assert len(plan.coarse) == 4


@pytest.mark.parametrize(("dy", "dx"), [(0, 300), (0, -300), (300, 0), (-300, 0)])
def test_tiles_in_the_direction_of_motion_are_fetched_first(dy: int, dx: int) -> None:
    before = View(4096, 4096, 1.0, 1000, 1000)
    plan = make_plan(PYRAMID, View(4096 + dy, 4096 + dx, 1.0, 1000, 1000), before=before)
    _, row, column = plan.ahead[0]
    assert np.sign((row + 0.5) * 512 - 4096) == np.sign(dy) or dy == 0
    assert np.sign((column + 0.5) * 512 - 4096) == np.sign(dx) or dx == 0
    zoomed_in = make_plan(PYRAMID, View(4096, 4096, 0.4, 1000, 1000), before=View(4096, 4096, 0.3, 1000, 1000))
    assert zoomed_in.ahead[0][0] == zoomed_in.level - 1
    zoomed_out = make_plan(PYRAMID, View(4096, 4096, 0.3, 1000, 1000), before=View(4096, 4096, 0.4, 1000, 1000))
    assert zoomed_out.ahead[0][0] == zoomed_out.level + 1


@given(st.floats(0, 100_000), st.floats(0, 100_000), st.floats(0.001, 3))
def test_a_slide_without_levels_is_never_read_as_a_whole(y: float, x: float, zoom: float) -> None:
    plan = make_plan(FLAT, View(y, x, zoom, 1920, 1080))
    reads = sum(FLAT.cost(level) for level, _, _ in plan.sharp)
    assert reads <= 4096 < 196 * 196
    assert plan.sharp or zoom < 0.2
    assert all(FLAT.cost(level) <= 4 for level, _, _ in plan.ahead)


@given(st.data())
def test_nothing_that_is_there_leaves_a_hole_and_sharp_lies_above_coarse(data: st.DataObject) -> None:
    plan = make_plan(PYRAMID, View(4096, 4096, data.draw(st.floats(0.05, 2)), 1200, 800))
    area = (2000, 2000, 6200, 6200)
    known = [tile for level in range(len(PYRAMID.levels)) for tile in tiles_in(PYRAMID, level, area)]
    coarsest = {(3, row, column) for row in range(2) for column in range(2)}
    there = set(data.draw(st.lists(st.sampled_from(known), max_size=60))) | coarsest
    drawn = tiles_to_draw(PYRAMID, plan, there.__contains__)
    assert set(drawn) <= there
    assert [tile[0] for tile in drawn] == sorted((tile[0] for tile in drawn), reverse=True)
    assert set(plan.sharp) & there <= set(drawn)
    for sharp in set(plan.sharp) - there:
        assert any(_covers(tile, sharp) for tile in drawn)


def _covers(coarse: tuple[int, int, int], tile: tuple[int, int, int]) -> bool:
    a, b = bounds_of(PYRAMID, coarse), bounds_of(PYRAMID, tile)
    return a[0] <= b[0] and a[1] <= b[1] and a[2] >= b[2] and a[3] >= b[3]


# -- the atlas -------------------------------------------------------------------------------------------------------


def test_the_tile_that_was_not_drawn_for_longest_gives_way_unless_it_is_kept() -> None:
    atlas = Atlas(3)
    slots = [atlas.put((0, 0, column), serial=1, shape=(512, 512)) for column in range(3)]
    assert sorted(slots) == [0, 1, 2]
    atlas.touch([(0, 0, 0)])
    assert atlas.put((0, 0, 3), serial=1, shape=(512, 512)) == slots[1]
    assert (0, 0, 1) not in atlas and (0, 0, 0) in atlas
    assert atlas.put((0, 0, 4), serial=1, shape=(512, 512), keep={(0, 0, 2)}) == slots[0]
    everything = {(0, 0, 2), (0, 0, 3), (0, 0, 4)}
    assert atlas.put((0, 0, 5), serial=1, shape=(512, 512), keep=everything) is None
    assert atlas.put((0, 0, 4), serial=2, shape=(512, 512), keep=everything) == slots[0]
    assert (atlas.serial((0, 0, 4)), atlas.serial((0, 0, 2)), atlas.serial((9, 9, 9))) == (2, 1, -1)
    atlas.keep_only({(0, 0, 3)})
    assert len(atlas) == 1
    assert sorted(atlas.put((1, 0, c), serial=2, shape=(9, 9)) for c in range(2)) == sorted([slots[0], slots[2]])


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80))
def test_no_two_tiles_share_a_slot(steps: list[tuple[int, bool]]) -> None:
    atlas = Atlas(5)
    for number, touched in steps:
        atlas.put((0, 0, number), serial=0, shape=(1, 1))
        if touched:
            atlas.touch([(0, 0, number // 2)])
        slots = [slot.number for slot in (atlas.get((0, 0, n)) for n in range(31)) if slot is not None]
        assert len(slots) == len(set(slots)) == len(atlas) <= 5


# -- the loader ------------------------------------------------------------------------------------------------------


class Reader:
    """A loader, and a way to wait for its results."""

    def __init__(self, threads: int) -> None:
        self._arrived = threading.Semaphore(0)
        self.loader = TileLoader(self._arrived.release, threads=threads)

    def results(self, count: int) -> list[LoadedTile]:
        taken: list[LoadedTile] = []
        while len(taken) < count:
            assert self._arrived.acquire(timeout=30), f"only {len(taken)} of {count} came"
            taken += self.loader.take(1 << 30)
        return taken


@pytest.fixture
def one() -> Iterator[Reader]:
    reader = Reader(1)
    yield reader
    reader.loader.close()


def let_all_through(mosaic: ToyMosaic) -> None:
    mosaic.let_through(1000)


def columns(mosaic: ToyMosaic) -> list[int]:
    return [x // 512 for _, _, x in mosaic.reads]


def test_a_new_view_drops_what_has_not_begun_and_nothing_is_read_twice(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512, 512 * 20)), gated=True)
    source = source_of(mosaic)
    one.loader.show(source, [(0, 0, column) for column in (0, 1, 2, 3)])
    assert mosaic.entered.acquire(timeout=30)
    one.loader.show(source, [(0, 0, column) for column in (9, 0, 8)])
    let_all_through(mosaic)
    loaded = one.results(3)
    assert [item.tile[2] for item in loaded] == [0, 9, 8]
    assert columns(mosaic) == [0, 9, 8]
    one.loader.show(source, [(0, 0, 1), (0, 0, 9)])
    assert [item.tile[2] for item in one.results(2)] == [1, 9]
    assert columns(mosaic) == [0, 9, 8, 1]  # 9 came from the cache


def test_a_read_of_a_view_that_came_back_is_not_lost(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512, 512 * 20)), gated=True)
    source = source_of(mosaic)
    one.loader.show(source, [(0, 0, 0)])
    assert mosaic.entered.acquire(timeout=30)
    one.loader.show(source, [(0, 0, 5)])
    one.loader.show(source, [(0, 0, 0)])
    let_all_through(mosaic)
    assert {item.tile for item in one.results(1)} == {(0, 0, 0)}


def test_the_view_comes_before_tiles_ahead_and_those_only_fill_the_cache(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512, 512 * 20)), gated=True)
    source = source_of(mosaic, megabytes=2)  # a quarter of it: two tiles ahead
    one.loader.show(source, [(0, 0, 1), (0, 0, 2)], ahead=[(0, 0, column) for column in (3, 0, 4, 5, 6)])
    let_all_through(mosaic)
    assert [item.tile[2] for item in one.results(2)] == [1, 2]
    for _ in range(4):
        assert mosaic.entered.acquire(timeout=30)
    while one.loader.busy:
        pass
    assert columns(mosaic) == [1, 2, 3, 0]
    assert not one.loader.has_ready
    assert source.peek(0, 0, 3) is not None


def test_another_slide_drops_the_results_of_the_one_before() -> None:
    reader = Reader(2)
    first, second = ToyMosaic(noise((512, 1024)), gated=True), ToyMosaic(noise((512, 512), seed=1))
    a, b = source_of(first), source_of(second)
    reader.loader.show(a, [(0, 0, 0)])
    assert first.entered.acquire(timeout=30)
    reader.loader.show(b, [(0, 0, 0)])
    (loaded,) = reader.results(1)
    assert loaded.source is b
    let_all_through(first)
    reader.loader.close()
    assert not reader.loader.has_ready
    assert not any(thread.is_alive() for thread in reader.loader._threads)


def test_reading_a_computed_tile_stops_when_it_is_out_of_view(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512 * 8, 512 * 8)), gated=True)
    source = source_of(mosaic)
    one.loader.show(source, [(2, 0, 0)])
    assert mosaic.entered.acquire(timeout=30)
    one.loader.show(source, [(0, 7, 7)])
    let_all_through(mosaic)
    assert [item.tile for item in one.results(1)] == [(0, 7, 7)]
    assert len(mosaic.reads) == 2


def test_a_damaged_tile_is_hatched_told_once_and_stops_no_other(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512, 1536)))
    mosaic.broken = {(0, 0, 512)}
    told: list[object] = []
    source = source_of(mosaic, on_error=told.append)
    one.loader.show(source, [(0, 0, column) for column in range(3)])
    loaded = one.results(3)
    assert [item.damaged for item in loaded] == [False, True, False]
    hatch = loaded[1].pixels
    assert hatch.shape == (512, 512, 3) and hatch.max() > 200 and hatch.min() < 60
    assert len(told) == 1


def test_display_settings_reach_the_pixels(one: Reader) -> None:
    mosaic = ToyMosaic(noise((512, 512)))
    source = source_of(mosaic)
    display = DisplaySettings((ChannelView(window=(0, 100), colour="#00ff00"),))
    one.loader.show(source, [(0, 0, 0)], display=display, serial=4)
    (loaded,) = one.results(1)
    assert loaded.serial == 4
    assert loaded.pixels[..., 0].max() == 0 and loaded.pixels[..., 1].max() == 255
    assert len(mosaic.reads) == 1
    one.loader.show(source, [(0, 0, 0)], serial=5)
    (loaded,) = one.results(1)
    assert np.array_equal(loaded.pixels[..., 0], mosaic.pixels[0])
    assert len(mosaic.reads) == 1


def test_results_are_handed_over_in_pieces(one: Reader) -> None:
    source = source_of(ToyMosaic(noise((512, 512 * 4))))
    one.loader.show(source, [(0, 0, column) for column in range(4)])
    while one.loader.busy:
        pass
    size = 512 * 512 * 3
    assert len(one.loader.take(1)) == 1
    assert len(one.loader.take(2 * size + 5)) == 2
    assert one.loader.has_ready
    assert len(one.loader.take(1 << 30)) == 1
    assert not one.loader.has_ready
