"""Random crops for training: around defects and elsewhere, with augmentations that resemble microscope variation."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from weakref import finalize

import cv2
import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

VISIBLE_SHARE = 0.4  # a defect cut by the crop counts from this share on; with less of it the place is ignored
BACKGROUND_SHARE = 0.25
HARD_SHARE = 0.5  # of the background: around what a model took for defects
_MOST_OPEN = 16
_LEAST_OVER = 0.25
"""Of the step in which sides grow: images that are less than this larger than a crop are seen shifted, not padded."""
_LARGEST_SHARE = 0.5  # of the memory for images; of a larger one only pieces are read
_NOISE = np.random.default_rng(0).standard_normal(1_000_003, dtype=np.float32)
"""Drawn once: random numbers for every pixel would take longer than all else that is done to a crop."""


@dataclass(frozen=True)
class TrainingCrop:
    """One training image, uint8 (side, side, 3), with boxes y0, x0, y1, x1 in its own pixels."""

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray  # places that are neither defect nor background


@dataclass(frozen=True)
class _Loaded:
    """An image at the model's pixel size: all of it in memory, or a slide of which pieces are read."""

    shape: tuple[int, int]
    boxes: np.ndarray  # in these pixels
    labels: np.ndarray
    open_boxes: np.ndarray
    hard_boxes: np.ndarray
    pixels: np.ndarray | None = None  # uint8 (h, w, 3)
    slide: _Pieces | None = None

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Pixels of a piece; beyond the image there are none."""
        y0, x0 = max(y0, 0), max(x0, 0)
        y1, x1 = min(y1, self.shape[0]), min(x1, self.shape[1])
        if self.pixels is not None:
            return self.pixels[y0:y1, x0:x1]
        assert self.slide is not None
        return self.slide.read(y0, x0, y1, x1)


class _Pieces:
    """A slide that stays open, of which pieces are read at the model's pixel size."""

    def __init__(self, image: AnnotatedImage, shape: tuple[int, int]) -> None:
        self._held = ExitStack()
        self._mosaic = self._held.enter_context(image.opened())
        finalize(self, self._held.close)
        y0, x0, y1, x1 = image.area
        self._start, self._scale = (y0, x0), ((y1 - y0) / shape[0], (x1 - x0) / shape[1])

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Read a piece that lies inside."""
        (top, left), (scale_y, scale_x) = self._start, self._scale
        region = Region(
            top + round(y0 * scale_y), left + round(x0 * scale_x), top + round(y1 * scale_y), left + round(x1 * scale_x)
        )
        return self._mosaic.read_scaled(region, (y1 - y0, x1 - x0))


def model_shape(image: AnnotatedImage, model_um: float | None) -> tuple[int, int]:
    """Size of part of a image at the model's pixel size (unchanged where either pixel size is unknown)."""
    y0, x0, y1, x1 = image.area
    pixel_size_um = image.pixel_size_um
    if pixel_size_um is None or model_um is None:
        return y1 - y0, x1 - x0
    return (
        max(1, round((y1 - y0) * pixel_size_um[0] / model_um)),
        max(1, round((x1 - x0) * pixel_size_um[1] / model_um)),
    )


def load_scaled(image: AnnotatedImage, model_um: float | None, *, in_memory: bool = True) -> _Loaded:
    """Decode an image at the model's pixel size, in strips, so that memory never holds its full resolution.

    With ``in_memory`` False only what is asked for is read, when it is asked for.
    """
    y0, x0, y1, x1 = image.area
    shape = height, width = model_shape(image, model_um)
    scale_y, scale_x = (y1 - y0) / height, (x1 - x0) / width
    boxes, still_open, hard = (
        (some - [y0, x0, y0, x0]) / [scale_y, scale_x, scale_y, scale_x]
        for some in (image.boxes, image.open_boxes, image.hard_boxes)
    )
    if not in_memory:
        return _Loaded(shape, boxes, image.labels, still_open, hard, slide=_Pieces(image, shape))
    with image.opened() as mosaic:
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, 512):
            bottom = min(top + 512, height)
            region = Region(y0 + round(top * scale_y), x0, y0 + round(bottom * scale_y), x1)
            pixels[top:bottom] = mosaic.read_scaled(region, (bottom - top, width))
    return _Loaded(shape, boxes, image.labels, still_open, hard, pixels=pixels)


class _Images:
    """Images at the model's pixel size. Where not all of them fit into memory, those used last are held.

    Parameters
    ----------
    most_bytes
        What they may take together.
    """

    def __init__(self, images: Sequence[AnnotatedImage], model_um: float | None, *, most_bytes: float) -> None:
        self._images, self._model_um, self._most = images, model_um, most_bytes
        self.shapes = [model_shape(image, model_um) for image in images]
        self._held: OrderedDict[int, _Loaded] = OrderedDict()
        self._bytes = 0
        if sum(3 * height * width for height, width in self.shapes) <= most_bytes:
            for index in range(len(images)):  # one that is damaged is found now, and not in an hour
                self.load(index)

    def load(self, index: int) -> _Loaded:
        """Return an image; it is decoded unless it is held."""
        if index in self._held:
            self._held.move_to_end(index)
            return self._held[index]
        height, width = self.shapes[index]
        small = 3 * height * width <= self._most * _LARGEST_SHARE
        loaded = load_scaled(self._images[index], self._model_um, in_memory=small)
        self._held[index] = loaded
        self._bytes += _bytes_of(loaded)
        while len(self._held) > 1 and (self._bytes > self._most or len(self._held) > self._most_held()):
            _, oldest = self._held.popitem(last=False)
            self._bytes -= _bytes_of(oldest)
        return loaded

    def _most_held(self) -> int:
        """Not more slides than files can be open; pictures in memory need none."""
        in_memory = sum(loaded.slide is None for loaded in self._held.values())
        return in_memory + _MOST_OPEN


def _bytes_of(loaded: _Loaded) -> int:
    return 0 if loaded.pixels is None else loaded.pixels.nbytes


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
        most_bytes: float | None = None,
    ) -> None:
        import psutil

        most = psutil.virtual_memory().available / 2 if most_bytes is None else most_bytes
        self._seed = seed
        self._images = _Images(dataset.images, model_um, most_bytes=most)
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
        areas = np.array([height * width for height, width in self._images.shapes], float)
        self._areas = areas / areas.sum()
        self.crops_per_epoch = int(np.maximum(1, np.round(areas / side**2)).sum())

    def batch(self, step: int, count: int) -> list[TrainingCrop]:
        """Crops of one training step."""
        rng = np.random.default_rng([self._seed, 1, step])
        return [self._draw(rng) for _ in range(count)]

    def sample_pixels(self, count: int = 64) -> np.ndarray:
        """Unaugmented pixels (n, 3) from everywhere, for the normalisation."""
        rng = np.random.default_rng([self._seed, 2])
        parts = []
        for index in rng.choice(len(self._areas), count, p=self._areas):
            image = self._images.load(int(index))
            y, x = (int(rng.integers(0, max(1, length - 64))) for length in image.shape)
            parts.append(image.read(y, x, y + 64, x + 64).reshape(-1, 3))
        return np.concatenate(parts)

    def _draw(self, rng: np.random.Generator) -> TrainingCrop:
        scale = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
        source_side = self.side / scale
        if len(self._defects) and rng.random() >= BACKGROUND_SHARE:
            owner, row = self._defects[rng.choice(len(self._defects), p=self._weights)]
            image = self._images.load(int(owner))
            box = image.boxes[row]
            room = np.maximum(source_side - (box[2:] - box[:2]), 0) / 2
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.9, 0.9, 2) * room
        elif len(self._hard) and rng.random() < HARD_SHARE:
            owner, row = self._hard[rng.integers(len(self._hard))]
            image = self._images.load(int(owner))
            middle = (image.hard_boxes[row, :2] + image.hard_boxes[row, 2:]) / 2
            middle = middle + rng.uniform(-0.4, 0.4, 2) * source_side
        else:
            image = self._images.load(int(rng.choice(len(self._areas), p=self._areas)))
            middle = rng.uniform(0, 1, 2) * image.shape
        height, width = image.shape
        start = np.array([_start(m, source_side, length) for m, length in zip(middle, (height, width), strict=True)])
        return _augment(rng, *self._cut(image, start, scale))

    def _cut(
        self, image: _Loaded, start: np.ndarray, scale: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
        large = ((clipped[:, 2:] - clipped[:, :2]) >= 4).all(axis=1)
        kept = (visible >= VISIBLE_SHARE) & large
        ignore = (visible > 0) & ~kept
        still_open = np.clip((image.open_boxes - np.tile(start, 2)) * scale, 0, self.side)
        still_open = still_open[((still_open[:, 2:] - still_open[:, :2]) > 0).all(axis=1)]
        return pixels, clipped[kept], image.labels[kept], np.concatenate([clipped[ignore], still_open])


def _start(middle: float, source_side: float, length: int) -> float:
    """First pixel of a crop around ``middle`` that stays inside the image, or contains all of a small image."""
    if length <= source_side:
        return (length - source_side) / 2
    return float(np.clip(middle - source_side / 2, 0, length - source_side))


def _noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Normally distributed numbers (count,)."""
    start = int(rng.integers(len(_NOISE)))
    return _NOISE.take(np.arange(start, start + count), mode="wrap")


def _augment(
    rng: np.random.Generator, pixels: np.ndarray, boxes: np.ndarray, labels: np.ndarray, ignore: np.ndarray
) -> TrainingCrop:
    side = pixels.shape[0]
    boxes, ignore = boxes.copy(), ignore.copy()
    # layers have any direction on a slide, so quarter turns are as natural as mirror images
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
        for group in (boxes, ignore):
            group[:, [1, 3]] = side - group[:, [3, 1]]
    if rng.random() < 0.5:
        pixels = pixels[::-1]
        for group in (boxes, ignore):
            group[:, [0, 2]] = side - group[:, [2, 0]]
    if rng.random() < 0.5:
        pixels = pixels.transpose(1, 0, 2)
        boxes, ignore = boxes[:, [1, 0, 3, 2]], ignore[:, [1, 0, 3, 2]]
    gain = np.exp(rng.normal(0, 0.08)) * np.exp(rng.normal(0, 0.02, 3))
    table = np.arange(256)[:, None] / 255.0
    table = 255 * np.clip(table ** np.exp(rng.normal(0, 0.08)) * gain + rng.normal(0, 0.015), 0, 1)
    pixels = cv2.LUT(np.ascontiguousarray(pixels), table.astype(np.uint8)[None])
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.4:
        noise = _noise(rng, pixels.size).reshape(pixels.shape)
        pixels = cv2.addWeighted(pixels, 1.0, noise, float(rng.uniform(1, 6)), 0.0, dtype=cv2.CV_8U)
    return TrainingCrop(pixels, boxes, labels, ignore)
