"""Loads models for the engine: weights in a network, on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.ml.tasks.kinds import TASKS

if TYPE_CHECKING:
    from microscope_qc.ml.tasks.base import Task
    from microscope_qc.project.runs.plan import RunPlan


def open_task(
    model: str | Path, *, device: str = "auto", threshold: float = 0.05, scale: tuple[float, float] = (1.0, 1.0)
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

    Raises
    ------
    ModelError
        When its task or network is unknown, they do not belong together, or card and weights do not match.
    InputError
        When the computer does not have the device.
    """
    from microscope_qc.ml.devices import choose_device
    from microscope_qc.ml.weights import load_weights

    card = load_card(model)
    if card.task not in TASKS:
        raise ModelError(f"This version cannot run models for the task {card.task} over slides.")
    kind = architecture(card.architecture)
    if kind.task != card.task:
        raise ModelError(
            f"The card of {card.name} is invalid: {kind.name} is not a network that {TASKS.get(card.task).does}."
        )
    network = kind.build(kind.checked(card.network), len(card.classes))
    load_weights(network, model_folder(model) / WEIGHTS_NAME)
    return kind.task_of(card, network, device=choose_device(device), threshold=threshold, scale=scale)


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
