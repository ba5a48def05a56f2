"""Which tiles of a run are scanned, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.project.runs.mask_files import has_mask, read_mask, write_mask

if TYPE_CHECKING:
    from microscope_qc.ml.engine.pipeline import Pipeline


def wanted_tiles(folder: Path, pipeline: Pipeline) -> list[int]:
    """Tiles that a run scans; a mask that does not exist yet is made and stored."""
    if not has_mask(folder):
        made = None
        if pipeline.plan.skip_empty:
            from microscope_qc.slides.material import find_material

            made = find_material(pipeline.mosaic, pipeline.grid.region, scale=pipeline.scale)
        write_mask(folder, made)
    mask = read_mask(folder)
    return list(range(len(pipeline.grid))) if mask is None else mask.tiles(pipeline.grid)


def in_view_first(groups: Sequence[list[int]], grid: TileGrid, view: Region) -> list[list[int]]:
    """Batches of tiles with those first that show something of ``view``; otherwise in the order they have."""
    tops, lefts = grid.starts
    rows = (tops < view.y1) & (tops + grid.tile_px > view.y0)
    columns = (lefts < view.x1) & (lefts + grid.tile_px > view.x0)
    seen = np.outer(rows, columns).ravel()
    return sorted(groups, key=lambda group: not seen[group].any())
