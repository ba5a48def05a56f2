"""How a network is trained: what a recipe must say, and what a user may choose. No torch at import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from microscope_qc.core.jobs import Job

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.evaluation.report import Report

B = TypeVar("B")


class TrainSettings(BaseModel):
    """Settings of a training; they are kept in the model's card.

    Attributes
    ----------
    network
        Name of the network.
    network_settings
        Fields of the network's settings that differ from its defaults.
    epochs
        Passes over the data set; a recipe says how many steps that are.
    pixel_size_um
        Pixel size the model works at; None: the data set's own.
    crop_px, tile_px, overlap_px
        Side of training crops; side and overlap of tiles afterwards; model pixels.
    validation_share
        Part set aside when no validation set is given.
    patience
        Validations without progress after which training ends.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    network: str = "ssd"
    network_settings: dict[str, JsonValue] = Field(default_factory=dict)
    epochs: int = Field(default=20, ge=1, le=100_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    pixel_size_um: float | None = Field(default=None, gt=0)
    crop_px: int = Field(default=384, ge=64, le=4096)
    tile_px: int = Field(default=512, ge=64, le=4096)
    overlap_px: int = Field(default=128, ge=0)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    validate_every: int = Field(default=1, ge=1)
    patience: int = Field(default=12, ge=1)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"


class Recipe(ABC, Generic[B]):
    """How one network is trained on one data set; ``B`` is what a step learns from.

    The training loop asks for everything in here and knows nothing else of the network.

    Attributes
    ----------
    steps_per_epoch
        Steps in one pass over the data set.
    """

    steps_per_epoch: int

    @abstractmethod
    def batch(self, step: int) -> B:
        """What a step learns from; the same for the same step, so that an interrupted training goes on as it was."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: B, turn: int) -> dict[str, Tensor]:
        """Losses by name, each with its weight; their sum is what the optimiser number ``turn`` makes smaller."""

    @abstractmethod
    def optimisers(self, network: nn.Module) -> list[Optimizer]:
        """Optimisers that take turns in every step, each with the parameters it changes; all at their highest rate.

        A network that plays against another has two; one that only remembers, see :meth:`fit_once`, has none, and is
        not trained in steps at all.
        """

    def schedule(self, optimiser: Optimizer, steps: int) -> LRScheduler:
        """How the learning rate changes over all steps: by default a linear warm-up, then half a cosine."""
        from microscope_qc.ml.architectures.schedule import warm_up_and_cosine

        return warm_up_and_cosine(optimiser, steps)

    def fit_once(self, network: nn.Module) -> Job[None]:
        """What is learned in one go before the first step; it must be in the network's state afterwards."""
        yield from ()

    @abstractmethod
    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """Measure a network as it stands; it may be in training mode, and is left in it."""

    @abstractmethod
    def score(self, report: Report) -> float:
        """One number for a report: the weights with the highest are kept."""

    @abstractmethod
    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Bring the best network to what is stored: calibrate it, choose thresholds.

        Returns
        -------
        Job[ModelCard]
            The card, as far as the recipe knows it; the loop fills in name, metrics, default confidence, fingerprint
            and what it knows of the training.
        """
