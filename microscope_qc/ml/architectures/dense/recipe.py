"""How dense detectors are trained, whatever their network and loss; their confidences are calibrated in the end."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

from torch import Tensor, nn

from microscope_qc.core.jobs import Job
from microscope_qc.ml.architectures.dense.continuing import take_over
from microscope_qc.ml.architectures.dense.detector import DenseDetector, apply_calibration
from microscope_qc.ml.architectures.dense.settings import STRIDE_PX
from microscope_qc.ml.architectures.dense.targets import BoxTarget, target_of
from microscope_qc.ml.architectures.dense.task import DetectTask
from microscope_qc.ml.architectures.detecting import Colours, DetectingRecipe
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.crops import TrainingCrop
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.devices import autocast
from microscope_qc.ml.evaluation.calibration import fit_calibration


class DenseRecipe(DetectingRecipe):
    """Trains a :class:`DenseDetector`; see :class:`DetectingRecipe`."""

    def __init__(
        self,
        settings: TrainSettings,
        dataset: Dataset,
        *,
        normalisation: tuple[Colours, Colours] | None = None,
        stride_px: int = STRIDE_PX,
    ) -> None:
        super().__init__(settings, dataset, stride_px=stride_px, normalisation=normalisation)

    @abstractmethod
    def loss(
        self, network: DenseDetector, logits: Tensor, values: Tensor, targets: list[BoxTarget]
    ) -> dict[str, Tensor]:
        """Weighted losses by name, from the network's output for a batch of square crops."""

    def losses(self, network: nn.Module, batch: list[TrainingCrop], turn: int) -> dict[str, Tensor]:
        """See :class:`Recipe`."""
        detector = cast(DenseDetector, network)
        device = detector.classify.weight.device
        images = self.normalised(batch, device)
        with autocast(device):
            logits, values = detector(images)
        return self.loss(detector, logits, values, [target_of(crop) for crop in batch])

    def task_of(self, network: nn.Module, card: ModelCard, *, threshold: float) -> DetectTask:
        """See :class:`DetectingRecipe`."""
        detector = cast(DenseDetector, network)
        return DetectTask(card, detector, device=detector.classify.weight.device, threshold=threshold)

    def take_over(self, network: nn.Module, before: nn.Module, card: ModelCard) -> None:
        """All layers, and of the one that tells classes apart what belongs to a class that both know."""
        take_over(cast(DenseDetector, network), cast(DenseDetector, before), card, classes=self._dataset.classes)

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Calibrate the confidences on the validation part."""
        calibration = fit_calibration((yield from self.tally(network, dataset)))
        if calibration is not None:
            apply_calibration(cast(DenseDetector, network), calibration)
        said = None if calibration is None else [calibration.slope, *calibration.offsets]
        return self.card(network).model_copy(update={"training": {"calibration": said}})


def parameter_groups(parameters: list[nn.Parameter], *, rate: float, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for filters only: it harms normalisations and biases."""
    filters = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": filters, "lr": rate, "weight_decay": weight_decay},
        {"params": others, "lr": rate, "weight_decay": 0.0},
    ]
