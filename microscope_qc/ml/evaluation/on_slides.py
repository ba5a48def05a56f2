"""Runs a detector over the annotated slides of a data set, tile by tile, as detection does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tiling import in_valid_area, merge_settings, model_tile_shape, slide_scale, tile_size, to_slide


class Finder(Protocol):
    """Finds boxes in pictures at its card's pixel size."""

    card: ModelCard

    def find(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Candidates (CANDIDATE_DTYPE) of pictures, uint8 (h, w, 3), in the pixels of each."""


def detection_report(tally: Tally, *, confidence: float | None = None, iou: float = 0.5) -> Report:
    """All metrics of a tally at one threshold, by default the best one."""
    at = tally.best_confidence(iou=iou) if confidence is None else confidence
    values = tally.report(confidence=at, iou=iou)
    tables = {"confusion": values.pop("confusion")}
    return Report(values.pop("confidence"), per_class=values.pop("per_class"), figures=values, tables=tables)


def tally_dataset(finder: Finder, dataset: Dataset, *, batch: int = 8) -> Job[Tally]:
    """Compare findings with the truth of a data set.

    Parameters
    ----------
    dataset : Dataset
        Labels must be indices into the classes of the finder's card.
    batch
        Number of tiles computed at once.
    """
    tally = Tally(list(dataset.classes))
    for number, picture in enumerate(dataset.pictures):
        yield Progress(number, len(dataset.pictures), "pictures", picture.path.name)
        found = find_in_picture(finder, picture, batch=batch)
        boxes = np.stack([found[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        tally.add(
            boxes=boxes, labels=found["label"], confidence=found["confidence"],
            truth=picture.boxes, truth_labels=picture.labels,
        )  # fmt: skip
    yield Progress(len(dataset.pictures), len(dataset.pictures), "pictures")
    return tally


def find_in_picture(finder: Finder, picture: AnnotatedImage, *, batch: int = 8) -> np.ndarray:
    """Merged findings (CANDIDATE_DTYPE) in one picture, in full-resolution pixels."""
    from microscope_qc.slides import open_slide

    card = finder.card
    with open_slide(picture.path) as slide:
        mosaic = slide.scene(None)
        scale = slide_scale(card.pixel_size_um, picture.pixel_size_um or mosaic.pixel_size_um)
        side, overlap = tile_size(card.tile_px, card.overlap_px, scale=scale)
        grid = TileGrid(Region(*picture.area), side, overlap)
        tiles = list(grid)
        found = [np.zeros(0, CANDIDATE_DTYPE)]
        for start in range(0, len(tiles), batch):
            part = tiles[start : start + batch]
            pictures = [mosaic.read_scaled(tile, model_tile_shape(tile, scale)) for tile in part]
            for offset, rows in enumerate(finder.find(pictures)):
                shape = pictures[offset].shape[:2]
                placed = to_slide(rows, part[offset], shape=(shape[0], shape[1]), index=start + offset)
                found.append(placed[in_valid_area(placed, part[offset], grid=grid)])
    return merge_candidates(np.concatenate(found), grid, merge_settings(scale))
