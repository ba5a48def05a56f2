"""Tiles in view come first, and no result depends on it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from learning_toys import draw, untrained_model

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.loading import TaskKeeper
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.engine.area import in_view_first
from microscope_qc.project.runs.batching import Batching, read_batching, write_batching
from microscope_qc.project.runs.journal import read_journal

SIDE, BATCH = 900, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "slide.png"
    cv2.imwrite(str(path), draw(3, size=SIDE, count=16)[0])
    return path


@pytest.fixture(scope="module")
def models() -> TaskKeeper:
    return TaskKeeper()


def run_folder(folder: Path, model: Path, picture: Path) -> Path:
    folder.mkdir()
    card = {
        "run_id": 1, "slide": {"path": str(picture), "scene": None, "pixel_size_um": [0.25, 0.25]},
        "model": str(model), "region": [0, 0, SIDE, SIDE], "tile_px": 256, "overlap_px": 64,
        "candidate_confidence": 0.2, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card))
    write_batching(folder, Batching(BATCH, "float32"))
    return folder


def content(folder: Path) -> dict[int, list]:
    tiles, _ = read_journal(folder)
    assert len({tile for tile, _ in tiles}) == len(tiles), "a tile was done twice"
    return {tile: candidates.tolist() for tile, candidates in tiles}


@pytest.fixture(scope="module")
def expected(model: Path, picture: Path, models: TaskKeeper, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = run_folder(tmp_path_factory.mktemp("runs") / "whole", model, picture)
    run_job(run_model(folder, models=models))
    found = content(folder)
    assert len(found) == 25 and sum(map(len, found.values())) > 20
    return found


def assert_equal(found: dict[int, list], expected: dict[int, list]) -> None:
    """The same to one unit of the last digit: some processors round a batch of one otherwise than a batch of three."""
    assert found.keys() == expected.keys()
    for tile, candidates in expected.items():
        mine, theirs = (np.array([list(one) for one in sorted(rows)], float) for rows in (found[tile], candidates))
        assert mine.shape == theirs.shape, tile
        apart = np.abs(mine - theirs).reshape(len(mine), -1).max(axis=0, initial=0)
        assert (apart <= [0.0101] * 4 + [1.01e-4, 0, 0]).all(), (tile, apart)


REGIONS = st.tuples(*[st.integers(-200, SIDE + 200)] * 2, *[st.integers(0, SIDE)] * 2).map(
    lambda given: Region(given[0], given[1], given[0] + given[2], given[1] + given[3])
)


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=max(6, settings().max_examples // 4))
@given(views=st.lists(st.none() | REGIONS, min_size=1, max_size=3), stops=st.lists(st.integers(1, 24), max_size=2))
def test_a_run_finds_the_same_in_whatever_order_and_however_often_stopped(
    views: list[Region | None], stops: list[int], model: Path, picture: Path, models: TaskKeeper, expected: dict,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    folder = run_folder(tmp_path_factory.mktemp("runs") / "run", model, picture)
    for number, stop in enumerate(stops):
        job = run_model(folder, models=models, first=views[number % len(views)])
        for progress in job:
            if progress.unit == "tiles" and progress.done >= stop:
                break
        job.close()
    run_job(run_model(folder, models=models, first=views[-1]))
    assert_equal(content(folder), expected)


def test_what_is_in_view_comes_first_and_the_first_tiles_one_by_one(
    model: Path, picture: Path, models: TaskKeeper, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", model, picture)
    run_job(run_model(folder, models=models, first=Region(645, 645, 700, 700)))  # tiles 18, 19, 23 and 24 show it
    order = [tile for tile, _ in read_journal(folder)[0]]
    assert order[:9] == [18, 19, 20, 21, 22, 23, 24, 0, 1]
    kept = read_batching(folder)
    assert kept is not None and kept.singly == (18,)


def test_a_batch_stays_together_when_it_comes_first() -> None:
    grid = TileGrid(Region(0, 0, 1000, 1000), 100, 0)
    groups = [list(range(start, min(start + 7, 100))) for start in range(0, 100, 7)]
    ordered = in_view_first(groups, grid, Region(410, 210, 480, 390))  # tiles 42 and 43
    assert ordered[0] == groups[6] and ordered[1:] == groups[:6] + groups[7:]
    assert in_view_first(groups, grid, Region(0, 0, 1000, 1000)) == groups
    assert in_view_first(groups, grid, Region(-50, -50, 0, 0)) == groups
    assert all(np.array_equal(a, b) for a, b in zip(sorted(ordered), groups, strict=True))


def test_batches_that_are_split_stay_so() -> None:
    batching = Batching(3, "float32", singly=(3,))
    groups = batching.groups(range(9), {0, 1, 2, 4})
    assert groups == [[3, 4, 5], [6, 7, 8]]
    assert batching.pieces(groups, {0, 1, 2, 4}) == [[3], [5], [6, 7, 8]]
    assert batching.pieces([[6, 7, 8]], {6, 7}) == [[6, 7, 8]], "a batch that was not split is computed whole again"
