"""The journal: complete lines are read, truncated and invalid ones are ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project.runs.journal import (
    JOURNAL_NAME,
    JournalWriter,
    read_journal,
    read_status,
    read_tile_errors,
    write_status,
)


def rows(count: int, *, tile: int = 0) -> np.ndarray:
    made = np.zeros(count, CANDIDATE_DTYPE)
    made["y0"], made["x0"] = np.arange(count), 2.25
    made["y1"], made["x1"] = np.arange(count) + 10, 12.5
    made["confidence"], made["label"], made["tile"] = 0.75, 1, tile
    return made


def write(folder: Path, *tiles: int) -> None:
    writer = JournalWriter(folder)
    for tile in tiles:
        writer.tile(tile, rows(tile + 1, tile=tile))
    writer.close()


def test_round_trip_with_offsets(tmp_path: Path) -> None:
    assert read_journal(tmp_path, 0) == ([], 0)
    write(tmp_path, 0, 1)
    tiles, offset = read_journal(tmp_path, 0)
    assert [tile for tile, _ in tiles] == [0, 1]
    np.testing.assert_array_equal(tiles[1][1], rows(2, tile=1))
    assert read_journal(tmp_path, offset) == ([], offset)
    write(tmp_path, 2)
    tiles, _ = read_journal(tmp_path, offset)
    assert [tile for tile, _ in tiles] == [2]


@given(cut=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_truncated_last_line(tmp_path_factory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("run")
    write(folder, 0, 1, 2)
    path = folder / JOURNAL_NAME
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - cut)])
    whole = path.read_bytes().count(b"\n")
    tiles, offset = read_journal(folder, 0)
    assert [tile for tile, _ in tiles] == list(range(whole))
    write(folder, 7)  # the next writer removes the truncated line
    following, _ = read_journal(folder, offset)
    assert [tile for tile, _ in following] == [7]


@given(junk=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_invalid_lines_are_ignored(tmp_path_factory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("run")
    write(folder, 0)
    with (folder / JOURNAL_NAME).open("ab") as file:
        file.write(junk + b"\n")
    write(folder, 1)
    tiles, _ = read_journal(folder, 0)
    assert {0, 1} <= {tile for tile, _ in tiles}


def test_nan_is_not_a_candidate(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_text('{"tile":3,"candidates":[[0,0,NaN,1,0.5,0]]}\n')
    assert read_journal(tmp_path, 0)[0] == []


def test_damaged_tiles(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.error(4, "cannot be decoded")
    writer.close()
    ((tile, candidates),) = read_journal(tmp_path, 0)[0]
    assert tile == 4 and len(candidates) == 0
    assert read_tile_errors(tmp_path) == {4: "cannot be decoded"}


def test_status(tmp_path: Path) -> None:
    assert read_status(tmp_path) == {}
    write_status(tmp_path, {"state": "running", "tiles_done": 3})
    assert read_status(tmp_path)["tiles_done"] == 3
    (tmp_path / "status.json").write_text("{")
    assert read_status(tmp_path) == {}
