"""What a model does with tiles, as the engine sees it: prepare pixels, compute, make results. No torch at import.

Detectors, window classifiers and anomaly models are tasks; whatever scores, marks or labels tiles can be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a tile gave.

    Attributes
    ----------
    candidates : ndarray of CANDIDATE_DTYPE
        In the tile's model pixels; none where the task has no boxes.
    heat : ndarray of float32, (classes, rows, columns), or None
        Scores of places, one value for each cell of the task's ``heat`` grid.
    labels : ndarray of int, (rows, columns), or None
        What is seen at a place, an index into the card's classes for each cell of the task's ``labels`` grid.
    """

    candidates: np.ndarray
    heat: np.ndarray | None = None
    labels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Cells of a tile, in model pixels: the first begins ``start_px`` from the tile's corner, all are ``cell_px``."""

    start_px: float
    cell_px: float


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network said about a batch of slots.

    Attributes
    ----------
    shape
        Of the slots, (height, width).
    tensors
        In the computer's memory, complete as soon as the second of ``marks`` has passed.
    marks
        Events of a graphics card: when it began and when it ended; None from a processor.
    """

    shape: Size
    tensors: list[Tensor]
    marks: tuple[torch.cuda.Event, torch.cuda.Event] | None = None


class Task(Protocol):
    """A model on a device.

    ``prepare`` is called in reader threads, ``compute`` in the engine's own, ``results`` in the one that writes.
    """

    card: ModelCard
    heat: CellGrid | None
    """Cells that it scores; None without scores."""
    labels: CellGrid | None
    """Cells that it labels; None without labels. Where tiles overlap each tells of its own half."""
    seams: bool
    """Whether tiles show their overlap twice, so that candidates beside a border are better left to the neighbour."""
    busy_s: float
    """Seconds that a graphics card has computed; a processor's are measured by the engine."""

    @property
    def device(self) -> torch.device:
        """Where it computes now."""

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""

    def slot(self, shape: Size) -> tuple[Size, type[np.generic]]:
        """Size to which a tile of ``shape`` model pixels is padded, and the type of its values."""

    def prepare(self, pixels: np.ndarray, slot: np.ndarray) -> None:
        """Write pixels, uint8 (h, w, 3), into ``slot`` (H, W, 3); what is left of it is padding."""

    def compute(self, slots: Tensor, size: Size) -> Answers:
        """Run the network on prepared slots (B, H, W, 3), of which ``size`` is not padding."""

    def results(self, answers: Answers, size: Size) -> list[Found]:
        """What the pictures gave, from what :meth:`compute` returned."""

    def parts(self, shape: Size) -> list[Region]:
        """Pieces of a slot of this shape that can be computed one by one; none where it cannot be taken apart."""

    def join(self, founds: Sequence[Found], parts: Sequence[Region], shape: Size) -> Found:
        """Put the results of the pieces of one slot together."""

    def compile(self) -> None:
        """Compile the network, where a run is long enough for that."""

    def to_cpu(self) -> None:
        """Move to the processor for good."""
