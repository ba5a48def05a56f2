"""What a head finds on a whole slide, from its stored features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.ml.features.cells import features_of_cells
from microscope_qc.ml.features.fitting import FittedBoxes
from microscope_qc.ml.features.grid import FINE
from microscope_qc.ml.features.head import NEED, SuggestionHead
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.quick_torchvision import torchvision

PART = 256
"""Cells of stride 16 along the side of a part that is looked at at once."""
LEAST = 0.02
"""Score of the weakest that is told."""
_IOU = 0.1
"""Boxes that overlap by more are one place: from few labels the sizes of boxes are uncertain, and a defect is asked
about once. On the demo's slide as many defects are found as with 0.4."""
_SPARE = 1.5
"""So many times as many places get boxes as are told: some are the same."""


FITTED = 600
"""So many boxes, of the surest places, are fitted to the pixels."""
_UNFITTED = 0.3
"""How sure the boxes of the others are, beside those of labels."""
Fit = Callable[[Floats], Job[FittedBoxes]]


@dataclass(frozen=True, slots=True)
class FoundPlaces:
    """Boxes (n, 4) as y0, x0, y1, x1 in full-resolution pixels and their scores (n,), the surest first."""

    boxes: Floats
    scores: Floats

    def apart(self) -> FoundPlaces:
        """The surest of those that overlap."""
        corners = torch.from_numpy(self.boxes[:, [1, 0, 3, 2]]).float()
        keep = torchvision.ops.nms(corners, torch.from_numpy(self.scores).float(), _IOU).numpy()
        return FoundPlaces(self.boxes[keep], self.scores[keep])


def find_places(
    head: SuggestionHead, store: FeatureStore, *, most: int = 2000, fit: Fit | None = None
) -> Job[FoundPlaces]:
    """Look at a whole slide; overlapping boxes are one place.

    Parameters
    ----------
    fit
        Moves boxes to what is seen in the pixels, and says how sure they are then; the less sure come later.
    """
    shares = (1.0, 0.0) if fit is None else (0.3, 0.7)
    found = yield from retold(_found_by(head, store, most), lambda step: _share(step, 0.0, shares[0]))
    rows, columns = store.grid.shape
    limits = np.array([rows, columns, rows, columns]) * np.array(store.grid.cell_slide_px * 2)
    boxes, scores = np.clip(store.grid.on_slide(found.boxes), 0, limits), found.scores
    if fit is None:
        return FoundPlaces(boxes, scores)
    fitted = yield from retold(fit(boxes[:FITTED]), lambda step: _share(step, *shares))
    boxes[:FITTED] = np.clip(fitted.boxes, 0, limits)
    sure = np.concatenate([fitted.sure, np.full(len(boxes[FITTED:]), _UNFITTED)])
    return FoundPlaces(boxes, np.minimum(scores * sure, 1.0)).apart()


def _share(step: Progress, start: float, share: float) -> Progress:
    return replace(step, done=start + share * step.fraction, total=1, unit="")


def _found_by(head: SuggestionHead, store: FeatureStore, most: int) -> Job[FoundPlaces]:
    """Boxes are in pixels as the network sees them."""
    parts = list(_parts(store.grid.shape))
    tops = []
    for number, part in enumerate(parts):
        yield Progress(number, 2 * len(parts), "parts", "looking")
        tops.append(_tops(head, store, part))
    every = np.concatenate([scores for _, _, scores in tops])
    least = np.sort(every)[-round(_SPARE * most)] if len(every) > _SPARE * most else 0.0
    boxes: list[Floats] = [np.zeros((0, 4))]
    scores: list[Floats] = [np.zeros(0)]
    for number, (part, (y, x, sure)) in enumerate(zip(parts, tops, strict=True)):
        yield Progress(len(parts) + number, 2 * len(parts), "parts", "looking")
        strong = sure >= least
        if strong.any():
            boxes.append(_boxes(head, store, part, y[strong], x[strong]))
            scores.append(sure[strong])
    found = FoundPlaces(np.concatenate(boxes), np.concatenate(scores)).apart()
    return FoundPlaces(found.boxes[:most], found.scores[:most])


def _parts(shape: tuple[int, int]) -> Iterator[Region]:
    for y in range(0, shape[0], PART):
        for x in range(0, shape[1], PART):
            yield Region(y, x, y + PART, x + PART).clip(shape)


def _seen(head: SuggestionHead, store: FeatureStore, part: Region) -> tuple[Floats, Floats]:
    """Features and evidence of a part and of the cells around it; beyond the slide the evidence is minus infinity."""
    seen = part.grow(NEED)
    features = features_of_cells(store, seen)
    evidence = np.full(seen.shape, -np.inf, np.float32)
    inside = seen.clip(store.grid.shape)
    own = (slice(inside.y0 - seen.y0, inside.y1 - seen.y0), slice(inside.x0 - seen.x0, inside.x1 - seen.x0))
    evidence[own] = head.evidence(features[own])
    return features, evidence


def _tops(head: SuggestionHead, store: FeatureStore, part: Region) -> tuple[Ints, Ints, Floats]:
    """Cells of a part with more evidence than those around them, and their scores."""
    evidence = _seen(head, store, part)[1]
    top = evidence >= cv2.dilate(evidence, np.ones((3, 3), np.uint8))
    scores = head.scores(evidence)
    y, x = np.nonzero((top & (scores >= LEAST))[NEED:-NEED, NEED:-NEED])
    return y, x, scores[y + NEED, x + NEED]


def _boxes(head: SuggestionHead, store: FeatureStore, part: Region, y: Ints, x: Ints) -> Floats:
    """Boxes of cells of a part, y0, x0, y1, x1 in pixels as the network sees them."""
    features, evidence = _seen(head, store, part)
    boxes = head.boxes(features, evidence, y + NEED, x + NEED)
    corner = np.array([part.y0 - NEED, part.x0 - NEED] * 2, float) * FINE
    placed: Floats = boxes + corner
    return placed
