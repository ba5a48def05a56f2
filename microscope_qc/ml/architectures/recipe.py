"""How a network is trained: the interface of recipes, and the user's settings. No torch at import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from microscope_qc.core.jobs import Job
from microscope_qc.ml.cards import LARGEST_PIXEL_UM, SMALLEST_PIXEL_UM

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.evaluation.report import Report

B = TypeVar("B")


Augment = Literal["full", "upright", "flip", "zoom"]
OF_CLASSIFIERS = frozenset({"loss", "alpha", "gamma", "sampling", "window_step", "scales"})
"""Settings that only a training of a classifier has a use for."""


class TrainSettings(BaseModel):
    """Settings of a training; they are stored in the model's card.

    Attributes
    ----------
    network
        Name of the network.
    network_settings
        Fields of the network's settings that differ from its defaults.
    epochs
        Passes over the data set; the recipe says how many steps one pass takes.
    minutes
        Time that the training takes with everything that belongs to it, instead of a number of passes; a computer that
        is slower or busy makes fewer steps.
    pixel_size_um
        Pixel size the model works at; None takes the data set's own.
    crop_px, tile_px, overlap_px
        Side of training crops, and side and overlap of the trained model's tiles, in model pixels.
    augment
        How crops are varied: "full" for everything that may differ between slides, "upright" for the same but mirrored
        from left to right only, "flip" for such mirror images and nothing else, "zoom" for these, other sizes and
        colours.
    paste
        Share of the crops without a defect onto which a detector's training pastes one, and half of it of the others.
    data_share
        Share of the pictures or places to learn from that is used, to see what more of them would bring. A smaller
        share is part of a larger one; what is measured on stays the same.
    validation_share
        Share that is held out when no validation set is given.
    loss
        Of a classifier: "cross-entropy", "weighted" by class, or "focal", where easy examples count less.
    alpha
        Weight of every class of defects in these losses, or of each by its code, with "none" for what shows no defect.
        None: in "weighted" how much rarer a class is than the most frequent one, else 1.
    gamma
        How much less easy examples count in the focal loss.
    sampling
        How a classifier makes up for classes of which there is little, see
        :class:`microscope_qc.ml.datasets.windows.WindowSampler`.
    window_step
        Distance of neighbouring windows of a classifier on a slide, as a share of their side.
    scales
        How many times larger a classifier looks at a slide, beginning with 1: an image pyramid.
    patience
        Number of validations without improvement after which training ends.
    validate_every
        Passes between validations; a training that is limited by its time chooses them by what they cost.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    network: str = "lite0"
    network_settings: dict[str, JsonValue] = Field(default_factory=dict)
    epochs: int = Field(default=20, ge=1, le=100_000)
    minutes: float | None = Field(default=None, gt=0, le=100_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    pixel_size_um: float | None = Field(default=None, ge=SMALLEST_PIXEL_UM, le=LARGEST_PIXEL_UM)
    crop_px: int = Field(default=384, ge=64, le=4096)
    tile_px: int = Field(default=512, ge=64, le=4096)
    overlap_px: int = Field(default=128, ge=0)
    augment: Augment = "full"
    paste: float = Field(default=0.0, ge=0, le=1)
    data_share: float = Field(default=1.0, gt=0, le=1)
    loss: Literal["cross-entropy", "weighted", "focal"] = "cross-entropy"
    alpha: Annotated[float, Field(gt=0, le=1e6)] | dict[str, Annotated[float, Field(ge=0, le=1e6)]] | None = None
    gamma: float = Field(default=2.0, ge=0, le=100)
    sampling: Literal["as-is", "over", "under", "recrop"] | None = None
    window_step: float = Field(default=0.5, gt=0, le=1)
    scales: tuple[float, ...] = (1.0,)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    validate_every: int = Field(default=1, ge=1)
    patience: int = Field(default=12, ge=1)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"


class Recipe(ABC, Generic[B]):
    """How one network is trained on one data set; ``B`` is the type of a batch.

    The training loop knows the network only through this interface.

    Attributes
    ----------
    steps_per_epoch
        Steps in one pass over the data set.
    """

    steps_per_epoch: int

    @abstractmethod
    def batch(self, step: int) -> B:
        """The batch of a step; always the same for the same step, so that an interrupted training continues exactly."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: B, turn: int) -> dict[str, Tensor]:
        """Weighted losses by name; optimiser number ``turn`` minimises their sum."""

    def pieces(self, batch: B, count: int) -> list[tuple[B, float]]:
        """A batch in up to ``count`` smaller ones, each with its share, for memory that does not take it at once.

        A recipe whose batches cannot be divided returns the whole.
        """
        return [(batch, 1.0)]

    @abstractmethod
    def optimisers(self, network: nn.Module) -> list[Optimizer]:
        """Optimisers that take turns in every step, each with its parameters and its peak learning rate.

        An adversarial network has two; one that only memorises, see :meth:`fit_once`, has none, and is not trained in
        steps at all.
        """

    def rate(self, share: float) -> float:
        """Learning rate after a share of the training, as a share of the highest: by default with half a cosine."""
        from microscope_qc.ml.architectures.schedule import warm_up_and_cosine

        return warm_up_and_cosine(share)

    def before_step(self, network: nn.Module, share: float) -> None:
        """Prepare a network for the step after a share of the training; by default nothing is done."""

    def notes(self) -> list[str]:
        """Sentences for the user about what the network starts from, unless it is a model; by default none."""
        return []

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Learn what is learned before the first step, and leave it in the network's state."""
        yield from ()

    def adopt(self, card: ModelCard) -> None:
        """Prepare pictures as the model does that the training starts from; called before anything else.

        Only for architectures that can be continued, as :meth:`take_over`.
        """
        raise NotImplementedError

    def take_over(self, network: nn.Module, before: nn.Module, card: ModelCard) -> None:
        """Give a network the weights of a trained one, instead of :meth:`fit_once`.

        Parameters
        ----------
        before, card
            The trained network, of the same settings, and its card: its classes may be others.
        """
        raise NotImplementedError

    def settle(self, network: nn.Module) -> None:
        """Prepare averaged weights for being measured and kept; by default nothing is done."""

    @abstractmethod
    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """Measure a network in its current state; it may be in training mode, and stays in it."""

    def find(self, network: nn.Module, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What a network in its current state finds in pictures, uint8 (h, w, 3), at the model's pixel size.

        Returns
        -------
        list of ndarray
            CANDIDATE_DTYPE, in the pixels of each picture; empty where the network finds no boxes.
        """
        return []

    def measure(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """Measure the finished network as thoroughly as it is stored; by default as :meth:`validate` does."""
        return (yield from self.validate(network, dataset))

    @abstractmethod
    def score(self, report: Report) -> float:
        """Score of a report: the weights with the highest score are kept."""

    @abstractmethod
    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Prepare the best network for storing: calibrate it, choose thresholds.

        Returns
        -------
        Job[ModelCard]
            The card, as far as the recipe knows it; the loop fills in name, metrics, default confidence, fingerprint
            and its own facts about the training.
        """
