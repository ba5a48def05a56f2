"""The network, and what it gives for a tile."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.core.geometry import Region
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.tasks.base import CellGrid, NetworkOutput, Size, TileResult
from microscope_qc.ml.tasks.on_device import OnDevice
from microscope_qc_example.architecture import CELL, EDGES, BandSettings


class GreyBands(nn.Module):
    """Tells by the mean of a cell which band of grey it is in."""

    def __init__(self, settings: BandSettings) -> None:
        super().__init__()
        self.pause_s = settings.pause_s
        self.edges = nn.Parameter(torch.tensor(EDGES) / 255, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(self.pause_s)
        grey = functional.avg_pool2d(images.float().mean(dim=1, keepdim=True), CELL)[:, 0]
        return torch.bucketize(grey, self.edges.float())


class BandTask(OnDevice[Tensor]):
    """The network as the engine runs it."""

    stride = CELL
    labels = CellGrid(0, CELL)

    def read_out(self, said: Tensor) -> tuple[Tensor, ...]:
        return (said,)

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        (labels,) = self.fetched(output)
        rows, columns = (-(-side // CELL) for side in size)
        return [TileResult(np.zeros(0, CANDIDATE_DTYPE), labels=own[:rows, :columns].numpy()) for own in labels]

    def parts(self, shape: Size) -> list[Region]:
        return []

    def join(self, results: Sequence[TileResult], parts: Sequence[Region], shape: Size) -> TileResult:
        raise AssertionError("it is never taken apart")
