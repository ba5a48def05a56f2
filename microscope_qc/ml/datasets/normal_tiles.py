"""Tiles of pictures and slides in which nothing is marked, for models that learn what is normal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.matching import intersections
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.scaled import ScaledImages

_MOST_BYTES = 500_000_000
"""Memory for pictures; of those that do not fit only tiles are read."""


@dataclass(frozen=True, slots=True)
class NormalTile:
    """A tile at the model's pixel size.

    Attributes
    ----------
    pixels : ndarray, uint8 (h, w, 3)
    marked : ndarray, (n, 4)
        y0, x0, y1, x1 in its pixels of what is a defect, or of which nobody has said that it is none.
    """

    pixels: np.ndarray
    marked: np.ndarray

    def normal(self, rows: int, columns: int, *, cell_px: int) -> Flags:
        """Which of its places (rows, columns) touch nothing that is marked, nor have a neighbour that does."""
        free = np.ones((rows, columns), bool)
        for y0, x0, y1, x1 in self.marked / cell_px:
            top, left = max(0, int(np.floor(y0)) - 1), max(0, int(np.floor(x0)) - 1)
            free[top : int(np.ceil(y1)) + 1, left : int(np.ceil(x1)) + 1] = False
        return free


class NormalTiles:
    """At most ``most`` tiles of a data set, spread at random over all of it; always the same for a seed.

    Parameters
    ----------
    side_px
        Of the tiles, in pixels of the model; of smaller pictures the whole.
    """

    def __init__(self, dataset: Dataset, *, model_um: float | None, side_px: int, most: int, seed: int) -> None:
        self._images = ScaledImages(dataset.images, model_um, most_bytes=_MOST_BYTES)
        self._side = side_px
        places = [
            (number, y, x)
            for number, (height, width) in enumerate(self._images.shapes)
            for y in _starts(height, side_px)
            for x in _starts(width, side_px)
        ]
        chosen = np.random.default_rng([seed, 53]).permutation(len(places))[:most]
        # picture after picture: each is opened once
        self._places = [places[number] for number in sorted(chosen.tolist())]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[NormalTile]:
        for number, y, x in self._places:
            image = self._images.load(number)
            pixels = image.read(y, x, y + self._side, x + self._side)
            marked = np.concatenate([image.boxes, image.open_boxes]).reshape(-1, 4) - np.array([y, x, y, x], float)
            here = np.array([[0.0, 0.0, *pixels.shape[:2]]])
            yield NormalTile(pixels, marked[intersections(marked, here) > 0])


def _starts(length: int, side: int) -> list[int]:
    count = max(1, length // side)
    starts: list[int] = np.linspace(0, max(0, length - side), count).round().astype(int).tolist()
    return starts
