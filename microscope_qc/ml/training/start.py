"""The trained model whose weights a training starts from. No torch at import.

What is needed of it later is kept in the folder of the training: from its first checkpoint on it goes on without the
model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.wording import listed, pixel_size_text
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard
from microscope_qc.ml.datasets.learned import Learned, LearnedShare, read_learned
from microscope_qc.ml.datasets.parts import PartTable, read_parts
from microscope_qc.ml.library import bundled_folder, load_card, model_folder
from microscope_qc.ml.training import CHECKPOINT_NAME

if TYPE_CHECKING:
    from torch import nn

    from microscope_qc.ml.architectures.recipe import TrainSettings

START_NAME = "start.json"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore")

    card: ModelCard
    sha256: str
    learned: Learned
    parts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StartModel:
    """What a training takes from the model that it starts from.

    Attributes
    ----------
    model
        Name of a bundled model, or its folder; it may be gone.
    sha256
        Of its weights.
    learned
        What it learned from, and what the models did that it started from in turn.
    parts
        Its own division of pictures: what it was measured on is held out again.
    """

    model: str
    card: ModelCard
    sha256: str
    learned: Learned
    parts: PartTable

    def network(self) -> nn.Module:
        """Its network with its weights, on the CPU.

        Raises
        ------
        ModelError
            When the weights are gone, damaged, or not those of the card.
        """
        from microscope_qc.ml.architectures.loading import open_network

        network: nn.Module = open_network(self.model)[1]
        return network

    def keep(self, folder: Path) -> None:
        """Write what is needed of it later into the folder of a training."""
        stored = _Stored(
            card=self.card, sha256=self.sha256, learned=self.learned, parts=self.parts.document()
        )  # fmt: skip
        atomic_write(folder / START_NAME, stored.model_dump_json() + "\n")

    def require_fitting(self, settings: TrainSettings) -> None:
        """Refuse a training of another network.

        Raises
        ------
        ModelError
            When networks or their settings differ.
        """
        card, kind = self.card, architecture(settings.network)
        if card.architecture != kind.name:
            raise ModelError(
                f"The network of {card.name} is {card.architecture}: a training of {kind.name} cannot start from it.",
                hint=f"Train {card.architecture}, or start from a model whose network is {kind.name}.",
            )
        require_startable(card)
        if kind.checked(card.network) != kind.checked(settings.network_settings):
            raise ModelError(
                f"The network of {card.name} has other settings: the training cannot start from it.",
                hint="Leave the settings of the network as they are in that model.",
            )

    def document(self, known: LearnedShare) -> dict[str, JsonValue]:
        """What the card of the trained model says of it; ``known`` is what it knew of the validation part."""
        return {
            "name": self.card.name, "weights_sha256": self.sha256, "data_fingerprint": self.card.fingerprint,
            "knew_of_validation": dict(known.document()),
        }  # fmt: skip

    def sentences(self, classes: Sequence[str], pixel_size_um: float | None) -> list[str]:
        """What a user should know before a training for these classes at this pixel size starts from it."""
        name, own = self.card.name, self.card.pixel_size_um
        new = [code for code in classes if code not in self.card.classes]
        gone = [code for code in self.card.classes if code not in classes]
        said = [f"Starts from {name}."]
        if own is not None and own == pixel_size_um:
            said = [f"Starts from {name}, and works at {pixel_size_text((own, own))} per pixel as it does."]
        elif own is not None and pixel_size_um is not None:
            sizes = [pixel_size_text((size, size)) for size in (own, pixel_size_um)]
            said.append(f"{name} works at {sizes[0]} per pixel, this model at {sizes[1]}: it has to learn sizes again.")
        if new:
            said.append(f"{name} does not know {listed(new)}: learned from nothing.")
        if gone:
            said.append(f"There is no {listed(gone)} to learn from: the model forgets what {name} knows of that.")
        return said

    def known_words(self, known: LearnedShare) -> list[str]:
        """What a user should know of the figures of a training that starts from it."""
        name = self.card.name
        if known.pictures:
            return [f"{name} had learned from {known.words}, of the validation part: its figures are too good."]
        if not known.complete:
            return [f"What {name} learned from is not known: the figures of the validation part may be too good."]
        return []


def require_startable(card: ModelCard) -> None:
    """Refuse a model that no training can start from.

    Raises
    ------
    ModelError
        When its network cannot be trained by this version, or not from weights that it has.
    """
    kind = architecture(card.architecture)
    if not kind.continues:
        raise ModelError(
            f"No training can start from {card.name}: {kind.title} ({kind.name}) is not trained by this version.",
            hint="Start from another model, or without one.",
        )


def start_model(model: str | Path, folder: Path) -> StartModel:
    """The model that a training in a folder starts from, or what is kept of it where the training has begun.

    Parameters
    ----------
    model
        Name of a bundled model, or a model's folder; it may be gone if the training has begun.

    Raises
    ------
    ModelError
        When it cannot be used.
    """
    kept = _kept(folder, str(model)) if (folder / CHECKPOINT_NAME).exists() else None
    if kept is None:
        return _read(str(model))
    try:
        return replace(kept, sha256=_sha256(model_folder(model)))
    except (ModelError, OSError):  # it was deleted since
        return kept


def _read(model: str) -> StartModel:
    folder = model_folder(model)
    card = load_card(folder)
    drawn = folder.parent == bundled_folder()  # such a model knows no picture of a user
    learned = read_learned(folder) or Learned(places={}, complete=drawn)
    return StartModel(model, card, _sha256(folder), learned, read_parts(folder))


def _kept(folder: Path, model: str) -> StartModel | None:
    try:
        stored = _Stored.model_validate_json((folder / START_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"The interrupted training in {folder} cannot be continued: its {START_NAME} is damaged.",
            hint="Train again in another folder.",
        ) from error
    return StartModel(model, stored.card, stored.sha256, stored.learned, PartTable.of_document(stored.parts))


def _sha256(folder: Path) -> str:
    with (folder / WEIGHTS_NAME).open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()
