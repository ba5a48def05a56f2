"""Tiles cover their region, and begin on a lattice where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.geometry import Region, TileGrid


@given(
    start=st.integers(-5000, 5000), length=st.integers(1, 20_000), tile=st.integers(16, 3000),
    share=st.floats(0, 0.9), lattice_share=st.floats(0, 0.5),
)  # fmt: skip
def test_tiles_cover_their_region_wherever_they_begin(
    start: int, length: int, tile: int, share: float, lattice_share: float
) -> None:
    overlap = int(tile * share)
    lattice = overlap * lattice_share if overlap * lattice_share >= 1 else 0.0
    grid = TileGrid(Region(start, 0, start + length, 10), tile, overlap, (lattice, 0.0))
    tops = grid.starts[0]
    assert len(grid) == len(tops) and grid.columns == 1
    if length <= tile:
        assert tops.tolist() == [start]
        return
    assert start - lattice - 1 <= tops[0] <= start and tops[-1] + tile == start + length
    steps = np.diff(tops)
    assert (steps > 0).all() and steps.max(initial=0) <= tile - overlap + lattice + 1, "no gap"
    if lattice:
        off = np.abs(tops[:-1] - np.round(tops[:-1] / lattice) * lattice)
        assert off.max(initial=0) <= 0.5
    assert grid[len(grid) - 1].y1 == start + length == list(grid)[-1].y1


def test_the_same_place_lies_alike_in_its_tile_wherever_the_region_begins() -> None:
    one = TileGrid(Region(0, 0, 9000, 9000), 1536, 384, (192.0, 192.0))
    for begin in (7, 210, 465, 1002):
        other = TileGrid(Region(begin, begin, 9000, 9000), 1536, 384, (192.0, 192.0))
        assert all(start % 192 == 0 for start in other.starts[0][:-1])
        assert other.starts[0][-1] == one.starts[0][-1]


def test_a_lattice_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="gaps"):
        TileGrid(Region(0, 0, 100, 100), 50, 10, (11.0, 0.0))
