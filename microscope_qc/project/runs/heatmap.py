"""Scores of places as a map over the slide, kept in a run's folder and filled tile by tile. Without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import write_error
from microscope_qc.core.geometry import Region
from microscope_qc.project.runs.map_card import MapCard, read_map_card

HEAT_NAME = "heat.npy"
HEAT_CARD_NAME = "heat.json"
_LEAST = 1e-4
"""Lowest score that is stored; 0 marks cells that were not scanned."""
_STRIP_CELLS = 1 << 22
"""Cells that are read at a time for a picture."""


@dataclass(frozen=True, slots=True)
class HeatExcerpt:
    """Scores, float32 (rows, columns), NaN where nothing was scanned.

    ``step``: cells of the map, along each side, that are one here. ``bounds_px``: y0, x0, y1, x1 of the map's cells
    that are shown, in full-resolution pixels; the last row and column of ``scores`` may reach beyond.
    """

    scores: np.ndarray
    step: int
    bounds_px: tuple[float, float, float, float]


class HeatMap:
    """The map of a run; readers see what has been written so far.

    The file holds one number for every class and cell, 0 where nothing was scanned. A cell that several windows or
    tiles score keeps the highest score, so that computing a tile twice changes nothing.
    """

    def __init__(self, folder: Path, card: MapCard, values: np.ndarray) -> None:
        self.folder, self.card, self._values = folder, card, values

    @classmethod
    def create(cls, folder: Path, card: MapCard) -> HeatMap:
        """Make the file, or continue an existing one that has the same cells."""
        path = folder / HEAT_NAME
        shape = (len(card.classes), *card.shape)
        try:
            if path.exists() and read_map_card(folder / HEAT_CARD_NAME) == card:
                return cls(folder, card, np.load(path, mmap_mode="r+"))
            values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        except OSError as error:
            raise write_error(path, error) from error
        card.write(folder / HEAT_CARD_NAME)
        return cls(folder, card, values)

    @classmethod
    def open(cls, folder: Path) -> HeatMap | None:
        """Return the map of a run, None where it has none.

        Raises
        ------
        ProjectError
            When it is damaged.
        """
        if not (folder / HEAT_CARD_NAME).exists():
            return None
        card = read_map_card(folder / HEAT_CARD_NAME)
        try:
            values = np.load(folder / HEAT_NAME, mmap_mode="r")
            if card is None or values.shape != (len(card.classes), *card.shape) or values.dtype != np.float16:
                raise ValueError("file and card do not fit")
        except (OSError, ValueError) as error:
            raise ProjectError(
                f"The score map in {folder} is damaged ({error}).", hint="Run the model again."
            ) from error
        return cls(folder, card, values)

    def add(
        self, frame: Region, heat: np.ndarray, *, start_px: tuple[float, float], step_px: tuple[float, float]
    ) -> None:
        """Write the scores of a tile.

        Parameters
        ----------
        frame
            The tile.
        heat : ndarray, (classes, rows, columns)
        start_px, step_px
            First cell's corner in the tile, and size of its cells, (y, x) in full-resolution pixels.
        """
        heat, start_px = self._to_the_edge(frame, heat, start_px, step_px)
        index = []
        for axis, corner in enumerate((frame.y0, frame.x0)):
            middle = corner + start_px[axis] + step_px[axis] * (np.arange(heat.shape[axis + 1]) + 0.5)
            cell = np.floor((middle - self.card.origin_px[axis]) / self.card.cell_px[axis]).astype(int)
            index.append(np.clip(cell, 0, self.card.shape[axis] - 1))
        y, x = (slice(int(cells[0]), int(cells[-1]) + 1) for cells in index)
        scores = np.zeros((len(heat), y.stop - y.start, x.stop - x.start), np.float16)
        rows, columns = np.meshgrid(index[0] - y.start, index[1] - x.start, indexing="ij")
        for plane, target in zip(np.maximum(heat, _LEAST).astype(np.float16), scores, strict=True):
            np.maximum.at(target, (rows, columns), plane)
        part = self._values[:, y, x]
        np.maximum(part, scores, out=part)

    def _to_the_edge(
        self, frame: Region, heat: np.ndarray, start_px: tuple[float, float], step_px: tuple[float, float]
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Extend the scores of a tile to the edge of the map, where no window has its centre."""
        widths, start = [(0, 0)], []
        for axis, (first, last) in enumerate(((frame.y0, frame.y1), (frame.x0, frame.x1))):
            low, step = self.card.origin_px[axis], step_px[axis]
            high = low + self.card.cell_px[axis] * self.card.shape[axis]
            before = math.ceil(start_px[axis] / step - 1e-6) if first - low < step else 0
            after = math.ceil(start_px[axis] / step - 1e-6) if high - last < step else 0
            widths.append((before, after))
            start.append(start_px[axis] - before * step)
        return np.pad(heat, widths, mode="edge"), (start[0], start[1])

    def read(self, region: Region | None = None, *, label: int | None = None) -> np.ndarray:
        """Scores, float32 (rows, columns), of the cells that touch a region; NaN where nothing was scanned.

        Parameters
        ----------
        region
            In full-resolution pixels; None is everything.
        label
            Index of the class; None is the highest of all classes.
        """
        y, x = self.card.cells_of(region)
        part = self._values[:, y, x] if label is None else self._values[label : label + 1, y, x]
        scores: Floats = np.asarray(part, np.float32).max(axis=0)
        scores[scores == 0] = np.nan
        return scores

    def rows(self, down: slice, *, label: int = 0) -> np.ndarray:
        """Scores, float32 (rows, columns), of some rows of cells, so that large maps are read in strips; 0 where
        nothing was scanned."""
        return np.asarray(self._values[label, down], np.float32)

    def picture(self, longest_px: int, *, label: int | None = None, region: Region | None = None) -> np.ndarray:
        """Return the scores of :meth:`excerpt` alone."""
        return self.excerpt(longest_px, label=label, region=region).scores

    def excerpt(self, longest_px: int, *, label: int | None = None, region: Region | None = None) -> HeatExcerpt:
        """Part of the map with at most ``longest_px`` cells along its longer side; each shows its highest score.

        Maps of any size are read in strips, so that little more than the result is in memory.

        Parameters
        ----------
        label
            Index of the class; None is the highest of all classes.
        region
            In full-resolution pixels, all cells that touch it; None is everything.
        """
        down, along = self.card.cells_of(region)
        rows, columns = down.stop - down.start, along.stop - along.start
        step = -(-max(rows, columns) // longest_px)
        # scores are never negative: their bits, read as integers, have the same order and compare much faster
        bits = self._values.view(np.uint16)
        planes = bits if label is None else bits[label : label + 1]
        across = -(-columns // step) * step
        found = np.zeros((-(-rows // step), across // step), np.uint16)
        strip = max(1, _STRIP_CELLS // (across * step * len(planes)))
        for start in range(0, len(found), strip):
            y0 = down.start + start * step
            part = planes[:, y0 : min(y0 + strip * step, down.stop), along].max(axis=0)
            padded = np.zeros((-(-len(part) // step) * step, across), np.uint16)
            padded[: part.shape[0], : part.shape[1]] = part
            found[start : start + strip] = padded.reshape(-1, step, across // step, step).max(axis=(1, 3))
        scores = found.view(np.float16).astype(np.float32)
        scores[scores == 0] = np.nan
        (y, x), (height, width) = self.card.origin_px, self.card.cell_px
        return HeatExcerpt(
            scores, step,
            (y + down.start * height, x + along.start * width, y + down.stop * height, x + along.stop * width),
        )  # fmt: skip

    def flush(self) -> None:
        """Write everything to the disk."""
        if isinstance(self._values, np.memmap):
            self._values.flush()
