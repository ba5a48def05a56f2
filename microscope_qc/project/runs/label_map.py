"""Classes of places as a map over the slide, kept in a run's folder and filled tile by tile. Without torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import write_error
from microscope_qc.core.geometry import Region
from microscope_qc.project.runs.map_card import MapCard, read_map_card

LABELS_NAME = "labels.npy"
LABELS_CARD_NAME = "labels.json"


class LabelMap:
    """The map of a run; readers see what has been written so far.

    The file holds one number for every cell: 0 where nothing was scanned yet, else one more than the index of the
    class. Where tiles overlap, each writes only its own part, so that computing a tile twice changes nothing.
    """

    def __init__(self, folder: Path, card: MapCard, values: np.ndarray) -> None:
        self.folder, self.card, self._values = folder, card, values

    @classmethod
    def create(cls, folder: Path, card: MapCard) -> LabelMap:
        """Make the file, or continue an existing one that has the same cells."""
        path = folder / LABELS_NAME
        try:
            if path.exists() and read_map_card(folder / LABELS_CARD_NAME) == card:
                return cls(folder, card, np.load(path, mmap_mode="r+"))
            kind = np.uint8 if len(card.classes) < 255 else np.uint16
            values = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=card.shape)
        except OSError as error:
            raise write_error(path, error) from error
        card.write(folder / LABELS_CARD_NAME)
        return cls(folder, card, values)

    @classmethod
    def open(cls, folder: Path) -> LabelMap | None:
        """Return the map of a run, None where it has none.

        Raises
        ------
        ProjectError
            When it is damaged.
        """
        if not (folder / LABELS_CARD_NAME).exists():
            return None
        card = read_map_card(folder / LABELS_CARD_NAME)
        try:
            values = np.load(folder / LABELS_NAME, mmap_mode="r")
            if card is None or values.shape != card.shape or values.dtype not in (np.uint8, np.uint16):
                raise ValueError("file and card do not fit")
        except (OSError, ValueError) as error:
            raise ProjectError(
                f"The label map in {folder} is damaged ({error}).", hint="Run the model again."
            ) from error
        return cls(folder, card, values)

    def add(
        self,
        own: tuple[float, float, float, float],
        frame: Region,
        labels: np.ndarray,
        *,
        start_px: tuple[float, float],
        step_px: tuple[float, float],
    ) -> None:
        """Write the labels of a tile.

        Parameters
        ----------
        own
            Part of the slide that this tile describes: y0, x0, y1, x1 in full-resolution pixels.
        frame
            The tile.
        labels : ndarray of int, (rows, columns)
            Indices of classes; every cell of the map in ``own`` takes that of the nearest one.
        start_px, step_px
            First cell's corner in the tile, and size of its cells, (y, x) in full-resolution pixels.
        """
        target, source = [], []
        for axis, corner in enumerate((frame.y0, frame.x0)):
            origin, cell, count = self.card.origin_px[axis], self.card.cell_px[axis], self.card.shape[axis]
            first, stop = (math.ceil((edge - origin) / cell - 0.5) for edge in (own[axis], own[axis + 2]))
            if own[axis + 2] > origin + cell * (count - 1):  # the centre of the last cell may be outside the region
                stop = count
            cells = np.arange(max(0, first), min(count, stop))
            middle = origin + cell * (cells + 0.5)
            nearest = np.floor((middle - corner - start_px[axis]) / step_px[axis]).astype(int)
            target.append(cells)
            source.append(np.clip(nearest, 0, labels.shape[axis] - 1))
        if min(len(cells) for cells in target):
            y, x = (slice(int(cells[0]), int(cells[-1]) + 1) for cells in target)
            self._values[y, x] = labels[np.ix_(source[0], source[1])].astype(np.int64) + 1

    def read(self, region: Region | None = None) -> np.ndarray:
        """Indices of classes, int32 (rows, columns), of the cells that touch a region; -1 where nothing was scanned.

        Parameters
        ----------
        region
            In full-resolution pixels; None is everything.
        """
        return self._values[self.card.cells_of(region)].astype(np.int32) - 1

    def flush(self) -> None:
        """Write everything to the disk."""
        if isinstance(self._values, np.memmap):
            self._values.flush()
