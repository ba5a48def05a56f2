"""Compares the scores of windows with the truth of a data set: whole pictures where these have a class, else windows.

A picture's score of a class is that of its strongest window, and of an anomaly model that looks at places the mean of
the strongest away from the border; a model that has learned from whole pictures sees each as one window. Windows of
slides are taken side by side, and have the classes of
:func:`microscope_qc.ml.datasets.window_labels.window_labels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset
from microscope_qc.ml.datasets.window_labels import window_labels
from microscope_qc.ml.evaluation.classification import ClassTally
from microscope_qc.ml.evaluation.unusual_pictures import LARGEST_CELL_PX, away_from_border, picture_score
from microscope_qc.ml.tiling import model_tile_shape, slide_scale, tile_size

_HALF = 0.5
_PLACE_WINDOWS = 8
"""Side of a place of a large image, in windows."""


class Scorer(Protocol):
    """Scores the windows of images at its card's pixel size."""

    card: ModelCard

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Confidence of each class in each window of an image, uint8 (h, w, 3): (classes, rows, columns)."""


def tally_windows(scorer: Scorer, dataset: Dataset) -> Job[ClassTally]:
    """Compare the scores of a classifier with a data set, whose labels are indices into the classes of the model.

    Where some pictures have a class as a whole, those that have none are left out.
    """
    tally = ClassTally(list(dataset.classes))
    whole = any(image.whole is not None for image in dataset.images)
    groups: dict[str, int] = {}
    for number, image in enumerate(dataset.images):
        yield Progress(number, len(dataset.images), "pictures", image.path.name)
        if whole:
            if image.whole is not None:
                scores = _picture_scores(scorer, image)
                label = len(dataset.classes) if image.whole == NO_CLASS else image.whole
                tally.add(scores[None], np.array([label]), np.array([groups.setdefault(image.key, len(groups))]))
            continue
        for seen in _heats(scorer, image, side_by_side=True):
            _add_windows(tally, scorer.card, image, seen=seen, first_place=number << 32)
    yield Progress(len(dataset.images), len(dataset.images), "pictures")
    return tally


def _picture_scores(scorer: Scorer, image: AnnotatedImage) -> np.ndarray:
    """Confidence of each class in a picture, (classes,)."""
    windows = scorer.card.windows
    if scorer.card.anomaly is not None and windows is not None and windows.stride_px <= LARGEST_CELL_PX:
        return _unusual(scorer, image, windows.stride_px)
    if windows is None or windows.input_px is None:
        strongest: np.ndarray = np.max([seen.heat.max(axis=(1, 2)) for seen in _heats(scorer, image)], axis=0)
        return strongest
    side = windows.window_px
    with image.opened() as mosaic:
        return scorer.scores(mosaic.read_scaled(Region(*image.area), (side, side)))[:, 0, 0]


def _unusual(scorer: Scorer, image: AnnotatedImage, cell_px: int) -> np.ndarray:
    """How unusual a picture is, (1,); each of its places counts once."""
    y0, x0, y1, x1 = image.area
    parts = []
    for seen in _heats(scorer, image):
        inside = []
        for axis, (low, high) in enumerate(((y0, y1), (x0, x1))):
            start = (seen.tile.y0, seen.tile.x0)[axis] - low
            middles = start + (np.arange(seen.heat.shape[1 + axis]) + 0.5) * cell_px * seen.scale[axis]
            new = middles >= seen.new_from[axis] - low
            inside.append(new & away_from_border(middles / seen.scale[axis], (high - low) / seen.scale[axis]))
        parts.append(seen.heat.max(axis=0)[np.ix_(*inside)].ravel())
    return np.array([picture_score(np.concatenate(parts))])


@dataclass(frozen=True, slots=True)
class _SeenTile:
    """A tile, the scores (classes, rows, columns) of its windows, and how many slide pixels a model pixel has.

    Windows that begin before ``new_from`` (y, x) are in another tile too.
    """

    tile: Region
    heat: np.ndarray
    scale: tuple[float, float]
    new_from: tuple[int, int]


def _heats(scorer: Scorer, image: AnnotatedImage, *, side_by_side: bool = False) -> Iterator[_SeenTile]:
    card = scorer.card
    with image.opened() as mosaic:
        scale = slide_scale(card.pixel_size_um, image.pixel_size_um or mosaic.pixel_size_um)
        side, overlap = tile_size(card.tile_px, card.overlap_px, scale=scale)
        grid = TileGrid(Region(*image.area), side, 0 if side_by_side else overlap)
        rows, columns = (starts.tolist() for starts in grid.starts)
        for tile in grid:
            row, column = rows.index(tile.y0), columns.index(tile.x0)
            new_from = (rows[row - 1] + side if row else tile.y0, columns[column - 1] + side if column else tile.x0)
            heat = scorer.scores(mosaic.read_scaled(tile, model_tile_shape(tile, scale)))
            yield _SeenTile(tile, heat, scale, new_from)


def _add_windows(
    tally: ClassTally, card: ModelCard, image: AnnotatedImage, *, seen: _SeenTile, first_place: int
) -> None:
    windows, tile, scale = card.windows, seen.tile, np.array(seen.scale)
    assert windows is not None  # models that slide windows have them
    every = math.ceil(windows.window_px / windows.stride_px)
    places = (np.arange(0, length, every) for length in seen.heat.shape[1:])
    rows, columns = (axis.ravel() for axis in np.meshgrid(*places, indexing="ij"))
    start = np.stack([rows, columns], axis=1) * windows.stride_px * scale + [tile.y0, tile.x0]
    boxes = np.concatenate([start, start + windows.window_px * scale], axis=1)
    inside = (boxes[:, 2:] <= np.array([tile.y1, tile.x1]) + _HALF).all(axis=1)
    new = (start >= np.array(seen.new_from) - _HALF).all(axis=1)
    labels, counts = window_labels(boxes, image, none=len(tally.classes))
    kept = inside & new & counts
    place = np.floor(start / (windows.window_px * _PLACE_WINDOWS * scale)).astype(np.int64)
    numbers = first_place + (place[:, 0] << 16) + place[:, 1]
    tally.add(seen.heat[:, rows, columns].T[kept], labels[kept], numbers[kept])
