"""Writes what a run found into its folder: heat map first, then the journal; a tile counts when both are there."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microscope_qc.ml.engine.pipeline import Pipeline, TileRecord
from microscope_qc.ml.tasks.base import CellGrid
from microscope_qc.project.runs.heatmap import HeatCard, HeatMap
from microscope_qc.project.runs.journal import JournalWriter, read_journal, read_tile_errors


class RunWriter:
    """The one writer of a run; a tile that is done already is not written again.

    Attributes
    ----------
    done, damaged
        Numbers of the tiles that are finished, and of those among them that could not be read.
    """

    def __init__(self, folder: Path, *, tiles: int) -> None:
        self._folder = folder
        self.done = {tile for tile, _ in read_journal(folder)[0] if 0 <= tile < tiles}
        self.damaged = {tile for tile in read_tile_errors(folder) if 0 <= tile < tiles}
        self._journal = JournalWriter(folder)
        self._heat: HeatMap | None = None
        self._cells: CellGrid | None = None
        self._scale = (1.0, 1.0)
        self._lock = threading.Lock()

    def keep_maps(self, pipeline: Pipeline) -> None:
        """Make the heat map, when the model gives one."""
        if pipeline.task.heat is None:
            return
        self._cells, self._scale = pipeline.task.heat, pipeline.scale
        region = pipeline.grid.region
        cell = (self._cells.cell_px * self._scale[0], self._cells.cell_px * self._scale[1])
        # cells of the map lie on those of the tiles that begin with the region
        before = -self._cells.start_px % self._cells.cell_px
        origin = (region.y0 - before * self._scale[0], region.x0 - before * self._scale[1])
        card = HeatCard(
            origin_px=origin,
            cell_px=cell,
            shape=(math.ceil((region.y1 - origin[0]) / cell[0]), math.ceil((region.x1 - origin[1]) / cell[1])),
            classes=tuple(pipeline.task.card.classes),
        )
        self._heat = HeatMap.create(self._folder, card)

    def skip(self, tiles: Sequence[int]) -> None:
        """Count tiles as finished because nothing but resin or emptiness is there."""
        new = [tile for tile in tiles if tile not in self.done]
        if new:
            self._journal.empty(new)
            self.done.update(new)

    def take(self, records: Sequence[TileRecord]) -> None:
        """Write finished tiles."""
        with self._lock:
            for record in records:
                if record.index in self.done:
                    continue
                if record.candidates is None:
                    self._journal.error(record.index, record.error)
                    self.damaged.add(record.index)
                else:
                    self._warm(record)
                    self._journal.tile(record.index, record.candidates)
                self.done.add(record.index)

    def _warm(self, record: TileRecord) -> None:
        if self._heat is None or self._cells is None or record.heat is None or record.frame is None:
            return
        start, step = (
            (length * self._scale[0], length * self._scale[1]) for length in (self._cells.start_px, self._cells.cell_px)
        )
        self._heat.add(record.frame, np.asarray(record.heat), start_px=start, step_px=step)

    def close(self) -> None:
        """Bring everything to the disk."""
        try:
            if self._heat is not None:
                self._heat.flush()
        finally:
            self._journal.close()
