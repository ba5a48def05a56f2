"""Projects of small scanned slides with findings of a run, for numbers of groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.plan import RunPlan

SIDE, SIZE_UM = 400, 5.0
MM2 = (SIDE * SIZE_UM / 1000) ** 2
CODES = ("ACP", "AOP", "COP")


def make(path: Path, *, slides: int, pixel_size_um: float | None = SIZE_UM) -> Project:
    files = []
    for number in range(slides):
        files.append(path.with_name(f"{path.stem} {number}.png"))
        Image.fromarray(np.full((SIDE, SIDE), number, np.uint8)).save(files[-1])
    made = Project.create(path, slides=files)
    for slide in made.slides:
        made.slides.set_pixel_size(slide.id, pixel_size_um)
    return made


def scan(project: Project, slide: int, codes: Sequence[str] = CODES, model: str = "m") -> int:
    """A finished run over the whole slide."""
    region = Region(0, 0, SIDE, SIDE)
    plan = RunPlan(model=model, model_name=model, region=region, tile_px=200, overlap_px=0, classes=tuple(codes))
    run = project.runs.start(project.slides[slide].id, plan)
    project.runs.know_classes(run.id, {n: project.classes.by_code(code).id for n, code in enumerate(codes)})
    writer = JournalWriter(run.folder)
    for tile in range(len(TileGrid(region, 200, 0))):
        writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
    writer.close()
    project.runs.finish(run.id, "finished")
    return run.id


def places(count: int) -> dict[str, np.ndarray]:
    """Boxes apart from each other, with sides of 4 to 12 px."""
    y, x = np.divmod(np.arange(count), 24)
    side = 4 + np.arange(count) % 9
    return {"y0": y * 16.0, "x0": x * 16.0, "y1": y * 16.0 + side, "x1": x * 16.0 + 3}


def detect(project: Project, slide: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Findings of a run; returns their numbers."""
    rng = np.random.default_rng([seed, slide])
    ids = [project.classes.by_code(code).id for code in CODES]
    rows = make_rows(count, class_id=rng.choice(ids, count), confidence=rng.uniform(0.05, 1, count), **places(count))
    return project.runs.add_findings(scan(project, slide), rows)
