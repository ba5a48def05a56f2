"""Where a run has looked: in its region, where its mask says, in tiles that are done and could be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.ml.tiling import merge_settings
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import read_status, tiles_looked_at
from microscope_qc.project.runs.mask_files import read_mask


@dataclass(frozen=True, slots=True)
class Looked:
    """Where a run has looked; None stands for everywhere.

    ``missing`` (rows, columns) says which tiles of ``grid`` are not done or could not be read; a find that comes within
    ``reach_px`` of one is not told before that tile is.
    """

    region: Region | None = None
    mask: AreaMask | None = None
    grid: TileGrid | None = None
    missing: np.ndarray | None = None
    reach_px: float = 0.0

    def surely(self, boxes: np.ndarray) -> np.ndarray:
        """Of which boxes (N, 4; y0, x0, y1, x1) it is sure that the run would have found them.

        Their middle lies where it looked, and nothing within reach is missing.
        """
        inside = np.ones(len(boxes), bool)
        y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        if self.region is not None:
            inside &= (y >= self.region.y0) & (y < self.region.y1) & (x >= self.region.x0) & (x < self.region.x1)
        if self.mask is not None:
            inside &= self.mask.at(y, x)
        if self.grid is None or self.missing is None:
            return inside
        return inside & ~self.grid.near(self.missing, boxes, margin_px=self.reach_px)

    def perhaps(self, boxes: np.ndarray) -> np.ndarray:
        """Which boxes reach into where the run was to look."""
        inside = np.ones(len(boxes), bool)
        if self.region is not None:
            low, high = (self.region.y0, self.region.x0), (self.region.y1, self.region.x1)
            inside &= (boxes[:, :2] < high).all(axis=1) & (boxes[:, 2:] > low).all(axis=1)
        if self.mask is not None:
            inside &= self.mask.touches(dict(zip(("y0", "x0", "y1", "x1"), boxes.T, strict=True)))
        return inside


def read_looked(run: RunRecord) -> Looked:
    """Where a run has looked, from its plan and its folder; any thread may call this.

    Raises
    ------
    ProjectError
        When its mask is damaged.
    """
    region = run.plan.region
    mask = read_mask(run.folder)
    status = read_status(run.folder)
    total = status.get("tiles_total")
    if run.state == "finished" and total and status.get("tiles_done") == total and not status.get("tiles_damaged"):
        return Looked(region, mask)
    done = tiles_looked_at(run.folder)
    try:
        grid = run.plan.grid()
    except ProjectError:  # a run of another program: it says nothing of tiles
        return Looked(region, mask)
    if done is None:
        return Looked(region, mask)
    missing = np.ones(len(grid), bool)
    missing[done[done < len(grid)]] = False
    if not missing.any():
        return Looked(region, mask)
    reach = 3 * merge_settings(run.plan.scale).border_px
    return Looked(region, mask, grid, missing.reshape(grid.rows, grid.columns), reach)
