"""Slides of which parts were scanned or declared, painted pixel by pixel beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.mask_files import write_mask
from microscope_qc.project.runs.plan import RunPlan

HEIGHT, WIDTH = SHAPE = (90, 130)
SIZE_UM = (2.0, 3.0)
PX_MM2 = SIZE_UM[0] * SIZE_UM[1] / 1e6
ACP, AOP, AFP = 1, 2, 3
CODES = {ACP: "ACP", AOP: "AOP", AFP: "AFP"}
TILE, OVERLAP = 30, 10


def make(folder: Path, *, slides: int = 1) -> Project:
    rng = np.random.default_rng(3)
    files = []
    for number in range(slides):
        files.append(folder / f"S{number + 1}.png")
        Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(files[-1])
    made = Project.create(folder / "cell.mqc", slides=files)
    for slide in made.slides:
        made.slides.set_pixel_size(slide.id, SIZE_UM)
    return made


class Painted:
    """What was scanned or declared for a class, pixel by pixel."""

    def __init__(self) -> None:
        self.of: dict[int, np.ndarray] = {number: np.zeros(SHAPE, bool) for number in CODES}

    def add(self, pixels: np.ndarray, classes: Sequence[int]) -> None:
        for number in classes:
            self.of[number] |= pixels


def scan(
    project: Project,
    painted: Painted | None,
    region: Region,
    classes: Sequence[int],
    *,
    cells: np.ndarray | None = None,
    damaged: Sequence[int] = (),
    undone: Sequence[int] = (),
    shown: bool = True,
    slide: int = 0,
) -> int:
    """A run with its folder, as a detection leaves it; ``cells`` of 10 x 10 px are scanned, all without it."""
    codes = tuple(CODES[number] for number in classes)
    plan = RunPlan(model="m", model_name="m", region=region, tile_px=TILE, overlap_px=OVERLAP, classes=codes)
    run = project.runs.start(project.slides[slide].id, plan)
    project.runs.know_classes(run.id, dict(enumerate(classes)))
    grid = TileGrid(region, TILE, OVERLAP)
    mask = None
    pixels = np.zeros(SHAPE, bool)
    pixels[region.y0 : region.y1, region.x0 : region.x1] = True
    if cells is not None:
        mask = AreaMask(Region(0, 0, *SHAPE), (10.0, 10.0), cells)
        pixels &= np.kron(cells, np.ones((10, 10), bool))
    write_mask(run.folder, mask)
    wanted = range(len(grid)) if mask is None else mask.tiles(grid)
    writer = JournalWriter(run.folder)
    writer.empty(sorted(set(range(len(grid))) - set(wanted)))
    for tile in wanted:
        if tile in undone or tile in damaged:
            place = grid[tile]
            pixels[place.y0 : place.y1, place.x0 : place.x1] = False
        if tile in damaged:
            writer.error(tile, "it could not be read")
        elif tile not in undone:
            writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
    writer.close()
    project.runs.finish(run.id, "stopped" if undone else "finished")
    if shown and painted is not None:
        painted.add(pixels, classes)
    elif not shown:
        project.runs.show(run.id, False)
    return run.id


CELLS = np.zeros((9, 13), bool)
CELLS[2:7, 3:11] = True
CELLS[4, 5] = False
