"""Both maps of a slide as one row of numbers for each cell of stride 16. No torch in here."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.geometry import Region
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE
from microscope_qc.ml.features.store import FeatureStore

LENGTH = sum(CHANNELS.values())


def features_of_cells(store: FeatureStore, cells: Region) -> Floats:
    """Features of all cells of a part of the map, float32 (rows, columns, 432).

    A cell looks at the pixel at its corner: one of stride 32 where every other one of stride 16 does. Between them the
    mean of the neighbours is taken. Beyond the slide the cells at its border are repeated.
    """
    rows, columns = (
        np.clip(np.arange(low, high), 0, length - 1)
        for low, high, length in zip((cells.y0, cells.x0), (cells.y1, cells.x1), store.grid.shape, strict=True)
    )
    seen = Region(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    features = np.empty((len(rows), len(columns), LENGTH), np.float32)
    fine = store.window(seen, FINE)
    features[..., : CHANNELS[FINE]] = fine[np.ix_(rows - seen.y0, columns - seen.x0)]
    height, width = store.grid.map_shape(COARSE)
    around = Region(seen.y0 // 2, seen.x0 // 2, min(seen.y1 // 2 + 1, height), min(seen.x1 // 2 + 1, width))
    coarse = store.window(around, COARSE).astype(np.float32)
    coarse = _between(coarse, rows, around.y0)
    coarse = _between(coarse.transpose(1, 0, 2), columns, around.x0).transpose(1, 0, 2)
    features[..., CHANNELS[FINE] :] = coarse
    return features


def _between(coarse: Floats, cells: np.ndarray, start: int) -> Floats:
    """Rows of the coarse map at cells of the fine one."""
    low = cells // 2 - start
    high = np.minimum(low + cells % 2, len(coarse) - 1)
    between: Floats = (coarse[low] + coarse[high]) / 2
    return between
