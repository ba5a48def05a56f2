"""Chooses the model that a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.recipe import Augment
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.library import load_card
from microscope_qc.ml.training.start import StartModel, require_startable, start_model

CONTINUED_RATE = 1e-3
"""Highest learning rate of a training that starts from a model, unless its network has another or one is given."""


def chosen_start(model: Path | str, target: Path) -> StartModel:
    """The model of this bundled name or folder, for a training in the folder ``target``.

    Raises
    ------
    InputError
        When it is the model that is to be made.
    ModelError
        When it cannot be used.
    """
    if Path(model).resolve() == target.resolve():
        raise InputError("A model cannot start from itself.", hint="Train into another folder.")
    return start_model(model, target)


def settings_from(card: ModelCard, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training that starts from a model: as that has them, where they were not given."""
    rate = architecture(card.architecture).defaults.get("learning_rate", CONTINUED_RATE)
    own = {"network_settings": card.network, "pixel_size_um": card.pixel_size_um, "learning_rate": rate}
    learned = card.training.get("settings")
    if isinstance(learned, Mapping) and learned.get("augment") in get_args(Augment):
        own["augment"] = learned["augment"]
    return own | {name: value for name, value in given.items() if value is not None}


def require_start(card: ModelCard, task: str) -> None:
    """Refuse a model that a training for a task cannot start from.

    Raises
    ------
    ModelError
        With the reason.
    """
    if card.task != task:
        raise ModelError(
            f"{card.name} is a model for the task {card.task}: a training for {task} cannot start from it.",
            hint="Start from a model for the same task.",
        )
    require_startable(card)


def startable(model: str) -> tuple[str, str]:
    """The name of a model that a training can start from, and the task that it is for; "" where none can."""
    try:
        card = load_card(model)
        require_startable(card)
    except MicroscopeQCError:
        return "", ""
    return str(card.name), str(card.task)
