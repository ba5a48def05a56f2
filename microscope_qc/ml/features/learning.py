"""Learns from what is labelled on slides: seconds on a processor, since the features are there already.

The evidence is linear in the features of a cell, after they were turned and scaled so that over the slide they have
unit covariance: the labels say in which direction from everything else defects lie, the slide itself how everything
else varies. With a strong penalty that is nearly Fisher's discriminant; a covariance of everything against a handful of
examples is the way of Hariharan, Malik and Ramanan, "Discriminative Decorrelation for Clustering and Classification"
(ECCV 2012). No torch in here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.features.cells import features_of_cells
from microscope_qc.ml.features.extent import CORE, CellLooks, Extents
from microscope_qc.ml.features.grid import FINE
from microscope_qc.ml.features.head import SuggestionHead
from microscope_qc.ml.features.standing import BACKGROUND, REJECTED, Lesson, away_from_middle, standing

BACKGROUND_CELLS = 30_000
"""Cells from anywhere that stand for the background."""
BLOCK = 8
"""Cells along the side of a block that is looked at."""
_COMPLETE_WEIGHT = 3.0
"""Weight of background where everything is labelled; elsewhere a defect may lie, which is rare."""
_MOST_DOUBTED = 0.05
"""Share of the background that may be left out because it looks like defects that nobody has labelled."""
_PENALTY = 5.0
_SHRINKAGE = 0.05
"""Share of the mean variance that is added to each: directions in which nothing varies say nothing."""
_STEPS = 25
_FOLDS = 5
_NEAR_CELLS = 0.6
_LEAST_SPREAD = 0.25
"""Of the evidence of labels, as a share of that over the slide: scores of a few labels that agree are not steps."""


@dataclass(frozen=True, slots=True)
class HeadAndLeftOut:
    """What was learned, and what it has instead of each label when it did not know it.

    Attributes
    ----------
    head
    left_out
        Boxes (n, 4) for the labels of each lesson, y0, x0, y1, x1 in full-resolution pixels; not a number where there
        is none.
    """

    head: SuggestionHead
    left_out: list[Floats]


def learn_head(lessons: Sequence[Lesson], *, seed: int = 0) -> Job[SuggestionHead]:
    """Learn from all that is labelled; see :func:`learn_with_left_out`."""
    return (yield from learn_with_left_out(lessons, seed=seed)).head


def learn_with_left_out(lessons: Sequence[Lesson], *, seed: int = 0) -> Job[HeadAndLeftOut]:
    """Learn from all that is labelled, and once for each part of the labels without it.

    Raises
    ------
    ModelError
        When nothing is.
    """
    count = sum(len(lesson.boxes) for lesson in lessons)
    if not count:
        raise ModelError("Nothing is labelled yet.", hint="Draw or confirm a defect.")
    rng = np.random.default_rng(seed)
    steps, sizes = len(lessons) + _FOLDS + 1, [float(np.prod(lesson.store.grid.shape)) for lesson in lessons]
    parts = []
    for number, (lesson, size) in enumerate(zip(lessons, sizes, strict=True)):
        yield Progress(number, steps, "steps", "learning")
        parts.append(_cells_of(lesson, BACKGROUND_CELLS * size / sum(sizes), rng))
    cells, rejected = _Cells.of_slides(parts, lessons), sum(len(lesson.rejected) for lesson in lessons)
    # of labels too, as of defects that nobody has labelled: otherwise those would be less unusual
    scaling = _Scaling.of(cells.features)
    rows = scaling.apply(cells.features)
    weights, bias = _discriminant(rows, cells.of, cells, rejected=rejected)
    around = _Around.of_lessons(lessons)
    held_out, left_out = np.full(count, np.nan), np.full((count, 4), np.nan)
    folds = rng.permutation(count) % min(_FOLDS, count)
    for fold in range(folds.max() + 1 if count > 1 else 0):
        yield Progress(len(lessons) + fold, steps, "steps", "learning")
        mine = np.isin(cells.of, np.flatnonzero(folds == fold))
        # as a defect that nobody has labelled
        of, unknown = np.where(mine, BACKGROUND, cells.of), replace(cells, near=cells.near & ~mine)
        if not (of >= 0).any():  # labels within each other may share their cells
            continue
        without, shift = _discriminant(rows, of, unknown, rejected=rejected)
        told = rows[mine] @ without + shift
        for label in np.unique(cells.of[mine]):
            held_out[label] = told[cells.of[mine] == label].max()
        for label, box in around.left_out(np.flatnonzero(folds == fold), without, scaling, rng).items():
            left_out[label] = box
    yield Progress(steps - 1, steps, "steps", "learning")
    evidence = rows @ weights + bias
    own, background = evidence[cells.of >= 0], evidence[cells.of == BACKGROUND]
    half, slope = _scale(held_out, own, background)
    turned = scaling.turned_back(weights)
    head = SuggestionHead(
        turned, float(bias - scaling.mean @ turned), half, slope, max(float(background.std()), 1e-6),
        around.extents(np.ones(len(around.of), bool), scaling, rng),
    )  # fmt: skip
    ends = np.cumsum([len(lesson.boxes) for lesson in lessons])[:-1]
    parts_of = zip(lessons, np.split(left_out, ends), strict=True)
    return HeadAndLeftOut(head, [lesson.store.grid.on_slide(boxes) for lesson, boxes in parts_of])


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells that are learned from: features (n, 432), what they are, and what is near and complete (n,).

    See :class:`Standing`.
    """

    features: Floats
    of: Ints
    near: Flags
    complete: Flags

    @property
    def looked_at(self) -> Flags:
        """Where somebody would have labelled a defect: (n,)."""
        return self.near | self.complete

    @classmethod
    def of_slides(cls, parts: Sequence[_Cells], lessons: Sequence[Lesson]) -> _Cells:
        """Those of all slides, their labels numbered on from slide to slide."""
        first = np.cumsum([0, *(len(lesson.boxes) for lesson in lessons)])
        of = [np.where(part.of >= 0, part.of + start, part.of) for part, start in zip(parts, first, strict=False)]
        features, near, complete = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "near", "complete")
        )
        return cls(features, np.concatenate(of), near, complete)


def _cells_of(lesson: Lesson, count: float, rng: np.random.Generator) -> _Cells:
    """Cells of labels and of what was rejected with those beside them, and about ``count`` cells from anywhere."""
    shape = lesson.store.grid.shape
    rows, columns = (-(-side // BLOCK) for side in shape)
    anywhere, near = np.zeros((rows, columns), bool), np.zeros((rows, columns), bool)
    anywhere.flat[rng.permutation(rows * columns)[: max(1, round(count / BLOCK**2))]] = True
    for box in lesson.store.grid.from_slide(np.concatenate([lesson.boxes, lesson.rejected]), stride=FINE):
        y0, x0, y1, x1 = (int(side // BLOCK) for side in box + np.array([-1, -1, 1, 1]))
        near[max(min(y0, rows - 1), 0) : y1 + 1, max(min(x0, columns - 1), 0) : x1 + 1] = True
    features, stand = [], []
    for y, x in zip(*np.nonzero(anywhere | near), strict=True):
        block = Region(y * BLOCK, x * BLOCK, (y + 1) * BLOCK, (x + 1) * BLOCK).clip(shape)
        stands = standing(lesson, block)
        background = (stands.of == BACKGROUND) & (stands.near | bool(anywhere[y, x]))
        wanted = (stands.of >= 0) | (stands.of == REJECTED) | background
        features.append(features_of_cells(lesson.store, block)[wanted])
        stand.append((stands.of[wanted], stands.near[wanted], stands.complete[wanted]))
    of, beside, complete = (np.concatenate(values) for values in zip(*stand, strict=True))
    return _Cells(np.concatenate(features), of, beside, complete)


@dataclass(frozen=True, slots=True)
class _Scaling:
    """Features less their mean, divided by their spread, turned by ``axes`` (432, 432): of unit covariance."""

    mean: Floats
    spread: Floats
    axes: Floats

    @classmethod
    def of(cls, features: Floats) -> _Scaling:
        """That of some features (n, 432)."""
        mean = features.mean(axis=0)
        spread = np.maximum(features.std(axis=0), 1e-3)
        scaled = (features - mean) / spread
        variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        return cls(mean, spread, axes / np.sqrt(np.maximum(variances, 0) + _SHRINKAGE * variances.mean()))

    def apply(self, features: Floats) -> Floats:
        """Scale features (n, 432)."""
        scaled: Floats = ((features - self.mean) / self.spread @ self.axes).astype(np.float32)
        return scaled

    def turned_back(self, weights: Floats) -> Floats:
        """Weights (432,) for features as they are."""
        turned: Floats = (self.axes @ weights / self.spread).astype(np.float32)
        return turned


def _discriminant(rows: Floats, of: Ints, cells: _Cells, *, rejected: int) -> tuple[Floats, float]:
    """Weights (432,) and bias of logistic regression; each label counts alike, and as much as all background.

    It is fitted twice: what looks more like a label than like the background, where nobody has looked, is not trained
    on as background the second time.

    Parameters
    ----------
    of : (n,)
        What the cells are.
    rejected
        Number of places that were rejected: each counts as a label does, and all together as the labels at most.
    """
    weight = _weights(of, cells.complete, rejected)
    first = _regression(rows, of >= 0, weight)
    evidence = rows @ first[0] + first[1]
    background, labels = evidence[of == BACKGROUND], evidence[of >= 0]
    limit = max((background.mean() + labels.mean()) / 2, np.quantile(background, 1 - _MOST_DOUBTED))
    doubted = (of == BACKGROUND) & ~cells.looked_at & (evidence > limit)
    return _regression(rows, of >= 0, np.where(doubted, 0.0, weight))


def _regression(rows: Floats, positive: Flags, weight: Floats) -> tuple[Floats, float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=0.5 / _PENALTY, max_iter=_STEPS)
    with warnings.catch_warnings():  # the last steps change nothing that is seen, and take longest
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(rows, positive, sample_weight=weight)
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def _weights(of: Ints, complete: Flags, rejected: int) -> Floats:
    """How much each cell counts."""
    weight = np.zeros(len(of))
    labels, index, counts = np.unique(of[of >= 0], return_inverse=True, return_counts=True)
    weight[of >= 0] = 1 / counts[index] / max(len(labels), 1)
    background = of == BACKGROUND
    weight[background] = np.where(complete[background], _COMPLETE_WEIGHT, 1.0)
    weight[background] /= weight[background].sum()
    weight[of == REJECTED] = min(1.0, rejected / max(len(labels), 1)) / max((of == REJECTED).sum(), 1)
    return weight


def _scale(held_out: Floats, own: Floats, background: Floats) -> tuple[float, float]:
    """Evidence of a score of 0.5, and how fast scores rise there.

    A score is about the share of labels with less evidence, were they left out (a logistic curve for the normal
    distribution). Of one label it is not known how much it would have: half of what it has.
    """
    held_out = held_out[np.isfinite(held_out)]
    if len(held_out) < 2:
        held_out = np.array([(own.mean() + background.mean()) / 2])
    width = max(float(held_out.std()), _LEAST_SPREAD * float(background.std()), 1e-6)
    return float(np.median(held_out)), 1.7 / width


@dataclass(frozen=True, slots=True)
class _Around:
    """Cells within labels: how they look, where the label ends from there (n, 4), which label (n,), all boxes (m, 4).

    In pixels as the network sees them.
    """

    looks: CellLooks
    sides: Floats
    of: Ints
    boxes: Floats

    @classmethod
    def of_lessons(cls, lessons: Sequence[Lesson]) -> _Around:
        """Those of all labels, which are numbered on from slide to slide."""
        looks, sides, of = list[CellLooks](), list[Floats](), list[Ints]()
        every = [(lesson, box) for lesson in lessons for box in lesson.store.grid.from_slide(lesson.boxes)]
        for number, (lesson, box) in enumerate(every):
            y0, x0, y1, x1 = box / FINE
            seen = Region(int(y0) - 1, int(x0) - 1, int(y1) + 2, int(x1) + 2).clip(lesson.store.grid.shape)
            if not (seen.shape[0] > 0 and seen.shape[1] > 0):
                continue
            away = away_from_middle(box, seen, core=CORE, near_cells=_NEAR_CELLS)
            y, x = np.nonzero(away <= max(1.0, float(away.min())))
            features = features_of_cells(lesson.store, Region(seen.y0 - 1, seen.x0 - 1, seen.y1 + 1, seen.x1 + 1))
            looks.append(CellLooks.around(features, y + 1, x + 1))
            corner = np.stack([y + seen.y0, x + seen.x0, y + seen.y0, x + seen.x0], axis=1) * float(FINE)
            sides.append(box - corner)
            of.append(np.full(len(y), number))
        boxes = np.stack([box for _, box in every])
        return cls(CellLooks.joined(looks), np.concatenate(sides), np.concatenate(of), boxes)

    def extents(self, rows: Flags, scaling: _Scaling, rng: np.random.Generator) -> Extents:
        """Learned from some of the cells."""
        known = self.looks.only(rows), self.sides[rows], self.of[rows]
        return Extents(*known, mean=scaling.mean, spread=scaling.spread, rng=rng)

    def left_out(self, labels: Ints, weights: Floats, scaling: _Scaling, rng: np.random.Generator) -> dict[int, Floats]:
        """Boxes y0, x0, y1, x1 of some labels, learned from the others: their cells vote by their evidence."""
        held = np.isin(self.of, labels)
        if held.all() or not held.any():
            return {}
        looks, of = self.looks.only(held), self.of[held]
        said = self.extents(~held, scaling, rng).sides(looks)
        middle = looks.fine.shape[1] // 2
        features = np.concatenate([looks.fine[:, middle, middle], looks.coarse], axis=1)
        evidence = scaling.apply(features) @ weights
        spread = max(float(evidence.std()), 1e-6)
        boxes = {}
        for label in np.unique(of):
            mine = of == label
            votes = np.exp((evidence[mine] - evidence[mine].max()) / spread)
            apart = (votes[:, None] * (said[mine] - self.sides[held][mine])).sum(axis=0) / votes.sum()
            boxes[int(label)] = self.boxes[label] + apart
        return boxes
