"""Run a detector over the annotated slides of a data set, tile by tile, the way detection does."""

from __future__ import annotations

from typing import Any

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
from microscope_qc.ml.datasets.records import Dataset, Picture
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.tiling import in_valid_area, merge_settings, model_tile_shape, slide_scale, tile_size, to_slide


def tally_dataset(detector: Any, dataset: Dataset, *, batch: int = 8) -> Job[Tally]:
    """Compare a detector's finds with a data set's truth.

    Parameters
    ----------
    detector : microscope_qc.ml.tasks.detect.Detector
    dataset : Dataset
        Its labels are indices into the detector's classes.
    batch
        Tiles read at once.
    """
    tally = Tally(list(dataset.classes))
    for number, picture in enumerate(dataset.pictures):
        yield Progress(number, len(dataset.pictures), "pictures", picture.path.name)
        finds = find_in_picture(detector, picture, batch=batch)
        boxes = np.stack([finds[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        tally.add(
            boxes=boxes, labels=finds["label"], confidence=finds["confidence"],
            truth=picture.boxes, truth_labels=picture.labels,
        )  # fmt: skip
    yield Progress(len(dataset.pictures), len(dataset.pictures), "pictures")
    return tally


def find_in_picture(detector: Any, picture: Picture, *, batch: int = 8, threshold: float = 0.05) -> np.ndarray:
    """Merged finds (CANDIDATE_DTYPE) in one picture, in full-resolution pixels."""
    from microscope_qc.slides import open_slide

    card = detector.card
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
            for offset, rows in enumerate(detector.find(pictures, threshold=threshold)):
                shape = pictures[offset].shape[:2]
                placed = to_slide(rows, part[offset], shape=(shape[0], shape[1]), index=start + offset)
                found.append(placed[in_valid_area(placed, part[offset], grid=grid)])
    return merge_candidates(np.concatenate(found), grid, merge_settings(scale))
