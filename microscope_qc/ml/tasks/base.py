"""The interface between models and the engine: prepare pixels, compute, make results. No torch at import.

Detectors, window classifiers and anomaly models are tasks; so is anything that boxes, scores or labels places in tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TileResult:
    """The result of a tile.

    Attributes
    ----------
    candidates : ndarray of CANDIDATE_DTYPE
        In the tile's model pixels; none where the task has no boxes.
    heat : ndarray of float32, (classes, rows, columns), or None
        Scores for each cell of the task's ``heat`` grid.
    labels : ndarray of int, (rows, columns), or None
        Index into the card's classes for each cell of the task's ``labels`` grid.
    """

    candidates: np.ndarray
    heat: np.ndarray | None = None
    labels: np.ndarray | None = None


def not_numbers(model: str) -> ModelError:
    """Say that a model computed NaN or infinity, which must never count as "found nothing"."""
    return ModelError(
        f"The model {model} computed values that are not finite numbers, so its findings mean nothing.",
        hint="Its weights are damaged, or its training failed: copy the model again, or train it again.",
    )


def require_numbers(results: Sequence[TileResult], model: str) -> None:
    """Refuse results with scores or boxes that are not finite numbers.

    Raises
    ------
    ModelError
        When there are some.
    """
    for found in results:
        rows = found.candidates
        finite = all(np.isfinite(rows[name]).all() for name in ("y0", "x0", "y1", "x1", "confidence"))
        if not finite or (found.heat is not None and not np.isfinite(found.heat).all()):
            raise not_numbers(model)


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Cells of a tile, in model pixels: the first starts ``start_px`` from the tile's corner, all are ``cell_px``."""

    start_px: float
    cell_px: float


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """The output of a network for a batch of slots.

    Attributes
    ----------
    shape
        Height and width of the slots.
    tensors
        In the computer's memory, complete once the second of ``marks`` has been reached.
    marks
        Start and end events of a GPU; None on a CPU.
    """

    shape: Size
    tensors: list[Tensor]
    marks: tuple[torch.cuda.Event, torch.cuda.Event] | None = None


class Task(Protocol):
    """A model on a device.

    ``prepare`` is called in reader threads, ``compute`` in the engine's threads, ``results`` in the writing thread.
    """

    card: ModelCard
    heat: CellGrid | None
    """Grid of the scores; None without scores."""
    labels: CellGrid | None
    """Grid of the labels; None without labels. Where tiles overlap, each provides its own half."""
    seams: bool
    """Whether both tiles report findings in their overlap, so that each keeps only those in its own part."""
    busy_s: float
    """Seconds that a GPU has computed; those of a CPU are measured by the engine."""

    @property
    def device(self) -> torch.device:
        """The device it currently computes on."""

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""

    def slot(self, shape: Size) -> tuple[Size, type[np.generic]]:
        """Size to which a tile of ``shape`` model pixels is padded, and the dtype of its values."""

    def prepare(self, pixels: np.ndarray, slot: np.ndarray) -> None:
        """Write pixels, uint8 (h, w, 3), into ``slot`` (H, W, 3); the rest of it is padding."""

    def compute(self, slots: Tensor, size: Size) -> NetworkOutput:
        """Run the network on prepared slots (B, H, W, 3); ``size`` is their size without padding."""

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        """The result of each image, from the output of :meth:`compute`."""

    def parts(self, shape: Size) -> list[Region]:
        """Pieces of a slot of this shape that can be computed separately; none where it cannot be divided."""

    def join(self, results: Sequence[TileResult], parts: Sequence[Region], shape: Size) -> TileResult:
        """Join the results of the pieces of one slot."""

    def compile(self, *, wanted: bool = True) -> None:
        """Compile the network, where a run is long enough for that; otherwise take it uncompiled again."""

    def to_cpu(self) -> None:
        """Move to the CPU permanently."""
