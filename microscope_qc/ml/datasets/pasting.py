"""Copy-paste: defects of a data set onto other places that look like their own surroundings.

Copies at other places are more examples of rare defects (Dwibedi et al. 2017, "Cut, Paste and Learn"; Ghiasi et al.
2021, "Simple Copy-Paste"). Here only boxes are known, so a defect comes with a margin of its surroundings, and goes
only where what surrounds it looks alike, which also turns it along the layers of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.ml.datasets.scaled import ScaledImage

LEAST_SIDE_PX = 4.0
"""Smaller boxes are not learned from."""
COVERED_SHARE = 0.2
_ONTO_DEFECTS = 0.5  # how often onto a crop that shows defects, against one that shows none
_MOST_DEFECTS = 500  # that are copied, so that they fit into memory
_MARGIN_SHARE, _LEAST_MARGIN_PX, _MOST_MARGIN_PX = 0.35, 5.0, 24.0
_LARGEST_SHARE = 0.6  # of the side of a crop
_TRIES = 4
_PLACES = 12  # looked at for each way to turn a defect
_PARTS = 4  # into which each side of the surroundings is divided to compare them
_MOST_LIGHTER = 20.0  # of 255
_LEAST_ALIKE, _ALIKE_SHARE = 4.0, 0.7  # of 255, and of the contrast of the surroundings
_MOST_STRONGER = 0.3  # contrast, as a logarithm


@dataclass(frozen=True, slots=True)
class Cutout:
    """A defect with its surroundings, uint8 (h, w, 3); its box y0, x0, y1, x1 in them."""

    pixels: np.ndarray
    box: np.ndarray


class GreySums:
    """Sums of the grey levels, and of their squares, above and left of every pixel: means of rectangles at once."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._sums, self._squares = cv2.integral2(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))

    def around(self, corners: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and contrast of each part (m, 4) at each of some corners (n, 2): two (n, m)."""
        y0, x0, y1, x1 = (corners[:, side % 2, None] + parts[:, side] for side in range(4))
        levels, squares = (
            table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0] for table in (self._sums, self._squares)
        )
        area = (parts[:, 2] - parts[:, 0]) * (parts[:, 3] - parts[:, 1])
        mean = levels / np.maximum(area, 1)
        return mean, np.sqrt(np.maximum(squares / np.maximum(area, 1) - mean**2, 0))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a defect fits, its corner (y, x): the copy (h, w, 3), its box in it, and how the place differs."""

    pixels: np.ndarray
    box: np.ndarray
    y: int
    x: int
    unlike: float
    stronger: float  # contrast of the place, against that of the copy


class Paster:
    """Pastes defects of a data set onto crops.

    Every class is pasted equally often, however rare it is. Nothing is pasted onto images of which boxes cover more
    than a fifth: such images show little that is normal, as pictures that are one texture from side to side, where the
    defect of another texture is no defect.

    Parameters
    ----------
    images
        The data set.
    load
        Returns an image by its index, at the model's pixel size.
    share
        Of the crops without a defect that get one; crops that show defects get another one half as often.
    seed
        Which defects are copied where there are very many.
    most_px
        Larger ones are not.
    """

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        load: Callable[[int], ScaledImage],
        *,
        share: float,
        seed: int,
        most_px: int,
    ) -> None:
        self._load, self._share, self._most_px = load, share, most_px
        self._allowed = [_covered(image) < COVERED_SHARE for image in images]
        owners = np.repeat(np.arange(len(images)), [len(image.labels) for image in images])
        rows = np.concatenate([np.arange(len(image.labels)) for image in images])
        labels = np.concatenate([image.labels for image in images])
        if len(labels) > _MOST_DEFECTS:
            rng = np.random.default_rng([seed, 4])
            chosen = np.sort(rng.choice(len(labels), _MOST_DEFECTS, replace=False, p=_evenly(labels)))
            owners, rows, labels = owners[chosen], rows[chosen], labels[chosen]
        self._owners, self._rows, self._labels, self._weights = owners, rows, labels, _evenly(labels)
        self._cut: dict[int, Cutout | None] = {}

    def paste(
        self,
        rng: np.random.Generator,
        pixels: np.ndarray,
        *,
        image: int,
        scale: float,
        inside: np.ndarray,
        boxes: np.ndarray,
        ignore: np.ndarray,
    ) -> tuple[np.ndarray, int] | None:
        """Paste a defect onto a crop, or leave it as it is.

        Parameters
        ----------
        pixels
            The crop, uint8 (side, side, 3); changed.
        image, scale
            What it is cut from, and its pixels for one of the image.
        inside
            Where it shows the image: y0, x0, y1, x1.
        boxes, ignore
            Defects in it, and places that are neither defect nor background: (n, 4) each.

        Returns
        -------
        (box, label) or None
            What was pasted.
        """
        wanted = self._share * (_ONTO_DEFECTS if len(boxes) else 1.0)
        if rng.random() >= wanted or not self._allowed[image] or not len(self._labels):
            return None
        sums, taken = GreySums(pixels), np.concatenate([boxes, ignore])
        for _ in range(_TRIES):
            number = int(rng.choice(len(self._labels), p=self._weights))
            cutout = self._cutout(number)
            if cutout is None:
                continue
            size = scale * float(np.exp(rng.uniform(-0.16, 0.16)))
            box = paste(rng, pixels, cutout, scale=size, inside=inside, taken=taken, sums=sums)
            if box is not None:
                return box, int(self._labels[number])
        return None

    def _cutout(self, number: int) -> Cutout | None:
        if number not in self._cut:
            image = self._load(int(self._owners[number]))
            self._cut[number] = cut_out(image, int(self._rows[number]), most_px=self._most_px)
        return self._cut[number]


def _covered(image: AnnotatedImage) -> float:
    """Share of an image that boxes cover, as far as they do not overlap."""
    y0, x0, y1, x1 = image.area
    boxes = np.concatenate([image.boxes, image.open_boxes])
    return float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()) / max(1, (y1 - y0) * (x1 - x0))


def _evenly(labels: np.ndarray) -> np.ndarray:
    """Weights of defects with which every class is equally likely."""
    counts: np.ndarray = np.bincount(labels, minlength=1)
    weights = 1 / np.maximum(counts, 1)[labels]
    return np.asarray(weights / max(weights.sum(), 1e-9))


def cut_out(image: ScaledImage, row: int, *, most_px: int) -> Cutout | None:
    """Copy a defect with its surroundings.

    None where these show another defect or the end of the image, and for a defect that is too small to be learned or
    larger than ``most_px``.
    """
    box = image.boxes[row]
    shorter = float((box[2:] - box[:2]).min())
    if shorter < LEAST_SIDE_PX:
        return None
    margin = float(np.clip(_MARGIN_SHARE * shorter, _LEAST_MARGIN_PX, _MOST_MARGIN_PX))
    low, high = np.floor(box[:2] - margin).astype(int), np.ceil(box[2:] + margin).astype(int)
    others = np.concatenate([np.delete(image.boxes, row, axis=0), image.open_boxes])
    if (low < 0).any() or (high > image.shape).any() or (high - low).max() > most_px:
        return None
    if _touched(low[None], high[None], others)[0]:
        return None
    return Cutout(image.read(*low.tolist(), *high.tolist()).copy(), box - np.tile(low, 2))


def _touched(low: np.ndarray, high: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which of some places, from ``low`` to ``high`` (n, 2), overlap one of some boxes (m, 4): boolean (n,)."""
    over: np.ndarray = (boxes[:, :2] < high[:, None]) & (boxes[:, 2:] > low[:, None])
    return np.asarray(np.any(np.all(over, axis=2), axis=1))


def paste(
    rng: np.random.Generator,
    pixels: np.ndarray,
    cutout: Cutout,
    *,
    scale: float,
    inside: np.ndarray,
    taken: np.ndarray,
    sums: GreySums,
) -> np.ndarray | None:
    """Paste a defect where it fits best of some places.

    Parameters
    ----------
    pixels
        uint8 (side, side, 3); changed.
    scale
        By which the defect is enlarged.
    inside
        Where it may lie with its surroundings: y0, x0, y1, x1.
    taken
        Places (n, 4) that neither it nor its surroundings touch.
    sums
        Of these pixels.

    Returns
    -------
    ndarray, (4,), or None
        Its box; None where no place that was looked at is free and looks alike, or the defect is too small or large.
    """
    height, width = (max(1, round(length * scale)) for length in cutout.pixels.shape[:2])
    box = cutout.box * np.tile([height / cutout.pixels.shape[0], width / cutout.pixels.shape[1]], 2)
    if max(height, width) > _LARGEST_SHARE * pixels.shape[0] or (box[2:] - box[:2]).min() < LEAST_SIDE_PX:
        return None
    copy = cv2.resize(cutout.pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    place = _best_place(rng, sums, copy, box, inside, taken)
    if place is None:
        return None
    height, width = place.pixels.shape[:2]
    onto = pixels[place.y : place.y + height, place.x : place.x + width]
    onto[:] = _blended(place, onto)
    return np.asarray(place.box + np.tile([place.y, place.x], 2))


def _best_place(
    rng: np.random.Generator, sums: GreySums, copy: np.ndarray, box: np.ndarray, inside: np.ndarray, taken: np.ndarray
) -> _Place | None:
    """The place whose surroundings are most like those of the copy, which is turned and mirrored."""
    low, high = np.ceil(inside[:2]).astype(int), np.floor(inside[2:]).astype(int)
    best: _Place | None = None
    for way in range(8):
        turned, its_box = _turned(copy, box, way)
        shape = np.array(turned.shape[:2])
        room = high - low - shape
        if (room < 0).any():
            continue
        corners = low + rng.integers(0, room + 1, (_PLACES, 2))
        corners = corners[~_touched(corners, corners + shape, taken)]
        if not len(corners):
            continue
        parts = _surroundings(shape, its_box)
        own, contrast = GreySums(turned).around(np.zeros((1, 2), int), parts)
        there, contrasts = sums.around(corners, parts)
        lighter = (there - own).mean(axis=1)
        stronger = (contrasts.mean(axis=1) + 1) / (contrast.mean() + 1)
        away = ((there - own - lighter[:, None]) ** 2).mean(axis=1)
        unlike = np.sqrt(away + ((contrasts - stronger[:, None] * contrast) ** 2).mean(axis=1))
        wrong = (np.abs(lighter) > _MOST_LIGHTER) | (np.abs(np.log(stronger)) > _MOST_STRONGER)
        wrong |= unlike > max(_LEAST_ALIKE, _ALIKE_SHARE * float(contrast.mean()))
        first = int(np.where(wrong, np.inf, unlike).argmin())
        if not wrong[first] and (best is None or unlike[first] < best.unlike):
            y, x = corners[first].tolist()
            best = _Place(turned, its_box, y, x, float(unlike[first]), float(stronger[first]))
    return best


def _turned(copy: np.ndarray, box: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """A copy turned and mirrored in one of eight ways, and its box."""
    height, width = copy.shape[:2]
    y0, x0, y1, x1 = box
    if way & 1:
        copy, x0, x1 = copy[:, ::-1], width - x1, width - x0
    if way & 2:
        copy, y0, y1 = copy[::-1], height - y1, height - y0
    if way & 4:
        copy, y0, x0, y1, x1 = copy.transpose(1, 0, 2), x0, y0, x1, y1
    return np.ascontiguousarray(copy), np.array([y0, x0, y1, x1])


def _surroundings(shape: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The surroundings of a box in parts (n, 4), as y0, x0, y1, x1."""
    height, width = (int(length) for length in shape)
    top, left = (max(1, int(value)) for value in box[:2])
    bottom, right = min(height - 1, int(np.ceil(box[2]))), min(width - 1, int(np.ceil(box[3])))
    ys, xs = (
        [(length * part // _PARTS, length * (part + 1) // _PARTS) for part in range(_PARTS)]
        for length in (height, width)
    )
    rows = [(y0, x0, y1, x1) for y0, y1 in ((0, top), (bottom, height)) for x0, x1 in xs]
    rows += [(y0, x0, y1, x1) for x0, x1 in ((0, left), (right, width)) for y0, y1 in ys]
    return np.array(rows)


def _ring(shape: tuple[int, ...], box: np.ndarray) -> np.ndarray:
    """Which pixels of a copy lie around its box: boolean (h, w)."""
    ring = np.ones(shape, bool)
    ring[int(box[0]) : int(np.ceil(box[2])), int(box[1]) : int(np.ceil(box[3]))] = False
    return ring


def _blended(place: _Place, onto: np.ndarray) -> np.ndarray:
    """A copy in the light of its new place, which it becomes towards its border: uint8 (h, w, 3).

    A weighted mean of two grainy pictures has less grain than either, a seam that a network would learn; so grain is
    weighted such that its variance stays, after Heitz and Neyret (2018), and only what is coarser is averaged.
    """
    copy, box = place.pixels, place.box
    ring = _ring(copy.shape[:2], box)
    own, there = copy[ring].mean(0, dtype=np.float32), onto[ring].mean(0, dtype=np.float32)
    light = (copy.astype(np.float32) - own) * place.stronger + there
    dark = onto.astype(np.float32)
    side = 2 * max(1, round(min(box[0], box[1]) / 2)) + 1
    # the defect itself is no part of what is coarse around it, or it would have a halo
    known = cv2.blur(ring.astype(np.float32), (side, side))[..., None]
    coarse = np.where(known > 0, cv2.blur(light * ring[..., None], (side, side)) / np.maximum(known, 1e-6), light)
    coarse_there = cv2.blur(dark, (side, side))
    share = _ramp(copy.shape[:2], box)[..., None]
    fine = (share * (light - coarse) + (1 - share) * (dark - coarse_there)) / np.sqrt(share**2 + (1 - share) ** 2)
    return np.asarray(np.clip(share * coarse + (1 - share) * coarse_there + fine + 0.5, 0, 255).astype(np.uint8))


def _ramp(shape: tuple[int, ...], box: np.ndarray) -> np.ndarray:
    """1 in a box, 0 at the border around it, smooth between: float32 (h, w)."""
    far = []
    for length, low, high in zip(shape, box[:2], box[2:], strict=True):
        place = np.arange(length) + 0.5
        before, behind = (low - place) / low, (place - high) / (length - high)
        far.append(np.maximum(np.maximum(before, behind), 0))
    away = np.minimum(np.hypot.outer(*far), 1)
    return np.asarray(1 - away**2 * (3 - 2 * away), np.float32)
