"""Resin and empty area are skipped, defects never."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import untrained_model

from microscope_qc.core.area_mask import AreaMask, mask_from, mask_from_dict, mask_to_dict, open_mask
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.engine import run_model
from microscope_qc.project.runs.journal import read_journal
from microscope_qc.project.runs.mask_files import read_mask, write_mask
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.material import find_material, material_job
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.pyramid.write import write_ome_zarr


class PyramidInMemory(Mosaic):
    """An array with a pyramid, and ``finer`` empty levels before it that need no memory."""

    def __init__(self, pixels: np.ndarray, *, finer: int = 0) -> None:
        height, width = pixels.shape[:2]
        black = np.zeros(3, np.uint8)
        self.pictures = [np.broadcast_to(black, (height << i, width << i, 3)) for i in range(finer, 0, -1)]
        self.pictures.append(pixels)
        while min(self.pictures[-1].shape[:2]) > 256:
            height, width = self.pictures[-1].shape[:2]
            self.pictures.append(cv2.resize(self.pictures[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        levels = [Level(part.shape[:2], (2.0**i, 2.0**i)) for i, part in enumerate(self.pictures)]
        super().__init__(path=Path("picture"), levels=levels, dtype=np.dtype(np.uint8), rgb=True)
        self.read_levels: list[int] = []

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        self.read_levels.append(level)
        return self.pictures[level][region.y0 : region.y1, region.x0 : region.x1]


def in_resin(picture: np.ndarray, *, margin: int, seed: int = 0) -> np.ndarray:
    """A picture with resin around it: uniform, a little brighter to one side, with camera noise."""
    height, width = picture.shape[0] + 2 * margin, picture.shape[1] + 2 * margin
    rng = np.random.default_rng(seed)
    slope = np.linspace(58, 70, width, dtype=np.float32)[None, :, None]
    # one piece of noise is repeated: drawing all of it took most of the time of these tests
    noise = np.tile(rng.normal(0, 3.0, (521, 523, 3)).astype(np.float32), (height // 521 + 1, width // 523 + 1, 1))
    noise = noise[:height, :width]
    noise += slope
    resin = np.clip(noise, 0, 255, out=noise).astype(np.uint8)
    resin[margin:-margin, margin:-margin] = picture
    return resin


def seen(mask: AreaMask | None, boxes: np.ndarray, *, shift: int = 0) -> np.ndarray:
    """Whether every box (N, 4) is completely inside the scanned cells."""
    if mask is None:
        return np.ones(len(boxes), bool)
    inside = []
    for y0, x0, y1, x1 in boxes + shift:
        (top, left), (down, across) = (mask.region.y0, mask.region.x0), mask.cell_px
        rows = slice(int((y0 - top) // down), int((y1 - 1 - top) // down) + 1)
        columns = slice(int((x0 - left) // across), int((x1 - 1 - left) // across) + 1)
        inside.append(mask.scan[rows, columns].all())
    return np.array(inside)


def test_no_drawn_defect_is_outside(request: pytest.FixtureRequest) -> None:
    from microscope_qc.synthetic.electrode import ElectrodeSlide
    from microscope_qc.synthetic.magnet import MagnetSlide
    from microscope_qc.synthetic.particles import ParticleSlide

    long = request.config.getoption("--long")
    for kind in (ElectrodeSlide, MagnetSlide, ParticleSlide):
        for seed in range(6 if long else 1):
            side = 4096 if long else 1280
            slide = kind((side, side), seed=40 + seed, defects=None if long else 10)
            boxes = np.array([(d.y0, d.x0, d.y1, d.x1) for d in slide.defects], float).reshape(-1, 4)
            margin = 1024 if long else 640
            picture = in_resin(slide.read(0, 0, side, side), margin=margin, seed=seed)
            mosaic = PyramidInMemory(picture)
            mask = find_material(mosaic, Region(0, 0, *picture.shape[:2]), scale=(3.0, 3.0))
            assert mask is not None and len(boxes) > 3
            assert seen(mask, boxes, shift=margin).all()
            assert 0.35 < mask.scan.mean() < 0.85, "resin around it is skipped"
            assert set(mosaic.read_levels) == {3}, "only the coarse level was read"


def test_no_real_defect_is_outside(real_data: Path, request: pytest.FixtureRequest) -> None:
    folder = real_data / "detection" / "neu-det"
    files = sorted(folder.rglob("*.xml"))[:: 20 if not request.config.getoption("--long") else 1]
    for start in range(0, len(files) - 15, 16):
        tiles, boxes = [], []
        for number, file in enumerate(files[start : start + 16]):
            tree = ElementTree.parse(file)
            (path,) = list(folder.rglob(f"{file.stem}.jpg"))[:1]
            tiles.append(cv2.resize(cv2.imread(str(path)), (200, 200)))
            for item in tree.iter("bndbox"):
                x0, y0, x1, y1 = (int(item.find(name).text) for name in ("xmin", "ymin", "xmax", "ymax"))
                y, x = 200 * (number // 4), 200 * (number % 4)
                boxes.append([y + y0, x + x0, y + y1, x + x1])
        montage = np.vstack([np.hstack(tiles[row * 4 : row * 4 + 4]) for row in range(4)])
        picture = in_resin(montage, margin=512)
        mask = find_material(PyramidInMemory(picture), Region(0, 0, *picture.shape[:2]), scale=(1.0, 1.0))
        assert seen(mask, np.array(boxes, float), shift=512).all(), files[start]


@pytest.mark.parametrize("spread", [2.0, 0.0])
def test_a_picture_of_little_contrast_is_scanned_everywhere(spread: float) -> None:
    pixels = np.random.default_rng(1).normal(128, spread, (2048, 2048, 3)).clip(0, 255).astype(np.uint8)
    assert find_material(PyramidInMemory(pixels), Region(0, 0, 2048, 2048), scale=(3.0, 3.0)) is None


def test_without_a_coarse_level_nothing_is_skipped() -> None:
    mosaic = PyramidInMemory(in_resin(np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8), margin=600))
    mosaic.levels = mosaic.levels[:1]
    mosaic.stored_levels = 1
    assert find_material(mosaic, Region(0, 0, *mosaic.shape), scale=(3.0, 3.0)) is None
    assert mosaic.read_levels == []


def test_tiles_of_a_mask() -> None:
    scan = np.zeros((4, 6), bool)
    scan[1, 2] = True
    mask = mask_from(scan, region=Region(100, 200, 500, 800), cell_px=(100, 100))
    grid = TileGrid(Region(100, 200, 500, 800), 150, 50)
    for index in range(len(grid)):
        tile = grid[index]
        touches = tile.y0 < 300 and tile.y1 > 200 and tile.x0 < 500 and tile.x1 > 400
        assert (index in mask.tiles(grid)) == touches
    with pytest.raises(InputError, match="nothing to scan"):
        mask_from(np.zeros((3, 3), bool), region=Region(0, 0, 3, 3), cell_px=(1, 1))


def test_a_mask_is_stored_and_a_damaged_one_is_reported(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).random((30, 40)) > 0.5
    write_mask(tmp_path, mask_from(scan, region=Region(0, 0, 300, 400), cell_px=(10, 10)))
    read = read_mask(tmp_path)
    assert read is not None and (read.scan == scan).all() and read.cell_px == (10.0, 10.0)
    assert read.fingerprint == mask_from(scan, region=Region(0, 0, 300, 400), cell_px=(10, 10)).fingerprint
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(ProjectError, match="damaged"):
        read_mask(tmp_path)
    write_mask(tmp_path, None)
    assert read_mask(tmp_path) is None


def test_a_run_skips_resin_and_says_so(tmp_path: Path) -> None:
    model = untrained_model(tmp_path / "toy")
    material = np.random.default_rng(2).integers(30, 230, (512, 512, 3), np.uint8)
    material = cv2.resize(material[::8, ::8], (512, 512), interpolation=cv2.INTER_NEAREST)
    picture = in_resin(material, margin=768)

    def read(region: Region) -> np.ndarray:
        return picture[region.y0 : region.y1, region.x0 : region.x1]

    run_job(
        write_ome_zarr(
            tmp_path / "s.ome.zarr", shape=picture.shape[:2], dtype="uint8", rgb=True, read=read,
            pixel_size_um=(0.5, 0.5),
        )
    )  # fmt: skip
    card = {
        "slide": {"path": str(tmp_path / "s.ome.zarr"), "scene": None, "pixel_size_um": [0.5, 0.5]},
        "model": str(model), "region": [0, 0, *picture.shape[:2]], "tile_px": 256, "overlap_px": 64, "device": "cpu",
        "candidate_confidence": 0.3,
    }  # fmt: skip
    answers = {}
    for name, skip in (("all", False), ("some", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "card.json").write_text(json.dumps(card | {"skip_empty": skip}))
        status = run_job(run_model(folder))
        answers[name] = dict(read_journal(folder)[0])
        assert status["tiles_done"] == status["tiles_total"] == len(answers[name]) == 121
        assert (status["share_skipped"] > 0.3) == skip
        assert status["tiles_skipped"] == round(121 * status["share_skipped"])
    mask = read_mask(tmp_path / "some")
    assert mask is not None
    looked = mask.tiles(TileGrid(Region(0, 0, 2048, 2048), 256, 64))
    for tile, rows in answers["some"].items():
        assert len(rows) == (len(answers["all"][tile]) if tile in looked else 0)


def test_a_mask_survives_storage_as_text() -> None:
    scan = np.random.default_rng(3).random((13, 25)) > 0.5
    mask = AreaMask(Region(0, 0, 1290, 2499), (100.0, 100.0), scan)
    again = mask_from_dict(json.loads(json.dumps(mask_to_dict(mask))), (1290, 2499))
    assert again.fingerprint == mask.fingerprint and (again.scan == scan).all()
    with pytest.raises(InputError, match="another size"):
        mask_from_dict(mask_to_dict(mask), (1291, 2499))


@pytest.mark.parametrize(
    "change",
    [
        {"cells": "!!"},
        {"cells": "eJwDAAAAAAE="},  # no cells at all
        {"shape": [13, 24]},
        {"shape": [1 << 20, 1 << 20]},
        {"shape": []},
        {"cell_px": [0, 100]},
        {"cell_px": [float("nan"), 100]},
        {"cell_px": [50, 50]},
        {"region": [0, 0, 1290]},
        {"region": [5, 5, 5, 5]},
    ],
)
def test_a_stored_mask_that_is_damaged_is_reported(change: dict) -> None:
    mask = AreaMask(Region(0, 0, 1290, 2499), (100.0, 100.0), np.ones((13, 25), bool))
    with pytest.raises(InputError, match="cannot be read"):
        mask_from_dict(mask_to_dict(mask) | change, (1290, 2499))
    for nothing in (None, 7, [], "mask"):
        with pytest.raises(InputError, match="cannot be read"):
            mask_from_dict(nothing, (1290, 2499))


def test_a_new_mask_is_full_or_empty_with_cells_that_suit_the_slide() -> None:
    for shape in ((200_000, 200_000), (1200, 1600), (7, 9_000_000), (1, 1)):
        empty, whole = open_mask(shape, scan=False), open_mask(shape, scan=True)
        assert not empty.scan.any() and whole.scan.all()
        assert max(empty.scan.shape) <= 1025 and min(empty.cell_px) >= 32
        assert mask_from_dict(mask_to_dict(empty), shape).fingerprint == empty.fingerprint
        grid = TileGrid(whole.region, 512, 64)
        assert whole.tile_count(grid) == len(grid) and empty.tile_count(grid) == 0


def test_the_number_of_tiles_agrees_with_the_tiles() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        mask = AreaMask(Region(0, 0, 900, 1300), (31.0, 47.0), rng.random((30, 28)) > rng.random())
        grid = TileGrid(Region(*rng.integers(0, 300, 2), *rng.integers(400, 900, 2)), int(rng.integers(20, 400)), 10)
        assert mask.tile_count(grid) == len(mask.tiles(grid))
        for tile in rng.choice(len(grid), 5):
            y0, x0, y1, x1 = (grid[tile].y0, grid[tile].x0, grid[tile].y1, grid[tile].x1)
            cells = mask.scan[int(y0 // 31) : -int(-y1 // 31), int(x0 // 47) : -int(-x1 // 47)]
            assert (tile in mask.tiles(grid)) == bool(cells.any())


def test_the_search_for_material_reports_progress_and_stops_when_asked() -> None:
    # only the coarse level exists, in many parts: however slow this thread is, they are not all read when it checks
    material = np.random.default_rng(0).integers(0, 255, (1536, 1536, 3), np.uint8)
    mosaic = PyramidInMemory(in_resin(material, margin=1152), finer=2)
    region = Region(0, 0, *mosaic.shape)
    job = material_job(mosaic, region, scale=(1.0, 1.0))
    first = next(job)
    assert 0 < first.done < first.total and first.unit == "parts"
    job.close()
    read = len(mosaic.read_levels)
    assert read < first.total, "parts that were not started are not read"
    mask = find_material(mosaic, region, scale=(1.0, 1.0))
    assert mask is not None and 0.1 < mask.scan.mean() < 0.3


def test_boxes_that_reach_into_the_area_belong_to_it() -> None:
    scan = np.zeros((4, 6), bool)
    scan[1, 2] = True
    mask = AreaMask(Region(100, 200, 500, 800), (100.0, 100.0), scan)  # scans y 200-300, x 400-500
    boxes = [
        (210, 410, 220, 420),
        (290, 490, 310, 510),
        (150, 350, 450, 600),
        (300, 400, 310, 420),
        (210, 380, 220, 400),
    ]
    rows = np.array(boxes, np.dtype([(name, "f4") for name in ("y0", "x0", "y1", "x1")]))
    assert mask.touches(rows).tolist() == [True, True, True, False, False]
    assert mask.touches(rows[:0]).tolist() == []
