"""How the single-shot detector is trained: random crops, focal and box losses, calibrated confidences."""

from __future__ import annotations

import copy
import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.jobs import Job
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.architectures.ssd.loss import BoxTarget, detection_loss
from microscope_qc.ml.architectures.ssd.network import SSD
from microscope_qc.ml.architectures.ssd.settings import STRIDE_PX
from microscope_qc.ml.architectures.ssd.task import DetectTask
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.crops import CropSampler, TrainingCrop
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.devices import autocast
from microscope_qc.ml.evaluation.calibration import Calibration, fit_calibration
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.on_slides import detection_report, tally_dataset
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tasks.images import TaskFinder

_CANDIDATE_CONFIDENCE = 0.05


class SSDRecipe(Recipe[list[TrainingCrop]]):
    """Trains a :class:`SSD`."""

    def __init__(self, settings: TrainSettings, dataset: Dataset) -> None:
        self._settings, self._dataset = settings, dataset
        self._sampler = CropSampler(
            dataset, side=settings.crop_px, model_um=settings.pixel_size_um, seed=settings.seed, stride_px=STRIDE_PX
        )
        self.steps_per_epoch = max(1, math.ceil(self._sampler.crops_per_epoch / settings.batch))
        self._mean, self._std = _normalisation(self._sampler.sample_pixels())
        self._default: tuple[Tensor, list[int]] | None = None

    def batch(self, step: int) -> list[TrainingCrop]:
        """See :class:`Recipe`."""
        return self._sampler.batch(step, self._settings.batch)

    def losses(self, network: nn.Module, batch: list[TrainingCrop], turn: int) -> dict[str, Tensor]:
        """Focal loss of the classes, and the loss of the boxes."""
        ssd = cast(SSD, network)
        device = ssd.classify.weight.device
        images = torch.from_numpy(np.stack([crop.pixels for crop in batch])).to(device)
        images = images.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) * 255 for v in (self._mean, self._std))
        with autocast(device):
            logits, offsets = ssd((images - mean) / std)
        if self._default is None:
            self._default = ssd.default_boxes(self._sampler.side, self._sampler.side)
        default, levels = self._default
        return detection_loss(logits, offsets, default=default, levels=levels, targets=[_target(c) for c in batch])

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """See :class:`Recipe`."""
        groups = parameter_groups(network, self._settings.weight_decay)
        return [torch.optim.AdamW(groups, lr=self._settings.learning_rate)]

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; measured at the best confidence for the data set."""
        return detection_report((yield from self._tally(network, dataset)))

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        return report.figures["f1"] + 0.5 * report.figures["map50"]

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Calibrate the confidences on the validation part."""
        calibration = fit_calibration((yield from self._tally(network, dataset)))
        if calibration is not None:
            apply_calibration(cast(SSD, network), calibration)
        said = None if calibration is None else [calibration.slope, *calibration.offsets]
        return self._card(cast(SSD, network)).model_copy(update={"training": {"calibration": said}})

    def _tally(self, network: nn.Module, dataset: Dataset) -> Job[Tally]:
        ssd = copy.deepcopy(cast(SSD, network))
        device = ssd.classify.weight.device
        task = DetectTask(self._card(ssd), ssd, device=device, threshold=_CANDIDATE_CONFIDENCE)
        return (yield from tally_dataset(TaskFinder(task), dataset))

    def _card(self, network: SSD) -> ModelCard:
        settings = self._settings
        return ModelCard(
            name=settings.network, task="detect", architecture=settings.network,
            network=network.settings.model_dump(mode="json"), classes=self._dataset.classes,
            class_names=self._dataset.names, pixel_size_um=settings.pixel_size_um, tile_px=settings.tile_px,
            overlap_px=min(settings.overlap_px, settings.tile_px // 2), mean=self._mean, std=self._std, confidence=0.5,
        )  # fmt: skip


def _normalisation(pixels: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each colour (0 to 1) of uint8 pixels (n, 3)."""
    values = pixels.astype(float) / 255
    red, green, blue = (round(float(value), 4) for value in values.mean(0))
    mean = (red, green, blue)
    red, green, blue = (max(0.01, round(float(value), 4)) for value in values.std(0))
    return mean, (red, green, blue)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for filters only: it harms normalisations and biases."""
    filters = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": filters, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _target(crop: TrainingCrop) -> BoxTarget:
    def xyxy(boxes: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(boxes[:, [1, 0, 3, 2]], np.float32))

    return BoxTarget(xyxy(crop.boxes), torch.from_numpy(crop.labels.astype(np.int64)), xyxy(crop.ignore))


@torch.no_grad()
def apply_calibration(network: SSD, calibration: Calibration) -> None:
    """Fold the calibration into the network's last layer."""
    assert network.classify.bias is not None
    bias = network.classify.bias
    offsets = torch.tensor(calibration.offsets, dtype=bias.dtype, device=bias.device)
    network.classify.weight.mul_(calibration.slope)
    # the layer's outputs are ordered by kind of default box, then by class
    bias.mul_(calibration.slope).add_(offsets.repeat(len(bias) // len(offsets)))
