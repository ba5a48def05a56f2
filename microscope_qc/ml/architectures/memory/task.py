"""The memory of normal places, run over tiles: a map of how unusual places are, and regions of unusual ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.architectures.memory.network import NormalMemory
from microscope_qc.ml.cards import AnomalySettings, ModelCard
from microscope_qc.ml.heap import keep_freed_memory
from microscope_qc.ml.tasks.base import CellGrid, NetworkOutput, Size, TileResult
from microscope_qc.ml.tasks.on_device import OnDevice
from microscope_qc.ml.tasks.regions import regions_of
from microscope_qc.ml.tasks.tail import confidences


class MemoryTask(OnDevice[Tensor]):
    """A memory of normal places as the engine runs it.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    stride = 32
    seams = True

    def __init__(self, card: ModelCard, network: NormalMemory, *, device: torch.device, threshold: float) -> None:
        if card.anomaly is None:
            raise ModelError(f"The card of {card.name} does not say which distances are anomalous.")
        if device.type == "cpu":
            keep_freed_memory()
        super().__init__(card, network, device=device)
        self.anomaly: AnomalySettings = card.anomaly
        self.cell_px = network.settings.cell_px
        self.heat = CellGrid(0.0, self.cell_px)
        self._threshold = threshold

    def _forward(self, images: Tensor, size: Size) -> Tensor:
        return cast(Tensor, self.run(images[:, :, : size[0], : size[1]]))  # padding is like nothing that was seen

    def read_out(self, said: Tensor) -> tuple[Tensor, ...]:
        """Distances (B, rows, columns)."""
        return (said.float(),)

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        (distances,) = self.fetched(output)
        return [self._found(one, size) for one in distances.numpy()]

    def _found(self, distances: np.ndarray, size: Size) -> TileResult:
        sure = confidences(distances, self.anomaly)
        return TileResult(regions_of(sure, cell_px=self.cell_px, size=size, least=self._threshold), sure[None])

    def parts(self, shape: Size) -> list[Region]:
        """See :class:`microscope_qc.ml.tasks.base.Task`; a tile is not divided: tiles may be computed one by one."""
        return []

    def join(self, results: Sequence[TileResult], parts: Sequence[Region], shape: Size) -> TileResult:
        """See :class:`microscope_qc.ml.tasks.base.Task`; there are no parts."""
        raise NotImplementedError
