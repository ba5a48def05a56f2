"""A network of the task; torch is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.ml.architectures.base import Architecture, NetworkSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.ml.tasks.base import Task

CELL = 4
"""Side of a place, in pixels of the model."""
CLASSES = ["DARK", "GREY", "BRIGHT"]
EDGES = (80.0, 160.0)
"""Grey values between the classes."""


class BandSettings(NetworkSettings):
    """``pause_s``: how long a batch takes."""

    pause_s: float = 0.0


class BandArchitecture(Architecture[BandSettings]):
    """Nothing is learned."""

    name, task, title, settings = "grey-bands", "bands", "Mean grey of every place", BandSettings

    def stride_px(self, settings: BandSettings) -> int:
        return CELL

    def build(self, settings: BandSettings, classes: int) -> nn.Module:
        from microscope_qc_example.network import GreyBands

        return GreyBands(settings)

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> Task:
        from microscope_qc_example.network import BandTask

        return BandTask(card, network, device=device)


GREY_BANDS = BandArchitecture()
