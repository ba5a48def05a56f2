"""Loads models for the engine: weights in a network, on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.base import Architecture, NetworkSettings, architecture
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.ml.tasks.kinds import TASKS

if TYPE_CHECKING:
    from microscope_qc.ml.tasks.base import Task
    from microscope_qc.project.runs.plan import RunPlan


def open_task(
    model: str | Path,
    *,
    device: str = "auto",
    threshold: float = 0.05,
    scale: tuple[float, float] = (1.0, 1.0),
    card: ModelCard | None = None,
) -> Task:
    """Load a model.

    Parameters
    ----------
    model
        Name of a bundled model, or a model's folder.
    device
        "auto", "cpu" or "cuda:0".
    threshold
        Lowest confidence of a candidate.
    scale
        Full-resolution slide pixels per model pixel (y, x).
    card
        Instead of the model's own, with other settings that its weights fit.

    Raises
    ------
    ModelError
        When its task or network is unknown, they do not belong together, or card and weights do not match.
    InputError
        When the computer does not have the device.
    """
    from microscope_qc.ml.devices import choose_device

    card, network = open_network(model, card)
    kind = architecture(card.architecture)
    return kind.task_of(card, network, device=choose_device(device), threshold=threshold, scale=scale)


def open_network(model: str | Path, card: ModelCard | None = None) -> tuple[ModelCard, Any]:
    """The card of a model, and its network with its weights, on the CPU; see :func:`open_task`."""
    from microscope_qc.ml.weights import load_weights, require_fitting

    card = load_card(model) if card is None else card
    if card.task not in TASKS:
        raise ModelError(f"This version cannot run models for the task {card.task} over slides.")
    kind = architecture(card.architecture)
    if kind.task != card.task:
        raise ModelError(
            f"The card of {card.name} is invalid: {kind.name} is not a network that {TASKS.get(card.task).does}."
        )
    settings, weights = kind.checked(card.network), model_folder(model) / WEIGHTS_NAME
    shapes = _shapes(kind, settings, len(card.classes))
    if shapes is not None:
        require_fitting(shapes, weights)
    network = kind.build(settings, len(card.classes))
    load_weights(network, weights)
    return card, network


def _shapes(kind: Architecture[Any], settings: NetworkSettings, classes: int) -> dict[str, tuple[int, ...]] | None:
    """Shapes of a network's state, without memory for it: a card can describe a network that no computer can hold.

    None where the network of a plugin cannot be made without memory.
    """
    import torch

    try:
        with torch.device("meta"):
            network = kind.build(settings, classes)
    except (NotImplementedError, RuntimeError):
        return None
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def parameter_count(card: ModelCard) -> int | None:
    """How many numbers the network of a model has learned, counted without memory for them; None if not known.

    Raises
    ------
    ModelError
        When the network is unknown, or its settings are wrong.
    """
    import torch

    kind = architecture(card.architecture)
    try:
        with torch.device("meta"):
            network = kind.build(kind.checked(card.network), len(card.classes))
    except (NotImplementedError, RuntimeError):
        return None
    return sum(parameter.numel() for parameter in network.parameters())


def load_task(plan: RunPlan) -> Task:
    """Load the model of a run; see :func:`open_task`."""
    return open_task(plan.model, device=plan.device, threshold=plan.candidate_confidence, scale=plan.scale)


class TaskKeeper:
    """Loads the models of one run after another: a run that needs the same as the last one gets what is loaded."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], str, Task] | None = None

    def load(self, plan: RunPlan) -> Task:
        """Load the model of a run, as :func:`load_task` does."""
        key = (plan.model, plan.weights, load_card(plan.model), plan.device, plan.candidate_confidence, plan.scale)
        if self._kept is not None:
            kept, device, task = self._kept
            if kept == key and device == str(task.device):  # else it has left a device whose memory was short
                return task
        self._kept = None
        task = load_task(plan)
        self._kept = (key, str(task.device), task)
        return task
