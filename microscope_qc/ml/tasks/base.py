"""What a model does with tiles, as the engine sees it: prepare pixels, compute, make results. No torch in here.

Detectors, window classifiers and anomaly models are tasks; whatever scores or marks tiles can be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a tile gave: candidates (CANDIDATE_DTYPE, in the tile's model pixels), and scores of its places.

    ``heat`` is (classes, rows, columns) float32, one value for each cell of the task's :class:`HeatGrid`; None for
    tasks that have no heat map.
    """

    candidates: np.ndarray
    heat: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class HeatGrid:
    """Cells of a tile that carry scores: the first begins ``start_px`` from the tile's corner, all are ``cell_px``."""

    start_px: float
    cell_px: float


class Task(Protocol):
    """A model on a device.

    ``prepare`` is called in reader threads, ``compute`` in the engine's own, ``results`` in the one that writes.
    """

    card: ModelCard
    heat: HeatGrid | None
    seams: bool
    """Whether tiles look twice at their overlap, so that what lies beside a border is better left to the neighbour."""

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

    def compute(self, slots: Tensor, size: Size) -> Any:
        """Run the network on prepared slots (B, H, W, 3), of which ``size`` is no padding."""

    def results(self, computed: Any, size: Size) -> list[Found]:
        """What the pictures gave, from what :meth:`compute` returned."""

    def parts(self, shape: Size) -> list[Region]:
        """Pieces of a slot of this shape that can be computed one by one; none where it cannot be taken apart."""

    def join(self, founds: Sequence[Found], parts: Sequence[Region], shape: Size) -> Found:
        """Put the results of the pieces of one slot together."""

    def compile(self) -> None:
        """Compile the network, where a run is long enough for that."""

    def to_cpu(self) -> None:
        """Move to the processor for good."""
