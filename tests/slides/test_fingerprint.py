"""The blocks that a fingerprint is made from, collected while a slide is read tile by tile."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.core.geometry import Region
from microscope_qc.slides.fingerprint import SampledPixels, sampled_blocks
from microscope_qc.slides.pyramid.levels import split
from microscope_qc.slides.unpacking import for_each, reads_beside_others


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    tile_px=st.integers(40, 300),
    colours=st.sampled_from([(), (3,)]),
    left_out=st.none() | st.integers(0, 1000),
)
def test_tiles_give_the_same_blocks_as_the_slide(shape, tile_px, colours, left_out) -> None:
    pixels = np.random.default_rng(0).integers(0, 60_000, (*shape, *colours), dtype=np.uint16)
    tiles = list(split(Region(0, 0, *shape), tile_px))
    if left_out is not None:
        missing = tiles.pop(left_out % len(tiles))
    sampled = SampledPixels(shape)
    for tile in tiles:
        sampled.add(tile, pixels[tile.y0 : tile.y1, tile.x0 : tile.x1])
    for block in sampled_blocks(shape):
        kept = sampled.get(block)
        lacks = left_out is not None and _touch(block, missing)
        if lacks:
            assert kept is None
        else:
            np.testing.assert_array_equal(kept, pixels[block.y0 : block.y1, block.x0 : block.x1])


def _touch(a: Region, b: Region) -> bool:
    return max(a.y0, b.y0) < min(a.y1, b.y1) and max(a.x0, b.x0) < min(a.x1, b.x1)


def test_no_other_place_is_kept() -> None:
    sampled = SampledPixels((500, 500))
    sampled.add(Region(0, 0, 500, 500), np.zeros((500, 500), np.uint8))
    assert sampled.get(Region(1, 1, 65, 65)) is None


def test_a_reader_beside_others_decodes_in_its_own_thread() -> None:
    used: dict[str, set[int]] = {"one of many": set(), "alone": set()}

    def read(name: str) -> None:
        if name == "one of many":
            reads_beside_others()
        for_each(lambda place: used[name].add(threading.get_ident()), range(64))
        used[name].add(threading.get_ident())

    for name in used:
        thread = threading.Thread(target=read, args=(name,))
        thread.start()
        thread.join()
    assert len(used["one of many"]) == 1
    assert len(used["alone"]) > 1


@pytest.mark.parametrize("beside_others", [True, False])
def test_an_error_in_one_piece_is_raised(beside_others: bool) -> None:
    raised: list[BaseException] = []

    def fail(place: int) -> None:
        if place == 5:
            raise OSError("this piece is damaged")

    def read() -> None:
        if beside_others:
            reads_beside_others()
        try:
            for_each(fail, range(9))
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert [str(error) for error in raised] == ["this piece is damaged"]
