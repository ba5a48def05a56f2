"""The base class of architectures, and their registry.

The command line lists them in its help: neither this module nor the ones it registers import torch or numpy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.plugins import Registry
from microscope_qc.ml.cards import ModelCard, first_problem
from microscope_qc.ml.tasks.kinds import TASKS

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.tasks.base import Task


class NetworkSettings(BaseModel):
    """Settings of a network, stored in a model's card, so their values are checked like any untrusted data."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=NetworkSettings)


class Architecture(ABC, Generic[S]):
    """A kind of network.

    An instance is registered in the group ``microscope_qc.architectures`` under its name. Its module is imported for
    every list of networks, so it imports torch only inside methods.

    Attributes
    ----------
    name
        Its name in cards and on the command line.
    task
        Name of the task it is for, see :data:`microscope_qc.ml.tasks.kinds.TASKS`.
    title
        One line for the user.
    settings
        Class of its settings.
    continues
        Whether a training can start from a trained model of it; its recipe then takes the weights over.
    turns_windows
        Whether a classifier learns from windows turned by any angle, where there are several classes.
    losses
        Of a classifier: the losses with which it can be trained.
    defaults
        Fields of :class:`microscope_qc.ml.architectures.recipe.TrainSettings` whose default is another for it.
    """

    name: str
    task: str
    title: str
    settings: type[S]
    continues: bool = False
    turns_windows: bool = True
    losses: tuple[str, ...] = ("cross-entropy", "weighted", "focal")
    defaults: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def stride_px(self, settings: S) -> int:
        """Coarsest stride, in model pixels: shifting the input by multiples of it shifts the output alike."""

    @abstractmethod
    def build(self, settings: S, classes: int) -> nn.Module:
        """Make an untrained network for a number of classes, not counting background."""

    @abstractmethod
    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> Task:
        """Make the task that the engine runs over tiles.

        Parameters
        ----------
        network
            From :meth:`build`, with the model's weights; may be modified.
        threshold
            Lowest confidence of a candidate.
        scale
            Full-resolution slide pixels per model pixel (y, x).
        """

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> Recipe[Any] | None:
        """Make the recipe for training on a data set; None where this program cannot train it.

        Raises
        ------
        ModelError
            When the data set or the settings are not suitable.
        """
        return None

    def suited(self, settings: TrainSettings, dataset: Dataset) -> TrainSettings:
        """The settings, with what a data set decides where it was not chosen; by default nothing."""
        return settings

    @property
    def trainable(self) -> bool:
        """Whether it has a recipe."""
        return type(self).recipe is not Architecture.recipe

    def checked(self, values: Mapping[str, object]) -> S:
        """Make its settings from plain values; missing ones have their defaults.

        Raises
        ------
        ModelError
            When a value is unknown or invalid.
        """
        try:
            return self.settings.model_validate(dict(values))
        except ValidationError as error:
            raise ModelError(f"The network settings do not fit {self.name}: {first_problem(error)}.") from error


def _an_architecture(thing: object) -> Architecture[Any]:
    if not isinstance(thing, Architecture):
        raise TypeError(f"{thing!r} is not an architecture")
    for attribute in ("name", "task", "title"):
        if not isinstance(getattr(thing, attribute, None), str) or not getattr(thing, attribute):
            raise TypeError(f"the architecture has no {attribute}")
    if not issubclass(getattr(thing, "settings", object), NetworkSettings):
        raise TypeError("its settings are not NetworkSettings")
    return thing


_HERE = "microscope_qc.ml.architectures"

ARCHITECTURES: Registry[Architecture[Any]] = Registry(
    "architectures",
    _an_architecture,
    {
        "lite0": f"{_HERE}.one_stage.architecture:LITE0",
        "ssd": f"{_HERE}.ssd.architecture:LIGHT",
        "ssd-tiny": f"{_HERE}.ssd.architecture:TINY",
        "faster-rcnn-resnet50": f"{_HERE}.published.architecture:FRCNN_RESNET50",
        "faster-rcnn-vgg19": f"{_HERE}.published.architecture:FRCNN_VGG19",
        "faster-rcnn-fpn": f"{_HERE}.published.architecture:FRCNN_FPN",
        "faster-rcnn-lite0": f"{_HERE}.published.architecture:FRCNN_LITE0",
        "ssd-resnet50": f"{_HERE}.published.architecture:SSD_RESNET50",
        "ssd-vgg19": f"{_HERE}.published.architecture:SSD_VGG19",
        "ssd-lite0": f"{_HERE}.published.architecture:SSD_LITE0",
        "lite0-classifier": f"{_HERE}.window_classifier.architecture:LITE0",
        "light": f"{_HERE}.window_classifier.architecture:LIGHT",
        "resnet18": f"{_HERE}.window_classifier.architecture:RESNET18",
        "resnet50": f"{_HERE}.window_classifier.architecture:RESNET50",
        "resnet101": f"{_HERE}.window_classifier.architecture:RESNET101",
        "vgg19": f"{_HERE}.window_classifier.architecture:VGG19",
        "inception-v3": f"{_HERE}.window_classifier.architecture:INCEPTION_V3",
        "glcm-svm": f"{_HERE}.texture.architecture:GLCM_SVM",
        "lbp-boosting": f"{_HERE}.texture.architecture:LBP_BOOSTING",
        "memory": f"{_HERE}.memory.architecture:MEMORY",
        "autoencoder": f"{_HERE}.autoencoder.architecture:AUTOENCODER",
    },
    what="network",
)


def architecture(name: str) -> Architecture[Any]:
    """The architecture of this name.

    Raises
    ------
    ModelError
        When there is none.
    """
    try:
        return ARCHITECTURES.get(name)
    except InputError as error:
        raise ModelError(f"There is no network named {name!r}.", hint=error.hint) from error


def build_network(name: str, values: Mapping[str, object], *, classes: int) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    values
        Settings that differ from the network's defaults.
    classes
        Number of classes, not counting background.

    Raises
    ------
    ModelError
        When the network or one of its settings is unknown.
    """
    kind = architecture(name)
    return kind.build(kind.checked(values), classes)


def networks_of(task: str) -> list[Architecture[Any]]:
    """Architectures for a task."""
    return [kind for kind in ARCHITECTURES.values() if kind.task == task]


def trainable() -> dict[str, list[Architecture[Any]]]:
    """Architectures that can be trained, by task; the first of each task is its default."""
    found = {task: [kind for kind in networks_of(task) if kind.trainable] for task in TASKS}
    return {task: kinds for task, kinds in found.items() if kinds}
