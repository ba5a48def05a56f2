"""The autoencoder as an architecture. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field

from microscope_qc.ml.architectures.base import Architecture, NetworkSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.autoencoder.network import Autoencoder
    from microscope_qc.ml.architectures.autoencoder.task import AnomalyTask


class AutoencoderSettings(NetworkSettings):
    """Size of the network.

    Attributes
    ----------
    widths
        Channels after each halving.
    slope
        Negative slope of the rectifiers.
    """

    widths: tuple[Annotated[int, Field(gt=0, le=4096)], ...] = Field(
        default=(16, 32, 64, 96, 128), min_length=1, max_length=8
    )
    slope: float = Field(default=0.1, ge=0, le=1)


class AutoencoderArchitecture(Architecture[AutoencoderSettings]):
    """A network that reconstructs what it has often seen."""

    name, task, title = "autoencoder", "anomaly", "Convolutional autoencoder"
    settings = AutoencoderSettings

    def stride_px(self, settings: AutoencoderSettings) -> int:
        """See :class:`Architecture`."""
        return 1 << len(settings.widths)

    def build(self, settings: AutoencoderSettings, classes: int) -> Autoencoder:
        """See :class:`Architecture`; the number of classes does not matter."""
        from microscope_qc.ml.architectures.autoencoder.network import Autoencoder

        return Autoencoder(widths=settings.widths, slope=settings.slope)

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> AnomalyTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.autoencoder.task import AnomalyTask

        return AnomalyTask(card, cast("Autoencoder", network), device=device, threshold=threshold)


AUTOENCODER = AutoencoderArchitecture()
