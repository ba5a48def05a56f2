"""How long the densities of a slide take: ``python tests/benchmarks/densities.py [FINDINGS]``.

A slide of 100,000 x 100,000 pixels with 100,000 findings, a run within a mask of 1024 x 1024 cells and with damaged
tiles, another run over a part of it, and a declared area. Prints seconds, first and again when nothing changed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.mask_files import write_mask
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.results.statistics import project_statistics

SIDE, TILE, OVERLAP, CELLS = 100_000, 1024, 128, 1024


def scan(project: Project, region: Region, *, mask: AreaMask | None = None) -> None:
    """A finished run with its folder; every hundredth tile could not be read."""
    plan = RunPlan(model="m", region=region, tile_px=TILE, overlap_px=OVERLAP)
    run = project.runs.start(project.slides[0].id, plan)
    project.runs.know_classes(run.id, {label: label + 1 for label in range(10)})
    write_mask(run.folder, mask)
    writer = JournalWriter(run.folder)
    for tile in range(len(TileGrid(region, TILE, OVERLAP))):
        if tile % 100:
            writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
        else:
            writer.error(tile, "it could not be read")
    writer.close()
    project.runs.finish(run.id, "finished")


def main(count: int, folder: Path) -> None:
    """Make the project, then time its statistics."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(folder / "slide.png")
    with Project.create(folder / "densities") as project:
        facts = SceneFacts(folder / "slide.png", None, "0" * 16, (SIDE, SIDE), (0.3, 0.3))
        slide = project.slides.add_scenes([facts]).id
        y, x = rng.random((2, count)) * (SIDE - 50)
        project.boxes.add(
            slide, make_rows(count, class_id=rng.integers(1, 11, count), y0=y, x0=x, y1=y + 40, x1=x + 40)
        )
        cell = SIDE / CELLS
        mask = AreaMask(Region(0, 0, SIDE, SIDE), (cell, cell), rng.random((CELLS, CELLS)) < 0.7)
        scan(project, Region(0, 0, SIDE, SIDE), mask=mask)
        scan(project, Region(1000, 2000, 60_001, 50_003))
        project.areas.declare(slide, [(5e3, 5e3), (9e4, 2e4), (8e4, 9.5e4), (2e4, 6e4)], [1, 2, 3])
        for what in ("first", "again"):
            start = time.perf_counter()
            found = project_statistics(project)["slides"][0]
            print(f"statistics of {count} findings, {what}: {time.perf_counter() - start:.2f} s")
        print(f"{found['area_mm2']:.3f} mm2, {found['per_mm2']:.3f} per mm2")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, Path(made))
