"""What architectures of dense detectors have in common. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from microscope_qc.ml.architectures.base import Architecture, S
from microscope_qc.ml.architectures.dense.settings import STRIDE_PX
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.dense.detector import DenseDetector
    from microscope_qc.ml.architectures.dense.task import DetectTask


class DenseArchitecture(Architecture[S]):
    """A detector whose network is a :class:`microscope_qc.ml.architectures.dense.detector.DenseDetector`."""

    task = "detect"
    continues = True

    def stride_px(self, settings: S) -> int:
        """See :class:`Architecture`."""
        return STRIDE_PX

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> DetectTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.dense.task import DetectTask

        return DetectTask(card, cast("DenseDetector", network), device=device, threshold=threshold)
