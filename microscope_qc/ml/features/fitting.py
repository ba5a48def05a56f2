"""Fits boxes to the pixels: what is inside of a defect is learned from the labels, each against its surroundings.

The head says where a defect is, on cells of 16 pixels; from few labels its boxes are rough. Here every part of a small
picture around such a box gets a probability of being inside, from how it differs from the middle and from the
surroundings, and the box with the largest expected overlap is taken. It is learned on boxes as wrong as those of the
head, and kept only as far as boxes of labels that were left out agree better with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.matching import overlaps
from microscope_qc.ml.features.contrast import CELLS, Contrast, middles
from microscope_qc.ml.features.crops import Crops, read_crops, reading_order

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

LEAST = 6
"""Of fewer labels nothing is learned about boxes."""
_MOST_LABELS = 200
_STARTS = 4
"""Boxes to begin with, for each label: that of when it was left out, and some as wrong as those of others."""
_MOST_ROWS = 60_000
_TREES, _LEAVES, _RATE, _LEAST_IN_LEAF, _CALM = 60, 12, 0.08, 60, 5.0
_FOLDS = 2
_TIMES = 2
"""A box is fitted so often: one that was far too small shows all of the defect only when it was fitted once."""
_BLENDS = (0.0, 0.5, 1.0)
"""How far boxes may be moved from those of the head to the fitted ones."""
_MOST_SHIFT, _MOST_GROWTH = 0.6, 1.2
_AT_ONCE = 60
_FIRST, _LAST = np.triu_indices(CELLS + 1, 1)


@dataclass(frozen=True, slots=True)
class FitLesson:
    """Labels of a slide, (n, 4) as y0, x0, y1, x1 in full-resolution pixels.

    Attributes
    ----------
    boxes
        As the user left them.
    left_out
        As the head has them that did not know them; not a number where it has none.
    opened
        Opens the slide.
    """

    boxes: Floats
    left_out: Floats
    opened: Callable[[], AbstractContextManager[Mosaic]]


@dataclass(frozen=True, slots=True)
class FittedBoxes:
    """Boxes (n, 4), and how sure each is (n,): its expected overlap, 1 where that is as usual for labels."""

    boxes: Floats
    sure: Floats


@dataclass(frozen=True, slots=True, eq=False)
class BoxFit:
    """What was learned.

    Attributes
    ----------
    contrast
        Describes pictures.
    inside
        A classifier of cells.
    blend
        How far boxes are moved to the fitted ones.
    usual
        Expected overlap of the fitted boxes of the labels, each left out in turn.
    """

    contrast: Contrast
    inside: Any
    blend: float
    usual: float

    def fitted(self, mosaic: Mosaic, boxes: Floats) -> Job[FittedBoxes]:
        """Fit boxes (n, 4) in full-resolution pixels; where a slide cannot be read they stay as they are."""
        done, sure = np.array(boxes, float), np.ones(len(boxes))
        order = reading_order(done)
        for start in range(0, len(order), _AT_ONCE):
            yield Progress(start, len(order), "places", "looking")
            rows = order[start : start + _AT_ONCE]
            for _ in range(_TIMES):
                crops = read_crops(mosaic, done[rows])
                rows, crops = rows[crops.there], crops.only(crops.there)
                if len(rows):
                    new, overlap = _fit(self.inside, self.contrast(crops), crops)
                    done[rows] += self.blend * (new - done[rows])
                    sure[rows] = overlap / self.usual
        return FittedBoxes(done, sure)


def learn_fit(lessons: Sequence[FitLesson], *, seed: int = 0) -> Job[BoxFit | None]:
    """Learn from labels how boxes lie; None where there are too few, or where the head's boxes are as good.

    Raises
    ------
    SlideError
        When a slide cannot be opened.
    """
    rng = np.random.default_rng(seed)
    steps = len(lessons) + _FOLDS + 1
    truth, crops, of = yield from _examples(lessons, rng, steps)
    if len(np.unique(of)) < LEAST:
        return None
    own = np.unique(of, return_index=True)[1]
    contrast = Contrast(crops.only(own))
    batches = [np.arange(start, min(start + _AT_ONCE, len(of))) for start in range(0, len(of), _AT_ONCE)]
    described = np.concatenate([contrast(crops.only(rows)) for rows in batches])
    inside = _are_inside(crops, truth[of])
    fold = rng.permutation(len(truth)) % _FOLDS
    fitted, expected = np.zeros((len(own), 4)), np.zeros(len(own))
    for number in range(_FOLDS):
        yield Progress(len(lessons) + number, steps, "steps", "learning")
        known, held = fold[of] != number, fold[of[own]] == number
        if held.any() and known.any():
            judge = _classifier(described[known], inside[known], rng)
            fitted[held], expected[held] = _fit(judge, described[own[held]], crops.only(own[held]))
    yield Progress(steps - 1, steps, "steps", "learning")
    before = crops.boxes[own]
    agreed = [float(overlaps(before + blend * (fitted - before), truth[of[own]]).mean()) for blend in _BLENDS]
    blend = _BLENDS[int(np.argmax(agreed))]
    if not blend:
        return None
    return BoxFit(contrast, _classifier(described, inside, rng), blend, max(float(np.median(expected)), 1e-3))


def _examples(lessons: Sequence[FitLesson], rng: np.random.Generator, steps: int) -> Job[tuple[Floats, Crops, Ints]]:
    """Labels (n, 4), pictures around boxes to begin with, and of which label each is; the first of each is its own."""
    truth, left_out = (np.concatenate([getattr(lesson, name) for lesson in lessons]) for name in ("boxes", "left_out"))
    slide = np.repeat(np.arange(len(lessons)), [len(lesson.boxes) for lesson in lessons])
    usable = np.flatnonzero(np.isfinite(left_out).all(axis=1) & (truth[:, 2:] - truth[:, :2] >= 1).all(axis=1))
    usable = np.sort(rng.permutation(usable)[:_MOST_LABELS])
    truth, left_out, slide = truth[usable], left_out[usable], slide[usable]
    starts, of = _starts(truth, left_out, rng)
    parts, rows = [], []
    for number, lesson in enumerate(lessons):
        yield Progress(number, steps, "steps", "learning")
        mine = np.flatnonzero(slide[of] == number)
        if len(mine):
            with lesson.opened() as mosaic:
                crops = read_crops(mosaic, starts[mine])
            parts.append(crops.only(crops.there))
            rows.append(of[mine][crops.there])
    if not parts:
        none = np.zeros((0, 4))
        return truth, Crops(np.zeros((0, 1, 1, 3), np.uint8), none, none, np.zeros(0, bool)), of[:0]
    together = Crops(*(np.concatenate([getattr(part, name) for part in parts]) for name in Crops.__slots__))
    return truth, together, np.concatenate(rows)


def _starts(truth: Floats, left_out: Floats, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Boxes as wrong as those of labels that were left out, and of which label each is."""
    sides, middle = truth[:, 2:] - truth[:, :2], (truth[:, :2] + truth[:, 2:]) / 2
    their_sides = left_out[:, 2:] - left_out[:, :2]
    shift = ((left_out[:, :2] + left_out[:, 2:]) / 2 - middle) / their_sides
    shift = np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT)
    growth = np.clip(np.log(their_sides / sides), -_MOST_GROWTH, _MOST_GROWTH)
    starts = []
    for number in range(_STARTS if len(truth) else 0):
        other = rng.permutation(len(truth)) if number else np.arange(len(truth))
        turned = rng.choice([-1.0, 1.0], (len(truth), 2)) if number else 1.0
        grown = np.exp(growth[other]) * sides
        moved = middle + turned * shift[other] * grown
        starts.append(np.concatenate([moved - grown / 2, moved + grown / 2], axis=1))
    return np.concatenate([np.zeros((0, 4)), *starts]), np.tile(np.arange(len(truth)), _STARTS if len(truth) else 0)


def _are_inside(crops: Crops, truth: Floats) -> np.ndarray:
    """Which cells have their middle within the true boxes: (n, CELLS, CELLS)."""
    y, x = middles(crops.frames)
    rows, columns = (y > truth[:, :1]) & (y < truth[:, 2:3]), (x > truth[:, 1:2]) & (x < truth[:, 3:])
    inside: np.ndarray = rows[:, :, None] & columns[:, None]
    return inside


def _classifier(described: Floats, inside: np.ndarray, rng: np.random.Generator) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, wanted = described.reshape(-1, described.shape[-1]), inside.ravel()
    if len(rows) > _MOST_ROWS:
        some = rng.permutation(len(rows))[:_MOST_ROWS]
        rows, wanted = rows[some], wanted[some]
    trees = HistGradientBoostingClassifier(
        max_iter=_TREES, max_leaf_nodes=_LEAVES, learning_rate=_RATE, min_samples_leaf=_LEAST_IN_LEAF,
        l2_regularization=_CALM, early_stopping=False, random_state=0,
    )  # fmt: skip
    with threadpool_limits(1, user_api="openmp"):  # waiting for each other, they took longer on a computer that is busy
        return trees.fit(rows, wanted)


def _fit(inside: Any, described: Floats, crops: Crops) -> tuple[Floats, Floats]:
    """Boxes of the largest expected overlap (n, 4), and that overlap (n,)."""
    with threadpool_limits(1, user_api="openmp"):
        shares = inside.predict_proba(described.reshape(-1, described.shape[-1]))
    likely = shares[:, list(inside.classes_).index(True)] if len(inside.classes_) > 1 else np.ones(len(shares))
    boxes, overlap = np.empty((len(described), 4)), np.empty(len(described))
    for row, (picture, frame) in enumerate(zip(likely.reshape(-1, CELLS, CELLS), crops.frames, strict=True)):
        cells, overlap[row] = _best(picture)
        cell = (frame[2:] - frame[:2]) / CELLS
        boxes[row] = np.tile(frame[:2], 2) + cells * np.tile(cell, 2)
    return boxes, overlap


def _best(likely: Floats) -> tuple[Floats, float]:
    """The box y0, x0, y1, x1 in cells with the largest expected overlap, and that overlap.

    Of a box it is about the sum of the probabilities within, by its area and the sum of those outside.
    """
    summed = np.zeros((CELLS + 1, CELLS + 1))
    summed[1:, 1:] = likely.cumsum(axis=0).cumsum(axis=1)
    rows = summed[_LAST] - summed[_FIRST]
    within = rows[:, _LAST] - rows[:, _FIRST]
    side = _LAST - _FIRST
    overlap = within / (side[:, None] * side[None] + likely.sum() - within)
    y, x = np.unravel_index(int(overlap.argmax()), overlap.shape)
    return np.array([_FIRST[y], _FIRST[x], _LAST[y], _LAST[x]], float), float(overlap[y, x])
