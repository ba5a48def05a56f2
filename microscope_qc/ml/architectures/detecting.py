"""How detectors are trained, whatever their network and loss: random crops, and the best F1 is kept."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.jobs import Job
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.crops import CropSampler, TrainingCrop
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.on_slides import detection_report, tally_dataset
from microscope_qc.ml.evaluation.report import WEAKEST, Report
from microscope_qc.ml.tasks.base import Task
from microscope_qc.ml.tasks.images import TaskFinder

_CANDIDATE_CONFIDENCE = 0.05
Colours = tuple[float, float, float]


class DetectingRecipe(Recipe[list[TrainingCrop]]):
    """Trains a detector.

    Parameters
    ----------
    stride_px
        The side of crops is a multiple of it.
    normalisation
        Mean and standard deviation of the colours (0 to 1); None takes those of the data set.
    """

    def __init__(
        self,
        settings: TrainSettings,
        dataset: Dataset,
        *,
        stride_px: int,
        normalisation: tuple[Colours, Colours] | None = None,
    ) -> None:
        self.settings, self._dataset = settings, dataset
        self._sampler = CropSampler(
            dataset, side=settings.crop_px, model_um=settings.pixel_size_um, seed=settings.seed, stride_px=stride_px,
            augment=settings.augment, paste=settings.paste,
        )  # fmt: skip
        self.steps_per_epoch = max(1, math.ceil(self._sampler.crops_per_epoch / settings.batch))
        self._mean, self._std = normalisation or _normalisation(self._sampler.sample_pixels())

    @abstractmethod
    def task_of(self, network: nn.Module, card: ModelCard, *, threshold: float) -> Task:
        """The task of a copy of a network for inference, on its device; ``threshold`` is the lowest confidence."""

    @property
    def side_px(self) -> int:
        """Side of the crops."""
        return int(self._sampler.side)

    def batch(self, step: int) -> list[TrainingCrop]:
        """See :class:`Recipe`."""
        return self._sampler.batch(step, self.settings.batch)

    def normalised(self, batch: list[TrainingCrop], device: torch.device) -> Tensor:
        """The pixels of crops (B, 3, side, side) on a device."""
        images = torch.from_numpy(np.stack([crop.pixels for crop in batch])).to(device)
        images = images.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) * 255 for v in (self._mean, self._std))
        return (images - mean) / std

    def adopt(self, card: ModelCard) -> None:
        """See :class:`Recipe`."""
        self._mean, self._std = card.mean, card.std

    def pieces(self, batch: list[TrainingCrop], count: int) -> list[tuple[list[TrainingCrop], float]]:
        """See :class:`Recipe`."""
        size = math.ceil(len(batch) / count)
        parts = [batch[start : start + size] for start in range(0, len(batch), size)]
        return [(part, len(part) / len(batch)) for part in parts]

    def find(self, network: nn.Module, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`Recipe`."""
        return self._finder(network).find(pictures)

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; measured at the best confidence for the data set."""
        return detection_report((yield from self.tally(network, dataset)))

    def measure(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`; with intervals, sizes and curves."""
        return detection_report((yield from self.tally(network, dataset, weakest=WEAKEST)), complete=True)

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        return report.figures["f1"] + 0.5 * report.figures["map50"]

    def tally(self, network: nn.Module, dataset: Dataset, *, weakest: float = _CANDIDATE_CONFIDENCE) -> Job[Tally]:
        """Compare what a network finds with the truth."""
        return (yield from tally_dataset(self._finder(network, weakest=weakest), dataset))

    def _finder(self, network: nn.Module, *, weakest: float = _CANDIDATE_CONFIDENCE) -> TaskFinder:
        return TaskFinder(self.task_of(network, self.card(network), threshold=weakest))

    def card(self, network: Any) -> ModelCard:
        """The card as far as it is known: of a network that has its ``settings``."""
        settings = self.settings
        return ModelCard(
            name=settings.network, task="detect", architecture=settings.network,
            network=network.settings.model_dump(mode="json"), classes=self._dataset.classes,
            class_names=self._dataset.names, pixel_size_um=settings.pixel_size_um, tile_px=settings.tile_px,
            overlap_px=min(settings.overlap_px, settings.tile_px // 2), mean=self._mean, std=self._std, confidence=0.5,
        )  # fmt: skip


def _normalisation(pixels: np.ndarray) -> tuple[Colours, Colours]:
    """Mean and standard deviation of each colour (0 to 1) of uint8 pixels (n, 3)."""
    values = pixels.astype(float) / 255
    red, green, blue = (round(float(value), 4) for value in values.mean(0))
    mean = (red, green, blue)
    red, green, blue = (max(0.01, round(float(value), 4)) for value in values.std(0))
    return mean, (red, green, blue)
