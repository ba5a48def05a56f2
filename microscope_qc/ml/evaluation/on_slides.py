"""Runs a detector over the annotated slides of a data set, tile by tile, as detection does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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

_LEAST_PLACE_PX = 256.0


class Finder(Protocol):
    """Finds boxes in images at its card's pixel size."""

    card: ModelCard

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Candidates (CANDIDATE_DTYPE) of images, uint8 (h, w, 3), in the pixels of each."""


def detection_report(
    tally: Tally, *, confidence: float | None = None, iou: float = 0.5, complete: bool = False
) -> Report:
    """All metrics of a tally at one threshold, by default the best one; ``complete`` adds intervals, sizes, curves."""
    at = tally.best_confidence(iou=iou) if confidence is None else confidence
    values = tally.report(confidence=at, iou=iou)
    tables = {"confusion": values.pop("confusion")}
    report = Report(values.pop("confidence"), per_class=values.pop("per_class"), figures=values, tables=tables)
    if not complete:
        return report
    intervals, class_intervals = tally.intervals(confidence=at, iou=iou)
    return replace(
        report, intervals=intervals, class_intervals=class_intervals, by_size=tally.by_size(), curves=tally.curves(),
        outcomes=tally.outcomes(confidence=at, iou=iou),
    )  # fmt: skip


def tally_dataset(finder: Finder, dataset: Dataset, *, batch: int = 8) -> Job[Tally]:
    """Compare findings with the truth of a data set.

    Parameters
    ----------
    dataset : Dataset
        Labels must be indices into the classes of the finder's card.
    batch
        Number of tiles computed at once.
    """
    tally = Tally(list(dataset.classes), place_px=place_px(dataset))
    for number, image in enumerate(dataset.images):
        yield Progress(number, len(dataset.images), "pictures", image.path.name)
        found, model_px = find_in_image(finder, image, batch=batch)
        boxes = np.stack([found[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        tally.add(
            boxes=boxes, labels=found["label"], confidence=found["confidence"], model_px=model_px,
            truth=image.boxes, truth_labels=image.labels, still_open=image.open_boxes,
        )  # fmt: skip
    yield Progress(len(dataset.images), len(dataset.images), "pictures")
    return tally


def place_px(dataset: Dataset) -> float:
    """Side of the places of large images: four times the largest defect, so that few defects lie in two."""
    sides = [float((image.boxes[:, 2:] - image.boxes[:, :2]).max()) for image in dataset.images if len(image.boxes)]
    return max([_LEAST_PLACE_PX, *(4 * side for side in sides)])


def find_in_image(finder: Finder, image: AnnotatedImage, *, batch: int = 8) -> tuple[np.ndarray, float]:
    """Merged findings (CANDIDATE_DTYPE) in one image, in full-resolution pixels, and the side of a model pixel."""
    card = finder.card
    with image.opened() as mosaic:
        scale = slide_scale(card.pixel_size_um, image.pixel_size_um or mosaic.pixel_size_um)
        side, overlap = tile_size(card.tile_px, card.overlap_px, scale=scale)
        grid = TileGrid(Region(*image.area), side, overlap)
        tiles = list(grid)
        found = [np.zeros(0, CANDIDATE_DTYPE)]
        for start in range(0, len(tiles), batch):
            part = tiles[start : start + batch]
            images = [mosaic.read_scaled(tile, model_tile_shape(tile, scale)) for tile in part]
            for offset, rows in enumerate(finder.find(images)):
                shape = images[offset].shape[:2]
                placed = to_slide(rows, part[offset], shape=(shape[0], shape[1]), index=start + offset)
                found.append(placed[in_valid_area(placed, part[offset], grid=grid)])
    return merge_candidates(np.concatenate(found), grid, merge_settings(scale)), float(np.sqrt(scale[0] * scale[1]))
