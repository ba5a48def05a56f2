"""The child's side of a detection, run in this process."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import ModelError, ProjectError, SlideError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.engine.pixels import TileReader, resized
from microscope_qc.ml.tiling import in_valid_area, lattice, model_tile_shape, slide_scale, tile_size, to_slide
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_journal, read_status, read_tile_errors
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "slide.png"
    cv2.imwrite(str(path), draw(3, size=600, count=16)[0])
    return path


def run_folder(folder: Path, model_folder: Path, picture: Path, **changes) -> Path:
    folder.mkdir()
    card = {
        "run_id": 1, "slide": {"path": str(picture), "scene": None, "pixel_size_um": [0.25, 0.25]},
        "model": str(model_folder),
        "region": [0, 0, 600, 600], "tile_px": 256, "overlap_px": 64, "candidate_confidence": 0.2, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card | changes))
    return folder


def content(folder: Path) -> dict[int, list]:
    tiles, _ = read_journal(folder, 0)
    assert len({tile for tile, _ in tiles}) == len(tiles), "a tile was done twice"
    return {tile: candidates.tolist() for tile, candidates in tiles}


def test_a_run_stopped_anywhere_ends_like_an_uninterrupted_one(model: Path, picture: Path, tmp_path: Path) -> None:
    whole = run_folder(tmp_path / "whole", model, picture)
    status = run_job(run_model(whole))
    expected = content(whole)
    assert status["state"] == "finished" and len(expected) == status["tiles_total"] == 9
    assert sum(map(len, expected.values())) > 20
    assert read_status(whole) == status

    parts = run_folder(tmp_path / "parts", model, picture)
    job = run_model(parts)
    while next(job).done < 4:
        pass
    job.close()
    assert read_status(parts)["state"] == "stopped"
    journal = parts / JOURNAL_NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:-9])  # killed while writing its fourth tile
    status = run_job(run_model(parts))
    assert status["tiles_done"] == 9
    assert content(parts) == expected
    before = journal.read_bytes()
    run_job(run_model(parts))
    assert journal.read_bytes() == before, "a finished run does nothing more"


def test_a_tile_that_cannot_be_read_does_not_stop_the_others(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.slides.base import Mosaic

    read = Mosaic.read

    def broken(self: Mosaic, region: Region, **options) -> np.ndarray:
        if region.y0 <= 100 < region.y1 and region.x0 <= 300 < region.x1:  # in the second tile only
            raise SlideError("This part is damaged.")
        return read(self, region, **options)

    whole = run_folder(tmp_path / "whole", model, picture)
    run_job(run_model(whole))
    monkeypatch.setattr(Mosaic, "read", broken)
    folder = run_folder(tmp_path / "run", model, picture)
    job = run_model(folder)
    while next(job).done < 4:
        pass
    job.close()
    status = run_job(run_model(folder))
    assert status["state"] == "finished" and status["tiles_damaged"] == 1, "counted though it was found before"
    assert read_tile_errors(folder) == {1: "This part is damaged."}
    assert content(folder) == content(whole) | {1: []}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "no-such-model"}, ModelError),
        ({"slide": {"path": "/no/such/slide.png", "scene": None, "pixel_size_um": None}}, SlideError),
    ],
)
def test_what_cannot_be_used_fails_clearly(
    model: Path, picture: Path, tmp_path: Path, change: dict, error: type[Exception]
) -> None:
    folder = run_folder(tmp_path / "run", model, picture, **change)
    with pytest.raises(error) as caught:
        run_job(run_model(folder))
    assert read_status(folder)["state"] == "failed"
    assert read_status(folder)["message"] == str(caught.value)


def test_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        run_job(run_model(tmp_path))
    (tmp_path / "card.json").write_text('{"model": "x"}')
    with pytest.raises(ProjectError, match="lacks"):
        run_job(run_model(tmp_path))


def test_coordinates_come_back_to_the_slide() -> None:
    scale = slide_scale(0.6, (0.3, 0.2))
    np.testing.assert_allclose(scale, (2.0, 3.0))
    assert slide_scale(None, (0.3, 0.2)) == slide_scale(0.6, None) == (1.0, 1.0)
    tile = Region(1000, 2000, 1400, 2600)
    shape = model_tile_shape(tile, scale)
    assert shape == (200, 200)
    found = np.zeros(1, CANDIDATE_DTYPE)
    found["y0"], found["x0"], found["y1"], found["x1"] = 0, 50, 200, 200
    placed = to_slide(found, tile, shape=shape, index=7)
    assert (placed["y0"][0], placed["x0"][0], placed["y1"][0], placed["x1"][0]) == (1000, 2150, 1400, 2600)
    assert placed["tile"][0] == 7
    assert tile_size(512, 128, scale=(2.0, 2.0)) == (1024, 256)
    assert tile_size(10, 9, scale=(0.01, 0.01)) == (1, 0)


@pytest.mark.parametrize("shape", [(66, 99), (60, 90), (33, 50), (120, 180)])
def test_pictures_are_averaged_whatever_the_factor(shape: tuple[int, int]) -> None:
    picture = draw(1, size=192)[0][:90, :135]
    expected = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA if shape[0] <= 90 else cv2.INTER_LINEAR)
    assert np.abs(resized(picture, shape).astype(int) - expected).max() <= 1
    assert resized(picture, picture.shape[:2]) is picture


def test_tiles_read_in_a_strip_equal_those_read_separately(picture: Path) -> None:
    from microscope_qc.slides import open_slide

    grid = TileGrid(Region(0, 0, 600, 600), 192, 48)
    with open_slide(picture) as slide:
        reader = TileReader(slide.scene(None), scale=(1.5, 1.5), tile_shape=(192, 192), shape=(128, 128))
        tiles = list(grid)[:4]
        assert reader.strips(tiles, longest=4) == [4] and reader.strips(tiles, longest=2) == [2, 2]
        assert reader.strips([tiles[0], tiles[1], tiles[3]], longest=4) == [2, 1], "the gap is not read"
        for together, tile in zip(reader.read(tiles), tiles, strict=True):
            (alone,) = reader.read([tile])
            np.testing.assert_array_equal(together, alone)
            whole = slide.scene(None).read_scaled(tile, (128, 128))
            assert np.abs(together.astype(int) - whole).max() <= 1
            assert reader.frame(tile) == tile
        odd = TileReader(slide.scene(None), scale=(1.38, 1.38), tile_shape=(192, 192), shape=(139, 139))
        assert odd.strips(tiles, longest=4) == [1, 1, 1, 1]


def test_candidates_close_to_a_seam_belong_to_the_neighbour() -> None:
    grid = TileGrid(Region(0, 0, 300, 300), 200, 100)
    rows = np.zeros(4, CANDIDATE_DTYPE)
    rows["y0"], rows["y1"] = 50, 60
    rows["x0"], rows["x1"] = [150, 140, 110, 0], [170, 166, 200, 30]
    # the right-hand tile starts at 100: candidates with their centre beyond 155 are further inside it
    assert in_valid_area(rows, grid[0], grid=grid).tolist() == [False, True, True, True]
    rows["x0"], rows["x1"] = [110, 110, 270, 100], [139, 181, 300, 300]
    assert in_valid_area(rows, grid[1], grid=grid).tolist() == [False, True, True, True]


def test_what_two_tiles_see_completely_or_partly_is_reported_by_at_least_one() -> None:
    grid = TileGrid(Region(30, 30, 1000, 1000), 200, 80, (32.0, 32.0))
    assert [int(start) for start in grid.starts[0][:3]] == [0, 128, 256]
    for length in (5, 60, 100, 330):
        for start in range(30, 990 - length):
            told = []
            for tile in grid:
                row = np.zeros(1, CANDIDATE_DTYPE)
                row["y0"], row["y1"] = 60, 70
                row["x0"], row["x1"] = max(start, tile.x0), min(start + length, tile.x1)
                if tile.y0 == 0 and row["x1"][0] > row["x0"][0] and in_valid_area(row, tile, grid=grid)[0]:
                    told.append((float(row["x0"][0]), float(row["x1"][0])))
            assert told[0][0] == start and told[-1][1] == start + length, "together they are complete"
            assert all(left[1] >= right[0] for left, right in itertools.pairwise(told))


def test_a_finding_outside_a_drawn_area_is_dropped() -> None:
    grid = TileGrid(Region(50, 50, 500, 500), 200, 80, (40.0, 40.0))
    rows = np.zeros(2, CANDIDATE_DTYPE)
    rows["y0"], rows["y1"], rows["x0"], rows["x1"] = 60, 70, [41, 45], [51, 59]
    assert grid[0] == Region(40, 40, 240, 240)
    assert in_valid_area(rows, grid[0], grid=grid).tolist() == [False, True]


def test_plan_grid() -> None:
    grid = RunPlan(region=[0, 0, 600, 600], tile_px=256, overlap_px=64).grid()
    assert len(grid) == 9 and grid[8] == Region(344, 344, 600, 600)
    assert lattice(64, 384, scale=(3.0, 3.0)) == (192.0, 192.0), "of the bundled detector"
    assert lattice(64, 335, scale=(2.6163, 2.6163)) == pytest.approx((167.44, 167.44), abs=0.01)
    assert lattice(64, 300, scale=(3.0, 3.0)) == (0.0, 0.0), "the remaining overlap would be too small"
    moved = RunPlan(region=[-100, 250, 900, 900], tile_px=256, overlap_px=64, lattice_px=[32.0, 32.0]).grid()
    assert moved.starts[0].tolist() == [-128, 64, 256, 448, 640, 644] and moved.starts[1].tolist() == [
        224,
        416,
        608,
        644,
    ]
