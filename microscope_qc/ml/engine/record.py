"""Writes the results of a run into its folder: maps first, then the journal, so that listed tiles are complete."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.ml.engine.pipeline import Pipeline, TileRecord
from microscope_qc.ml.tasks.base import CellGrid
from microscope_qc.ml.tiling import own_part
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.journal import JournalWriter, read_journal, read_tile_errors
from microscope_qc.project.runs.label_map import LabelMap
from microscope_qc.project.runs.map_card import MapCard

Pair = tuple[float, float]


class RunWriter:
    """The only writer of a run; a finished tile is not written again.

    Attributes
    ----------
    done, damaged
        Indices of the finished tiles, and of those among them that could not be read.
    """

    def __init__(self, folder: Path, *, tiles: int) -> None:
        self._folder = folder
        self.done = {tile for tile, _ in read_journal(folder)[0] if 0 <= tile < tiles}
        self.damaged = {tile for tile in read_tile_errors(folder) if 0 <= tile < tiles}
        self._journal = JournalWriter(folder)
        self._maps: _Maps | None = None
        self._lock = threading.Lock()

    def keep_maps(self, pipeline: Pipeline) -> None:
        """Create the maps that the model produces."""
        self._maps = _Maps(self._folder, pipeline)

    def skip(self, tiles: Sequence[int]) -> None:
        """Mark tiles as finished because they contain only resin or empty area."""
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
                    if self._maps is not None:
                        self._maps.add(record)
                    self._journal.tile(record.index, record.candidates)
                self.done.add(record.index)

    def close(self) -> None:
        """Flush everything to the disk."""
        try:
            if self._maps is not None:
                self._maps.flush()
        finally:
            self._journal.close()


class _Maps:
    """The maps of a run: scores, labels, or none."""

    def __init__(self, folder: Path, pipeline: Pipeline) -> None:
        task = pipeline.task
        self._grid, self._scale = pipeline.grid, pipeline.scale
        self._cells, self._label_cells, self._seams = task.heat, task.labels, task.seams
        self._task = task.card.task
        classes = tuple(task.card.classes)
        self._heat = None if task.heat is None else HeatMap.create(folder, self._card(task.heat, classes))
        self._labels = None if task.labels is None else LabelMap.create(folder, self._card(task.labels, classes))

    def _card(self, cells: CellGrid, classes: tuple[str, ...]) -> MapCard:
        grid: TileGrid = self._grid
        region, cell = grid.region, self._on_slide(cells.cell_px)
        # cells of the map coincide with those of the tiles that start at the corner of the region
        before = self._on_slide(-cells.start_px % cells.cell_px)
        origin = (region.y0 - before[0], region.x0 - before[1])
        rows, columns = math.ceil((region.y1 - origin[0]) / cell[0]), math.ceil((region.x1 - origin[1]) / cell[1])
        return MapCard(origin_px=origin, cell_px=cell, shape=(rows, columns), classes=classes, task=self._task)

    def _on_slide(self, length_px: float) -> Pair:
        return length_px * self._scale[0], length_px * self._scale[1]

    def add(self, record: TileRecord) -> None:
        """Write the maps of a tile."""
        if record.frame is None:
            return
        if self._heat is not None and self._cells is not None and record.heat is not None:
            start, step = self._on_slide(self._cells.start_px), self._on_slide(self._cells.cell_px)
            heat = np.asarray(record.heat)
            if self._seams:
                own = own_part(self._grid[record.index], self._grid, share=0.5)
                heat, start = own_cells(heat, record.frame, own, start_px=start, step_px=step)
            self._heat.add(record.frame, heat, start_px=start, step_px=step)
        if self._labels is not None and self._label_cells is not None and record.labels is not None:
            start, step = self._on_slide(self._label_cells.start_px), self._on_slide(self._label_cells.cell_px)
            own = own_part(self._grid[record.index], self._grid, share=0.5)
            self._labels.add(own, record.frame, np.asarray(record.labels), start_px=start, step_px=step)

    def flush(self) -> None:
        """Flush everything to the disk."""
        for written in (self._heat, self._labels):
            if written is not None:
                written.flush()


def own_cells(
    heat: np.ndarray, frame: Region, own: tuple[float, float, float, float], *, start_px: Pair, step_px: Pair
) -> tuple[np.ndarray, Pair]:
    """The cells of a tile with their middle in its own part, and where the first of them starts in the tile.

    Near its borders a tile knows less of what surrounds a place than its neighbour does.

    Parameters
    ----------
    heat : ndarray, (classes, rows, columns)
    own
        y0, x0, y1, x1 in full-resolution pixels, as ``frame``.
    start_px, step_px
        First cell's corner in the tile, and size of its cells (y, x).
    """
    kept, start = [], []
    for axis, corner in enumerate((frame.y0, frame.x0)):
        middle = corner + start_px[axis] + step_px[axis] * (np.arange(heat.shape[axis + 1]) + 0.5)
        # a cell may reach beyond the slide with its middle: its tile is the only one that has it
        first = int(np.searchsorted(middle, own[axis])) if own[axis] > corner else 0
        last = (frame.y1, frame.x1)[axis]
        end = int(np.searchsorted(middle, own[axis + 2])) if own[axis + 2] < last else heat.shape[axis + 1]
        kept.append(slice(first, end))
        start.append(start_px[axis] + first * step_px[axis])
    return heat[:, kept[0], kept[1]], (start[0], start[1])
