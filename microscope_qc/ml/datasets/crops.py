"""Random crops for training: around defects and elsewhere, with augmentations that resemble microscope variation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from microscope_qc.ml.datasets.pasting import LEAST_SIDE_PX, Paster
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.scaled import ScaledImage, ScaledImages

VISIBLE_SHARE = 0.4  # a defect cut by the crop counts from this share on; with less of it the place is ignored
BACKGROUND_SHARE = 0.25
HARD_SHARE = 0.5  # of the background: around what a model took for defects
_FITS = 1.05
"""Images that are at most this many times larger than a crop are seen whole."""
_SMALLEST_WHOLE = 0.85
"""Share of a crop's side that the longer side of an image takes that is seen whole."""
_LEAST_OVER = 0.25
"""Of the step in which sides grow: images that are less than this larger than a crop are seen shifted, not padded."""
_NOISE = np.random.default_rng(0).standard_normal(1_000_003, dtype=np.float32)
"""Drawn once: random numbers for every pixel would take longer than all else that is done to a crop."""


@dataclass(frozen=True)
class TrainingCrop:
    """One training image, uint8 (side, side, 3), with boxes y0, x0, y1, x1 in its own pixels."""

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray  # places that are neither defect nor background
    pasted: int = 0  # of the boxes, the last ones


@dataclass(frozen=True)
class Augmentation:
    """How crops are varied.

    Attributes
    ----------
    scales
        Smallest and largest enlargement, drawn evenly on a logarithmic scale.
    zoom_out
        Share of the crops that show more than fits: these are drawn from the smallest enlargement to 1, others from 1
        to the largest. 0 draws from all.
    flips
        Whether they are turned upside down, too, and not only from left to right.
    turns
        Whether they are turned by a quarter; layers have any direction on a slide.
    whole
        Whether images that fit into a crop are seen whole, at most shrunk a little, instead of enlarged and cut.
    light, blur
        Whether colours, and sharpness and noise, are varied.
    """

    scales: tuple[float, float] = (0.8, 1.25)
    zoom_out: float = 0.0
    flips: bool = True
    turns: bool = True
    whole: bool = True
    light: bool = True
    blur: bool = True

    def scale(self, rng: np.random.Generator) -> float:
        """The enlargement of a crop."""
        low, high = self.scales
        if self.zoom_out:
            low, high = (low, 1.0) if rng.random() < self.zoom_out else (1.0, high)
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))


AUGMENTATIONS = {
    "full": Augmentation(),
    "upright": Augmentation(flips=False, turns=False),
    "flip": Augmentation(scales=(1.0, 1.0), flips=False, turns=False, whole=False, light=False, blur=False),
    "zoom": Augmentation(scales=(0.5, 2.0), zoom_out=0.5, flips=False, turns=False, whole=False, blur=False),
}
"""By their names in :class:`microscope_qc.ml.architectures.recipe.TrainSettings`."""


class CropSampler:
    """Draws crops from images at the model's pixel size.

    Parameters
    ----------
    dataset : Dataset
    side : int
        Height and width of the crops in model pixels; less where no image is that large.
    model_um : float or None
        The model's pixel size; None uses images as they are.
    stride_px : int
        The side of smaller crops is a multiple of it.
    augment : str
        Name in :data:`AUGMENTATIONS`.
    paste : float
        Share of the crops without a defect onto which one is pasted, see :class:`Paster`; all else in them stays the
        same.
    seed : int
        The same seed and step give the same crops, so that an interrupted training continues exactly.
    most_bytes
        What images in memory may take; half of what is free without it.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        side: int,
        model_um: float | None,
        seed: int,
        stride_px: int,
        augment: str = "full",
        paste: float = 0.0,
        most_bytes: float | None = None,
    ) -> None:
        import psutil

        most = psutil.virtual_memory().available / 2 if most_bytes is None else most_bytes
        self._seed, self._augmentation = seed, AUGMENTATIONS[augment]
        self._images = ScaledImages(dataset.images, model_um, most_bytes=most)
        largest = max(max(shape) for shape in self._images.shapes)
        steps = max(1, math.ceil(largest / stride_px - _LEAST_OVER))
        self.side = side = min(side, steps * stride_px)
        owners = np.repeat(np.arange(len(dataset.images)), [len(image.labels) for image in dataset.images])
        rows = np.concatenate([np.arange(len(image.labels)) for image in dataset.images])
        labels = np.concatenate([image.labels for image in dataset.images])
        self._defects = np.stack([owners, rows], axis=1)
        hard = [len(image.hard_boxes) for image in dataset.images]
        self._hard = np.stack(
            [np.repeat(np.arange(len(hard)), hard), np.concatenate([np.arange(count) for count in hard])], axis=1
        )
        # rare classes are sampled more often than they occur, but not as often as common ones
        counts = np.bincount(labels, minlength=1).astype(float)
        weights = 1 / np.sqrt(counts[labels])
        self._weights = weights / weights.sum() if len(labels) else weights
        self._paster = (
            Paster(dataset.images, self._images.load, share=paste, seed=seed, most_px=side) if paste else None
        )
        areas = np.array([height * width for height, width in self._images.shapes], float)
        self._areas = areas / areas.sum()
        self.crops_per_epoch = int(np.maximum(1, np.round(areas / side**2)).sum())

    def batch(self, step: int, count: int) -> list[TrainingCrop]:
        """Crops of one training step."""
        rng, pasting = (np.random.default_rng([self._seed, what, step]) for what in (1, 3))
        return [self._draw(rng, pasting) for _ in range(count)]

    def sample_pixels(self, count: int = 64) -> np.ndarray:
        """Unaugmented pixels (n, 3) from everywhere, for the normalisation."""
        rng = np.random.default_rng([self._seed, 2])
        parts = []
        for index in rng.choice(len(self._areas), count, p=self._areas):
            image = self._images.load(int(index))
            y, x = (int(rng.integers(0, max(1, length - 64))) for length in image.shape)
            parts.append(image.read(y, x, y + 64, x + 64).reshape(-1, 3))
        return np.concatenate(parts)

    def _draw(self, rng: np.random.Generator, pasting: np.random.Generator) -> TrainingCrop:
        scale = self._augmentation.scale(rng)
        source_side = self.side / scale
        if len(self._defects) and rng.random() >= BACKGROUND_SHARE:
            owner, row = self._defects[rng.choice(len(self._defects), p=self._weights)]
            index = int(owner)
            image = self._images.load(index)
            box = image.boxes[row]
            room = np.maximum(source_side - (box[2:] - box[:2]), 0) / 2
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.9, 0.9, 2) * room
        elif len(self._hard) and rng.random() < HARD_SHARE:
            owner, row = self._hard[rng.integers(len(self._hard))]
            index = int(owner)
            image = self._images.load(index)
            middle = (image.hard_boxes[row, :2] + image.hard_boxes[row, 2:]) / 2
            middle = middle + rng.uniform(-0.4, 0.4, 2) * source_side
        else:
            index = int(rng.choice(len(self._areas), p=self._areas))
            image = self._images.load(index)
            middle = rng.uniform(0, 1, 2) * image.shape
        height, width = image.shape
        if self._augmentation.whole and max(height, width) <= _FITS * self.side:
            scale = self.side / max(height, width) * float(rng.uniform(_SMALLEST_WHOLE, 1.0))
            start = -rng.uniform(0, 1, 2) * (self.side / scale - np.array([height, width]))
        else:
            start = np.array([_start(m, source_side, side) for m, side in zip(middle, (height, width), strict=True)])
        crop = self._cut(image, start, scale)
        if self._paster is not None:
            inside = np.clip((np.array([0, 0, height, width]) - np.tile(start, 2)) * scale, 0, self.side)
            pasted = self._paster.paste(
                pasting, crop.pixels, image=index, scale=scale, inside=inside, boxes=crop.boxes, ignore=crop.ignore
            )
            crop = crop if pasted is None else _with(crop, *pasted)
        return _augment(rng, crop, self._augmentation)

    def _cut(self, image: ScaledImage, start: np.ndarray, scale: float) -> TrainingCrop:
        matrix = np.array([[scale, 0, -start[1] * scale], [0, scale, -start[0] * scale]])
        # the half pixel maps pixel centres to pixel centres
        matrix[:, 2] += 0.5 * scale - 0.5
        y0, x0 = np.maximum(np.floor(start).astype(int) - 2, 0)
        y1, x1 = np.ceil(start + self.side / scale).astype(int) + 2
        part = image.read(y0, x0, y1, x1)
        matrix[:, 2] += matrix[:, :2] @ [x0, y0]
        fill = tuple(float(v) for v in part[::8, ::8].reshape(-1, 3).mean(axis=0))
        pixels = cv2.warpAffine(part, matrix, (self.side, self.side), flags=cv2.INTER_LINEAR, borderValue=fill)
        boxes = (image.boxes - np.tile(start, 2)) * scale
        clipped = np.clip(boxes, 0, self.side)
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        visible = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) / np.maximum(area, 1e-9)
        large = ((clipped[:, 2:] - clipped[:, :2]) >= LEAST_SIDE_PX).all(axis=1)
        kept = (visible >= VISIBLE_SHARE) & large
        ignore = (visible > 0) & ~kept
        still_open = np.clip((image.open_boxes - np.tile(start, 2)) * scale, 0, self.side)
        still_open = still_open[((still_open[:, 2:] - still_open[:, :2]) > 0).all(axis=1)]
        return TrainingCrop(pixels, clipped[kept], image.labels[kept], np.concatenate([clipped[ignore], still_open]))


def _start(middle: float, source_side: float, length: int) -> float:
    """First pixel of a crop around ``middle`` that stays inside the image, or contains all of a small image."""
    if length <= source_side:
        return (length - source_side) / 2
    return float(np.clip(middle - source_side / 2, 0, length - source_side))


def _noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Normally distributed numbers (count,)."""
    start = int(rng.integers(len(_NOISE)))
    return _NOISE.take(np.arange(start, start + count), mode="wrap")


def _with(crop: TrainingCrop, box: np.ndarray, label: int) -> TrainingCrop:
    boxes, labels = np.concatenate([crop.boxes, box[None]]), np.append(crop.labels, label)
    return replace(crop, boxes=boxes, labels=labels, pasted=crop.pasted + 1)


def _augment(rng: np.random.Generator, crop: TrainingCrop, how: Augmentation) -> TrainingCrop:
    pixels, side = crop.pixels, crop.pixels.shape[0]
    boxes, ignore = crop.boxes.copy(), crop.ignore.copy()
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
        for group in (boxes, ignore):
            group[:, [1, 3]] = side - group[:, [3, 1]]
    if how.flips and rng.random() < 0.5:
        pixels = pixels[::-1]
        for group in (boxes, ignore):
            group[:, [0, 2]] = side - group[:, [2, 0]]
    if how.turns and rng.random() < 0.5:
        pixels = pixels.transpose(1, 0, 2)
        boxes, ignore = boxes[:, [1, 0, 3, 2]], ignore[:, [1, 0, 3, 2]]
    pixels = relit(rng, np.ascontiguousarray(pixels), light=how.light, blur=how.blur)
    return replace(crop, pixels=pixels, boxes=boxes, ignore=ignore)


def relit(rng: np.random.Generator, pixels: np.ndarray, *, light: bool = True, blur: bool = True) -> np.ndarray:
    """Pixels under other light, with other colours, out of focus or noisy, as micrographs differ."""
    if light:
        gain = np.exp(rng.normal(0, 0.08)) * np.exp(rng.normal(0, 0.02, 3))
        table = np.arange(256)[:, None] / 255.0
        table = 255 * np.clip(table ** np.exp(rng.normal(0, 0.08)) * gain + rng.normal(0, 0.015), 0, 1)
        pixels = cv2.LUT(pixels, table.astype(np.uint8)[None])
    if blur and rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.3, 1.0)))
    if blur and rng.random() < 0.4:
        noise = _noise(rng, pixels.size).reshape(pixels.shape)
        pixels = cv2.addWeighted(pixels, 1.0, noise, float(rng.uniform(1, 6)), 0.0, dtype=cv2.CV_8U)
    return pixels
