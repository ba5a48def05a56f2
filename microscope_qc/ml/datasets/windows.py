"""Windows that a classifier learns from: whole pictures that have a class, or cut around defects and elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.ml.datasets.crops import HARD_SHARE, relit
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset
from microscope_qc.ml.datasets.scaled import ScaledImage, ScaledImages
from microscope_qc.ml.datasets.window_labels import window_labels

Sampling = Literal["as-is", "over", "under", "recrop"]
_NONE_PER_DEFECT = 2
"""Windows without a defect in a pass, where boxes say where defects are."""
_TRIES = 20
_LEAST_SHARE = 0.7
"""Side of what is cut from a picture of which nobody said where its defect is, as a share of the picture's."""
_ZOOM = 1.25
_DIAGONAL = 2**0.5


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """One training window, uint8 (side, side, 3), and its class; the number of classes stands for none of them."""

    pixels: np.ndarray
    label: int


@dataclass(frozen=True, slots=True)
class _Example:
    """What is learned from: a defect or a picture, or a place without a defect where both are None."""

    label: int
    image: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """A square of an image at the model's pixel size: its middle, its side, and by how much it is turned."""

    y: float
    x: float
    side: float
    angle: float = 0.0

    @property
    def box(self) -> np.ndarray:
        """y0, x0, y1, x1, without the turn."""
        half = self.side / 2
        return np.array([self.y - half, self.x - half, self.y + half, self.x + half])


class WindowSampler:
    """Draws windows from images at the model's pixel size.

    Where some pictures have a class as a whole, these are learned from, each scaled to a window; else windows around
    defects and without any, labelled as an evaluation does.

    Parameters
    ----------
    dataset : Dataset
    side : int
        Height and width of the windows in model pixels; less where boxes are learned from and no image is that large.
    model_um : float or None
        The model's pixel size; None uses images as they are.
    sampling
        "as-is": every example once in a pass. "under": as many of every class as there are of the rarest, the same
        ones in every pass. "over": those of rarer classes several times. "recrop": as "over", where each time the
        defect is cut at another position and zoom. None: "recrop" around boxes, "as-is" for pictures.
    rotate : bool
        Turn windows by any angle, beside mirroring them.
    largest_scale : float
        Windows are seen up to this many times larger.
    seed : int
        The same seed and step give the same windows, so that an interrupted training continues exactly.

    Attributes
    ----------
    whole : bool
        Whether pictures are learned from as a whole.
    counts : ndarray of int, (classes + 1,)
        Examples of each class and of none, before any sampling.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        side: int,
        model_um: float | None,
        seed: int,
        stride_px: int,
        sampling: Sampling | None = None,
        rotate: bool = False,
        largest_scale: float = 1.0,
        most_bytes: float | None = None,
    ) -> None:
        import psutil

        most = psutil.virtual_memory().available / 2 if most_bytes is None else most_bytes
        self.whole = any(image.whole is not None for image in dataset.images)
        kept = [image for image in dataset.images if image.whole is not None] if self.whole else dataset.images
        self._images = ScaledImages(kept, model_um, most_bytes=most)
        self._none, self._seed = len(dataset.classes), seed
        self._rotate, self._largest_scale = rotate, largest_scale
        if not self.whole:
            longest = max(max(shape) for shape in self._images.shapes)
            side = min(side, -(-longest // stride_px) * stride_px)
        self.side = side
        self.sampling: Sampling = sampling or ("as-is" if self.whole else "recrop")
        self._hard = [(number, row) for number, image in enumerate(kept) for row in range(len(image.hard_boxes))]
        areas = np.array([height * width for height, width in self._images.shapes], float)
        self._areas = areas / areas.sum()
        self._examples = self._pictures(kept) if self.whole else self._defects(kept)
        self._labels = np.array([example.label for example in self._examples])
        self.counts: Ints = np.bincount(self._labels, minlength=self._none + 1)
        self._lock = threading.Lock()
        self._pass: tuple[int, list[tuple[int, int]]] | None = None
        self.windows_per_epoch = len(self._order(0))

    def picture_side(self) -> int:
        """Side of a square as large as the middle one of the pictures, in model pixels."""
        return max(1, round(float(np.median([(height * width) ** 0.5 for height, width in self._images.shapes]))))

    def batch(self, step: int, count: int) -> list[TrainingWindow]:
        """Windows of one training step; the last one of a pass is filled up with others of the pass.

        It may be called in several threads.
        """
        steps = max(1, -(-self.windows_per_epoch // count))
        with self._lock:
            order = self._order(step // steps)
            rng = np.random.default_rng([self._seed, 6, step])
            places = (step % steps * count + np.arange(count)) % len(order)
            return [self._draw(rng, *order[place]) for place in places.tolist()]

    # -- examples ----------------------------------------------------------------------------------------------------

    def _pictures(self, images: Sequence[AnnotatedImage]) -> list[_Example]:
        return [
            _Example(self._none if image.whole in (None, NO_CLASS) else int(image.whole or 0), number)
            for number, image in enumerate(images)
        ]

    def _defects(self, images: Sequence[AnnotatedImage]) -> list[_Example]:
        defects = [
            _Example(int(label), number, row)
            for number, image in enumerate(images)
            for row, label in enumerate(image.labels)
        ]
        return defects + [_Example(self._none)] * max(1, _NONE_PER_DEFECT * len(defects))

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        """Examples of a pass in their order, each with how often it was in this pass before."""
        if self._pass is not None and self._pass[0] == epoch:
            return self._pass[1]
        rng = np.random.default_rng([self._seed, 5, epoch])
        fixed = np.random.default_rng([self._seed, 8])
        there = [np.flatnonzero(self._labels == label) for label in np.unique(self._labels)]
        most, least = max(map(len, there)), min(map(len, there))
        if self.sampling == "under":
            there = [fixed.permutation(mine)[:least] for mine in there]
        elif self.sampling != "as-is":
            there = [np.resize(rng.permutation(mine), most) for mine in there]
        found = [
            (number, turn // different)
            for mine in there
            for different in [len(np.unique(mine))]
            for turn, number in enumerate(mine.tolist())
        ]
        order = [found[place] for place in rng.permutation(len(found)).tolist()]
        self._pass = epoch, order
        return order

    # -- pixels ------------------------------------------------------------------------------------------------------

    def _draw(self, rng: np.random.Generator, number: int, repeat: int) -> TrainingWindow:
        example = self._examples[number]
        recrops = self.sampling == "recrop"
        # otherwise an example is always the same cut
        placing = rng if recrops else np.random.default_rng([self._seed, 7, number])
        if self.whole:
            image = self._images.load(example.image or 0)
            label, pixels = example.label, self._of_picture(placing, image, whole=not (recrops and repeat))
        else:
            image, view, label = self._view(placing, example)
            pixels = _cut(image, self._turned(rng, image, view, label), self.side)
        if self.whole and self._rotate:
            pixels = _rotated(pixels, float(rng.uniform(-180, 180)))
        for flip in (np.fliplr, np.flipud):
            if rng.random() < 0.5:
                pixels = flip(pixels)
        return TrainingWindow(relit(rng, np.ascontiguousarray(pixels)), label)

    def _of_picture(self, rng: np.random.Generator, image: ScaledImage, *, whole: bool) -> np.ndarray:
        """A picture, or part of it that shows one of its boxes where it has some, as a window."""
        height, width = image.shape
        y0, x0, y1, x1 = 0.0, 0.0, float(height), float(width)
        if not whole:
            share = rng.uniform(_LEAST_SHARE, 1)
            sides = share * np.array([height, width])
            low, high = np.zeros(2), np.array([height, width]) - sides
            if len(image.boxes):
                box = image.boxes[rng.integers(len(image.boxes))]
                low, high = np.clip(box[2:] - sides, low, high), np.clip(box[:2], low, high)
            y0, x0 = rng.uniform(np.minimum(low, high), np.maximum(low, high))
            y1, x1 = y0 + sides[0], x0 + sides[1]
        return fitted(image.read(round(y0), round(x0), round(y1), round(x1)), self.side)

    def _view(self, rng: np.random.Generator, example: _Example) -> tuple[ScaledImage, _View, int]:
        """A square that shows what the example is of, and its class."""
        for _ in range(_TRIES):
            image, view = self._around(rng, example) if example.row is not None else self._elsewhere(rng)
            label, counts = self._label(image, view)
            if counts and label == example.label:
                return image, view, label
        if example.row is None:  # there is hardly a place without a defect
            defects = np.flatnonzero(self._labels < self._none)
            return self._view(rng, self._examples[int(rng.choice(defects))])
        image = self._images.load(example.image or 0)
        box = image.boxes[example.row]
        y, x = (box[:2] + box[2:]) / 2
        return image, _View(y, x, max(self.side, float((box[2:] - box[:2]).max()))), example.label

    def _label(self, image: ScaledImage, view: _View) -> tuple[int, bool]:
        labels, counts = window_labels(view.box[None], image, none=self._none)
        return int(labels[0]), bool(counts[0])

    def _around(self, rng: np.random.Generator, example: _Example) -> tuple[ScaledImage, _View]:
        image = self._images.load(example.image or 0)
        assert example.row is not None
        box, side = image.boxes[example.row], self._side(rng)
        away = np.maximum(side, box[2:] - box[:2]) / 2
        y, x = (box[:2] + box[2:]) / 2 + rng.uniform(-1, 1, 2) * away
        return image, self._inside(image, y, x, side)

    def _elsewhere(self, rng: np.random.Generator) -> tuple[ScaledImage, _View]:
        """A place of an image, often one where a model took something for a defect."""
        side = self._side(rng)
        if self._hard and rng.random() < HARD_SHARE:
            number, row = self._hard[rng.integers(len(self._hard))]
            image = self._images.load(number)
            box = image.hard_boxes[row]
            y, x = (box[:2] + box[2:]) / 2 + rng.uniform(-0.4, 0.4, 2) * side
        else:
            image = self._images.load(int(rng.choice(len(self._areas), p=self._areas)))
            y, x = rng.uniform(0, 1, 2) * image.shape
        return image, self._inside(image, y, x, side)

    def _side(self, rng: np.random.Generator) -> float:
        """Side in pixels of the image: also as large as the image pyramid shows them."""
        return self.side * float(np.exp(rng.uniform(-np.log(_ZOOM), np.log(_ZOOM * self._largest_scale))))

    def _inside(self, image: ScaledImage, y: float, x: float, side: float) -> _View:
        """A square that stays inside the image where it is large enough."""
        middles = [
            length / 2 if length <= side else float(np.clip(middle, side / 2, length - side / 2))
            for middle, length in zip((y, x), image.shape, strict=True)
        ]
        return _View(middles[0], middles[1], side)

    def _turned(self, rng: np.random.Generator, image: ScaledImage, view: _View, label: int) -> _View:
        """The square turned by any angle, where it then shows the same."""
        angle = float(rng.uniform(-180, 180))
        if not self._rotate:
            return view
        middles = (image.boxes[:, :2] + image.boxes[:, 2:]) / 2
        near = np.hypot(*(middles - [view.y, view.x]).T) < view.side / 2
        wider = _View(view.y, view.x, view.side * _DIAGONAL)
        same = (
            self._label(image, wider) == (label, True) if label == self._none else (image.labels[near] == label).any()
        )
        room = min(view.y, view.x, image.shape[0] - view.y, image.shape[1] - view.x)
        if not same or room < wider.side / 2:
            return view
        return _View(view.y, view.x, view.side, angle)


def fitted(pixels: np.ndarray, side: int) -> np.ndarray:
    """Pixels uint8 (h, w, 3) as a square, as a classifier of pictures sees them."""
    if pixels.shape[:2] == (side, side):
        return pixels
    smaller = max(pixels.shape[:2]) > side
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _cut(image: ScaledImage, view: _View, side: int) -> np.ndarray:
    """The pixels of a square of an image, enlarged or reduced to ``side``; what is beyond the image is its mean."""
    half = view.side / 2 * (_DIAGONAL if view.angle else 1)
    y0, x0 = (max(int(np.floor(middle - half)) - 2, 0) for middle in (view.y, view.x))
    y1, x1 = (int(np.ceil(middle + half)) + 2 for middle in (view.y, view.x))
    part = image.read(y0, x0, y1, x1)
    scale = side / view.side
    if scale < 1:  # every pixel counts
        small = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        factor_x, factor_y = small[0] / part.shape[1], small[1] / part.shape[0]
        part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    else:
        factor_x = factor_y = 1.0
    turn = cv2.getRotationMatrix2D((0.0, 0.0), view.angle, 1.0)[:, :2]
    matrix = np.zeros((2, 3))
    matrix[:, :2] = turn @ np.diag([scale / factor_x, scale / factor_y])
    # the middle of the square becomes the middle of the window; pixel centres are half a pixel from their corners
    middle = np.array([(view.x - x0) * factor_x, (view.y - y0) * factor_y]) - 0.5
    matrix[:, 2] = (side - 1) / 2 - matrix[:, :2] @ middle
    fill = tuple(float(value) for value in part[::8, ::8].reshape(-1, 3).mean(axis=0))
    return cv2.warpAffine(part, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=fill)


def _rotated(pixels: np.ndarray, angle: float) -> np.ndarray:
    """A picture turned about its middle; what comes into view is mirrored."""
    side = len(pixels)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    return cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
