"""Tiles: the right pixels at every level, decoded once, kept within bounds; damage is reported and shown."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tile_toys import ToyMosaic, halves, noise

from microscope_qc.core.errors import Cancelled, InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import CancelToken
from microscope_qc.slides.display import ChannelView, DisplaySettings
from microscope_qc.slides.piece_cache import PieceCache
from microscope_qc.slides.pixels import Channel
from microscope_qc.slides.tile_cache import TILE_PX, TileCache, TileSource, default_limit, shared_cache

MEGABYTE = 1 << 20


def source_of(mosaic: ToyMosaic, *, megabytes: int = 64, **kwargs: object) -> TileSource:
    return TileSource(mosaic, cache=TileCache(megabytes * MEGABYTE), **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1300, 2100), (1301, 2101, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_computed_levels_are_averages_of_the_image(shape: tuple[int, ...], dtype: type) -> None:
    pixels = noise(shape, dtype)
    source = source_of(ToyMosaic(pixels))
    assert [level.shape for level in source.levels][1:] == [
        ((shape[0] + 1) // 2, (shape[1] + 1) // 2),
        ((shape[0] + 3) // 4, (shape[1] + 3) // 4),
    ]
    assert [source.cost(level) for level in range(3)] == [1, 4, 16]
    coarse = source.read(Region(0, 0, *source.shape(1)), level=1)
    whole = pixels[: shape[0] // 2 * 2, : shape[1] // 2 * 2].astype(float)
    mean = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
    assert np.abs(coarse[: mean.shape[0], : mean.shape[1]] - mean).max() <= 0.76
    if shape[0] % 2:
        last = pixels[-1, : shape[1] // 2 * 2].astype(float)
        edge = (last[::2] + last[1::2]) / 2
        assert np.abs(coarse[-1, : len(edge)] - edge).max() <= 0.76


def test_levels_are_computed_between_stored_ones_far_apart_and_never_far_beyond_them() -> None:
    full = np.zeros((65536, 8), np.uint8)
    between = source_of(ToyMosaic(full, full[::8]))
    assert [level.downsample[0] for level in between.levels] == [1, 2, 4, 8, 16, 32, 64]
    assert [between.cost(level) for level in range(5)] == [1, 4, 16, 1, 4]
    lonely = source_of(ToyMosaic(full))
    assert [level.downsample[0] for level in lonely.levels] == [1, 2, 4, 8, 16]
    assert (lonely.level_for(7.9), lonely.level_for(8), lonely.level_for(1000), lonely.level_for(0.1)) == (2, 3, 4, 0)


PIXELS = noise((1100, 1500, 3))
LEVELS = halves(PIXELS[:1100, :1500], 1)
SHARED = source_of(ToyMosaic(*LEVELS))


@given(st.data())
def test_regions_are_those_of_the_mosaic(data: st.DataObject) -> None:
    level = data.draw(st.integers(0, 1))
    y = sorted(data.draw(st.tuples(st.integers(-40, 1200), st.integers(-40, 1200))))
    x = sorted(data.draw(st.tuples(st.integers(-40, 1600), st.integers(-40, 1600))))
    region = Region(y[0], x[0], y[1], x[1])
    assert np.array_equal(SHARED.read(region, level=level), SHARED.mosaic.read(region, level=level))
    assert np.array_equal(SHARED.read_rgb8(region, level=level), SHARED.mosaic.read_rgb8(region, level=level))


def test_scaled_regions_are_those_of_the_mosaic_and_take_display_settings() -> None:
    region = Region(100, 50, 900, 1450)
    plain = SHARED.mosaic.read_scaled(region, (200, 350))
    assert np.array_equal(SHARED.read_scaled(region, (200, 350)), plain)
    darker = DisplaySettings((ChannelView(window=(0, 400)),))
    assert SHARED.read_scaled(region, (200, 350), display=darker).mean() < 0.7 * plain.mean()
    with pytest.raises(InputError):
        SHARED.read(region, level=9)


def test_only_visible_channels_are_read() -> None:
    mosaic = ToyMosaic(noise((600, 600)), channels=[Channel("A", "#ff0000"), Channel("B", "#00ff00")])
    source = source_of(mosaic)
    shown = source.picture(0, 0, 0, display=DisplaySettings((ChannelView(visible=False),)))
    assert len(mosaic.reads) == 1
    assert shown[..., 0].max() == 0 and np.array_equal(shown[..., 1], mosaic.pixels[0][:512, :512] + 1)
    nothing = DisplaySettings((ChannelView(visible=False),) * 2)
    assert source.picture(0, 1, 1, display=nothing).shape == (88, 88, 3)
    assert len(mosaic.reads) == 1


def test_a_tile_requested_by_many_is_decoded_once() -> None:
    mosaic = ToyMosaic(noise((512, 512)), gated=True)
    source = source_of(mosaic)
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(source.tile, 0, 0, 0) for _ in range(6)]
        assert mosaic.entered.acquire(timeout=30)
        mosaic.let_through(1)
        assert len({id(future.result()) for future in waiting}) == 1
    assert len(mosaic.reads) == 1
    assert source.peek(0, 0, 0) is not None and not source.tile(0, 0, 0).flags.writeable


@pytest.mark.parametrize("seed", range(3))
def test_the_cache_stays_within_its_limit_whatever_threads_request(seed: int) -> None:
    pixels = noise((512 * 8, 512 * 8), seed=seed)
    mosaic = ToyMosaic(pixels)
    source = source_of(mosaic, megabytes=3)
    limit = 3 * MEGABYTE
    most: list[int] = []

    def look(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        for _ in range(120):
            level = int(rng.integers(0, len(source.levels)))
            rows, columns = source.grid(level)
            row, column = int(rng.integers(rows)), int(rng.integers(columns))
            tile = source.tile(level, row, column)
            if level == 0:
                assert np.array_equal(tile, pixels[row * 512 : row * 512 + 512, column * 512 : column * 512 + 512])
            if rng.random() < 0.02:
                source.cache.drop_where(lambda key, row=row: key[3] == row)
            most.append(source.cache.held_bytes)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(look, number) for number in range(4)]:
            future.result()
    assert max(most) <= limit
    assert min(most) >= 0
    held = source.cache.held_bytes
    source.cache.set_limit(MEGABYTE)
    assert source.cache.held_bytes <= MEGABYTE < held
    source.cache.clear()
    assert source.cache.held_bytes == 0


def test_least_recently_used_tiles_go_first() -> None:
    mosaic = ToyMosaic(noise((512, 512 * 6)))
    source = source_of(mosaic, megabytes=1)  # four tiles
    for column in (0, 1, 2, 3, 0, 4):
        source.tile(0, 0, column)
    assert [source.peek(0, 0, column) is not None for column in range(5)] == [True, False, True, True, True]


def test_a_thread_that_waits_for_a_cancelled_tile_makes_it() -> None:
    cache = PieceCache(MEGABYTE)
    begun, give_up = threading.Event(), threading.Event()
    made: list[str] = []

    def giving_up() -> np.ndarray:
        begun.set()
        assert give_up.wait(30)
        raise Cancelled

    def making() -> np.ndarray:
        made.append("again")
        return np.zeros(3)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", giving_up)
        assert begun.wait(30)
        second = pool.submit(cache.get, "a", making)
        give_up.set()
        assert second.result(30).shape == (3,)
        with pytest.raises(Cancelled):
            first.result(30)
    assert made == ["again"]
    assert cache.held_bytes == 24


def test_a_computed_tile_can_be_cancelled_between_its_reads() -> None:
    mosaic = ToyMosaic(noise((2048, 2048)))
    source = source_of(mosaic)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        source.tile(1, 0, 0, cancel=cancel)
    assert mosaic.reads == []
    assert source.tile(1, 0, 0).shape == (512, 512)


def test_damage_is_reported_once_and_hatched_in_computed_tiles_until_it_can_be_read() -> None:
    mosaic = ToyMosaic(noise((1500, 1500), np.uint16))
    mosaic.broken = {(0, 512, 0)}
    told: list[object] = []
    source = source_of(mosaic, on_error=told.append)
    for _ in range(2):
        with pytest.raises(SlideError):
            source.tile(0, 1, 0)
        with pytest.raises(SlideError):
            source.read(Region(0, 0, 600, 100))
    assert len(told) == 1
    made = source.tile(1, 0, 0)
    assert {0, 65535} <= set(np.unique(made[256:, :256]))
    assert np.array_equal(made[:256, :256], source.tile(1, 0, 0)[:256, :256])
    assert made[:256].max() < 200
    assert set(np.unique(source.read(Region(512, 0, 600, 64), hatch=True))) == {0, 65535}
    assert len(told) == 1
    mosaic.broken.clear()
    assert source.tile(1, 0, 0).max() < 200
    assert source.tile(0, 1, 0).max() < 200


def test_two_sources_of_one_mosaic_share_its_tiles_which_are_dropped_with_it() -> None:
    cache = TileCache(64 * MEGABYTE)
    mosaic, other = ToyMosaic(noise((600, 600))), ToyMosaic(noise((600, 600)))
    TileSource(mosaic, cache=cache).tile(0, 0, 0)
    TileSource(mosaic, cache=cache).tile(0, 0, 0)
    assert len(mosaic.reads) == 1
    kept = TileSource(other, cache=cache)
    kept.tile(0, 0, 0)
    held = cache.held_bytes
    del mosaic
    gc.collect()
    kept.tile(0, 0, 0)
    assert cache.held_bytes == held // 2
    assert len(other.reads) == 1


def test_what_is_held_elsewhere_counts() -> None:
    mosaic = ToyMosaic(noise((512, 512 * 8)))
    source = source_of(mosaic, megabytes=2)
    source.cache.count_elsewhere(MEGABYTE)
    for column in range(8):
        source.tile(0, 0, column)
    assert source.cache.held_bytes == MEGABYTE
    source.cache.set_limit(3 * MEGABYTE)
    for column in range(8):
        source.tile(0, 0, column)
    assert source.cache.held_bytes == 2 * MEGABYTE


def test_the_shared_cache_takes_an_eighth_of_the_memory_at_most() -> None:
    import psutil

    assert shared_cache() is shared_cache()
    assert default_limit() <= min(512_000_000, psutil.virtual_memory().total / 8)
    assert TILE_PX == 512
