"""What a head finds on a whole slide, from its stored features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from microscope_qc.core.arrays import Floats
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.features.grid import COARSE, FINE
from microscope_qc.ml.features.head import ALIGNED, SuggestionHead, boxes_of, places
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.quick_torchvision import torchvision

PART = 256
"""Cells of stride 16 along the side of a part that is looked at at once."""
HALO = 20
"""Cells around it on which what is found there depends, and in which it may end."""
LEAST = 0.05
"""Score of the weakest that is told."""
_IOU = 0.4
_MOST_OF_PART = 1000
_SAME = 0.6
"""Boxes that overlap by so much vote on where a place ends."""


@dataclass(frozen=True, slots=True)
class FoundPlaces:
    """Boxes (n, 4) as y0, x0, y1, x1 in full-resolution pixels and their scores (n,), the surest first."""

    boxes: Floats
    scores: Floats


def find_places(head: SuggestionHead, store: FeatureStore, *, most: int = 2000) -> Job[FoundPlaces]:
    """Look at a whole slide; overlapping boxes are one place."""
    grid = store.grid
    rows, columns = grid.shape
    parts = [Region(y, x, y + PART, x + PART) for y in range(0, rows, PART) for x in range(0, columns, PART)]
    boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    for number, part in enumerate(parts):
        found = _look(head, store, part)
        boxes.append(found[0])
        scores.append(found[1])
        yield Progress(number + 1, len(parts), "parts", "looking")
    every, sure = torch.cat(boxes), torch.cat(scores)
    keep = torchvision.ops.nms(every, sure, _IOU)[:most]
    px = grid.on_slide(_voted(every[keep], every, sure).numpy()[:, [1, 0, 3, 2]].astype(np.float64))
    limits = np.array([rows, columns, rows, columns]) * np.array(grid.cell_slide_px * 2)
    return FoundPlaces(np.clip(px, 0, limits), sure[keep].numpy())


@torch.inference_mode()
def _look(head: SuggestionHead, store: FeatureStore, part: Region) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (n, 4) as x0, y0, x1, y1 in pixels as the network sees them, and scores, of places within a part."""
    seen = _around(part, store.grid.shape)
    half = Region(seen.y0 // 2, seen.x0 // 2, -(-seen.y1 // 2), -(-seen.x1 // 2))
    fine, coarse = (torch.from_numpy(store.window(*of)).float()[None] for of in ((seen, FINE), (half, COARSE)))
    logits, distances = head.both_ways(fine, coarse)
    around = places(*seen.shape)
    sure = logits[0].sigmoid()
    corner = torch.tensor([seen.x0, seen.y0], dtype=torch.float32) * FINE
    points = around[:, :2] + corner
    low, high = torch.tensor([part.x0, part.y0]) * FINE, torch.tensor([part.x1, part.y1]) * FINE
    limit = torch.tensor(store.grid.shape[::-1]) * FINE
    own = ((points >= low) & (points < high) & (points < limit)).all(1) & (sure > LEAST)
    index = torch.nonzero(own).flatten()
    index = index[sure[index].argsort(descending=True)[:_MOST_OF_PART]]
    return boxes_of(distances[0, index], around[index]) + corner.repeat(2), sure[index]


def _around(part: Region, shape: tuple[int, int]) -> Region:
    """A part with what its places depend on, as far as the slide goes, of a size that the head takes."""
    sides = []
    for low, high, length in ((part.y0, part.y1, shape[0]), (part.x0, part.x1, shape[1])):
        first, last = max(low - HALO, -ALIGNED), min(high + HALO, length + ALIGNED)
        sides.append((first, first + -(-(last - first) // ALIGNED) * ALIGNED + 1))
    return Region(sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def _voted(kept: torch.Tensor, every: torch.Tensor, sure: torch.Tensor) -> torch.Tensor:
    """Boxes (n, 4) moved to the mean of all that overlap them nearly, weighted by how sure those are.

    Gidaris and Komodakis, "Object detection via a multi-region and semantic segmentation-aware CNN model" (ICCV 2015).
    """
    moved = []
    for some in kept.split(500):
        weights = sure[None] * (torchvision.ops.box_iou(some, every) >= _SAME)
        moved.append(weights @ every / weights.sum(1, keepdim=True))
    return torch.cat([torch.zeros(0, 4), *moved])
