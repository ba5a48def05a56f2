"""Trains the head on what is labelled on slides: seconds on a processor, since the features are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.matching import areas, intersections
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.one_stage.loss import assign
from microscope_qc.ml.features.grid import COARSE, FINE
from microscope_qc.ml.features.head import ALIGNED, SuggestionHead, boxes_of, places
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.quick_torchvision import torchvision

STEPS = 200
SIDE = 17
"""Cells of stride 16 along the side of a window that is learned from."""
WINDOWS = 16
_NEAR_LABELS, _AT_REJECTED = 0.75, 0.1
"""Shares of the windows that show a label, and that show something rejected; the rest may lie anywhere."""
_RATE, _DECAY = 5e-3, 1e-2
_UNLABELLED = 0.3
"""Weight of area where nobody has looked: it is probably background."""
_REJECTED = 2.0
_DOUBTED = 0.35
"""Unlabelled places that the model takes for something, so surely, do not count once it has learned a little."""
_BELIEVED_FROM = 0.4
"""Share of the steps after which that holds."""
_AROUND_PX = 48.0
"""What is so near a label was looked at: it counts fully."""
_CUT = 0.5
"""Less of a box within a window is no box to be found there."""
_BOX_WEIGHT = 2.0
_NEGATIVE_SHARE = 0.75
_SAMPLE = 4000


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a slide; boxes (n, 4) are y0, x0, y1, x1 in full-resolution pixels.

    Attributes
    ----------
    boxes
        Defects that a user drew or confirmed.
    rejected
        What a user said is none.
    unknown
        What was found, but not judged: neither.
    complete
        Cells of stride 16 (rows, columns) where everything is labelled; None where that is nowhere.
    """

    store: FeatureStore
    boxes: Floats
    rejected: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    unknown: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    complete: Flags | None = None


def learn_head(lessons: Sequence[Lesson], *, seed: int = 0, steps: int = STEPS) -> Job[SuggestionHead]:
    """Train a head on all that is labelled.

    Raises
    ------
    ModelError
        When nothing is.
    """
    if not any(len(lesson.boxes) for lesson in lessons):
        raise ModelError("Nothing is labelled yet.", hint="Draw or confirm a defect.")
    torch.manual_seed(seed)
    head, windows = SuggestionHead(), Windows(lessons, seed=seed)
    head.know(*windows.sample())
    optimiser = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.15)
    around = places(SIDE, SIDE)
    for step in range(steps):
        drawn = windows.draw(WINDOWS)
        logits, distances = head(drawn.fine, drawn.coarse)
        believed = step >= _BELIEVED_FROM * steps
        loss = suggestion_loss(logits, boxes_of(distances, around), around, drawn.targets, doubt=believed)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        rate.step()
        yield Progress(step + 1, steps, "steps", "learning")
    return head.eval()


@dataclass(frozen=True, slots=True)
class WindowTarget:
    """What is known of a window: its defects, and where which background counts, all x0, y0, x1, y1 in its pixels."""

    defects: BoxTarget
    near: Tensor
    rejected: Tensor
    complete: Tensor | None

    def weights(self, around: Tensor) -> tuple[Tensor, Tensor]:
        """How much each place (N, 3) counts as background, and whether it is known to be."""
        points = around[:, :2]
        known = _inside(points, self.near)
        if self.complete is not None:
            y, x = (points[:, [1, 0]] // FINE).long().T
            known |= self.complete[y, x]
        no = _inside(points, self.rejected)
        weight = torch.where(known, 1.0, _UNLABELLED)
        weight = torch.where(no, _REJECTED, weight)
        return torch.where(self.defects.ignores(points) & ~no, 0.0, weight), known | no


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    inside = (points[:, None] > boxes[None, :, :2]) & (points[:, None] < boxes[None, :, 2:])
    return inside.all(2).any(1)


def suggestion_loss(
    logits: Tensor, boxes: Tensor, around: Tensor, targets: Sequence[WindowTarget], *, doubt: bool
) -> Tensor:
    """As that of the one-stage detector, with weights of what is background for sure and of what probably is.

    Parameters
    ----------
    logits : Tensor, (B, N)
    boxes : Tensor, (B, N, 4)
        x0, y0, x1, y1 in pixels of the window.
    around : Tensor, (N, 3)
    doubt
        Leave out places where the model finds something of which nobody has said that it is nothing.
    """
    scores = logits.detach().sigmoid()
    wanted, counted = torch.zeros_like(scores), torch.ones_like(scores)
    found, truth, weight = [], [], []
    for number, target in enumerate(targets):
        owner, score = assign(scores[number, :, None], boxes[number].detach(), around, target.defects)
        mine = torch.nonzero(owner >= 0).flatten()
        counts, known = target.weights(around)
        if doubt:
            counts = torch.where(~known & (scores[number] > _DOUBTED), 0.0, counts)
        counts[mine] = 1.0
        wanted[number, mine], counted[number] = score[mine], counts
        found.append(boxes[number, mine])
        truth.append(target.defects.boxes[owner[mine]])
        weight.append(score[mine])
    each, total = torch.cat(weight), torch.cat(weight).sum().clamp(min=1)
    share = torch.where(wanted > 0, wanted, _NEGATIVE_SHARE * scores.square()) * counted
    there = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * share
    miss = torchvision.ops.generalized_box_iou_loss(torch.cat(found), torch.cat(truth))
    loss: Tensor = (there.sum() + _BOX_WEIGHT * (miss * each).sum()) / total
    return loss


@dataclass(frozen=True, slots=True)
class DrawnWindows:
    """Windows of both maps (B, rows, columns, channels), and what is known of each."""

    fine: Tensor
    coarse: Tensor
    targets: list[WindowTarget]


class Windows:
    """Draws windows to learn from."""

    def __init__(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        self._lessons = lessons
        self._rng = np.random.default_rng(seed)
        self._labels = [
            (n, box) for n, lesson in enumerate(lessons) for box in lesson.store.grid.from_slide(lesson.boxes)
        ]
        self._rejected = [
            (n, box) for n, lesson in enumerate(lessons) for box in lesson.store.grid.from_slide(lesson.rejected)
        ]
        sizes = np.array([np.prod(lesson.store.grid.shape) for lesson in lessons], float)
        self._shares = sizes / sizes.sum()

    def sample(self) -> tuple[Tensor, Tensor]:
        """Features (n, channels) of both maps from anywhere."""
        drawn = [self._anywhere() for _ in range(-(-_SAMPLE // SIDE**2))]
        maps = (
            [self._lessons[n].store.window(cells if stride == FINE else _halved(cells), stride) for n, cells in drawn]
            for stride in (FINE, COARSE)
        )
        fine, coarse = (torch.from_numpy(np.concatenate([m.reshape(-1, m.shape[-1]) for m in of])) for of in maps)
        return fine.float(), coarse.float()

    def draw(self, count: int) -> DrawnWindows:
        """So many windows, turned over at random."""
        maps: dict[int, list[np.ndarray]] = {FINE: [], COARSE: []}
        targets = []
        for number in range(count):
            lesson, cells = self._place(number / count)
            flips = tuple(axis for axis in (0, 1) if self._rng.random() < 0.5)
            for stride, windows in maps.items():
                window = lesson.store.window(cells if stride == FINE else _halved(cells), stride)
                windows.append(np.flip(window, flips))
            targets.append(_target(lesson, cells, flips))
        fine, coarse = (torch.from_numpy(np.stack(windows)).float() for windows in maps.values())
        return DrawnWindows(fine, coarse, targets)

    def _place(self, share: float) -> tuple[Lesson, Region]:
        if share < _NEAR_LABELS:
            number, cells = self._showing(self._labels)
        elif share < _NEAR_LABELS + _AT_REJECTED and self._rejected:
            number, cells = self._showing(self._rejected)
        else:
            number, cells = self._anywhere()
        return self._lessons[number], cells

    def _showing(self, known: list[tuple[int, Floats]]) -> tuple[int, Region]:
        """A window in which one of some boxes lies anywhere."""
        number, box = known[int(self._rng.integers(len(known)))]
        starts = []
        for low, high in ((box[0], box[2]), (box[1], box[3])):
            last, first = low / FINE, high / FINE - SIDE
            starts.append(_aligned(self._rng.uniform(min(first, last), max(first, last))))
        y, x = starts
        return number, Region(y, x, y + SIDE, x + SIDE)

    def _anywhere(self) -> tuple[int, Region]:
        number = int(self._rng.choice(len(self._lessons), p=self._shares))
        rows, columns = self._lessons[number].store.grid.shape
        y, x = (_aligned(self._rng.uniform(-SIDE / 4, max(side - SIDE * 3 / 4, 0))) for side in (rows, columns))
        return number, Region(y, x, y + SIDE, x + SIDE)


def _aligned(cell: float) -> int:
    return round(cell / ALIGNED) * ALIGNED


def _halved(cells: Region) -> Region:
    return Region(cells.y0 // 2, cells.x0 // 2, -(-cells.y1 // 2), -(-cells.x1 // 2))


def _target(lesson: Lesson, cells: Region, flips: tuple[int, ...]) -> WindowTarget:
    grid = lesson.store.grid
    corner = np.array([cells.y0, cells.x0, cells.y0, cells.x0], float) * FINE
    side = float((SIDE - 1) * FINE)
    whole = np.array([0.0, 0.0, side, side])

    def within(boxes: Floats) -> Floats:
        local = grid.from_slide(boxes) - corner
        inside: Floats = local[intersections(local, whole[None]) > 0]
        return inside

    def turned(boxes: Floats) -> Tensor:
        turned_over = np.array(boxes, np.float32).reshape(-1, 4)
        for axis in flips:
            turned_over[:, [axis, axis + 2]] = side - turned_over[:, [axis + 2, axis]]
        return torch.from_numpy(np.ascontiguousarray(turned_over[:, [1, 0, 3, 2]]))

    labels = within(lesson.boxes)
    share = intersections(labels, whole[None]) / np.maximum(areas(labels), 1e-9)
    seen = labels[share >= _CUT]
    ignored = np.concatenate([within(lesson.unknown), labels[share < _CUT]])
    defects = BoxTarget(turned(seen), torch.zeros(len(seen), dtype=torch.int64), turned(ignored))
    near = labels + np.array([-_AROUND_PX, -_AROUND_PX, _AROUND_PX, _AROUND_PX])
    complete = None
    if lesson.complete is not None:
        inside = np.zeros((SIDE, SIDE), bool)
        part = cells.clip(grid.shape)
        inside[part.y0 - cells.y0 : part.y1 - cells.y0, part.x0 - cells.x0 : part.x1 - cells.x0] = lesson.complete[
            part.y0 : part.y1, part.x0 : part.x1
        ]
        complete = torch.from_numpy(np.flip(inside, flips).copy())
    return WindowTarget(defects, turned(near), turned(within(lesson.rejected)), complete)
