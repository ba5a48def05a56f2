"""Finds models: bundled ones by name, the user's own by folder. No torch in here."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.resources import resource
from microscope_qc.core.wording import bytes_text
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.tasks.kinds import TASKS

LARGEST_WEIGHTS_BYTES = 8 << 30
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


def bundled_folder() -> Path | None:
    """Folder of the bundled models, or None when the installation has none."""
    try:
        return resource("models")
    except InputError:
        return None


def model_folder(name_or_path: str | Path) -> Path:
    """Folder of a model, given by a bundled name, its folder, or a file in it.

    Raises
    ------
    ModelError
        When there is no such model, it is a pickle, or its weights are missing or too large.
    """
    path = Path(name_or_path)
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"{path.name} is a pickle, which could run any code on this computer; it is not opened.",
            hint="Use a model folder with model.json and weights.safetensors.",
        )
    if path.is_file():
        if path.name not in (CARD_NAME, WEIGHTS_NAME):
            raise ModelError(
                f"{path.name} is not a model.", hint="Choose a folder with model.json and weights.safetensors."
            )
        path = path.parent
    elif not path.is_dir():
        bundled = bundled_folder()
        name = str(name_or_path)
        if bundled is not None and name == path.name and (bundled / name / CARD_NAME).is_file():
            path = bundled / name
        else:
            known = ", ".join(card.name for card in list_models())
            raise ModelError(
                f"There is no model {name}.", hint=f"Bundled models: {known}." if known else "Give a model's folder."
            )
    if not (path / CARD_NAME).is_file():
        raise ModelError(f"{path} is not a model: it has no {CARD_NAME}.", hint="Choose a model's folder.")
    if not (path / WEIGHTS_NAME).is_file():
        raise ModelError(
            f"The model {path.name} has a card but no weights.", hint=f"Put {WEIGHTS_NAME} beside its card."
        )
    size = (path / WEIGHTS_NAME).stat().st_size
    if size > LARGEST_WEIGHTS_BYTES:
        most = bytes_text(LARGEST_WEIGHTS_BYTES)
        raise ModelError(
            f"The weights of the model {path.name} have {bytes_text(size)}; up to {most} are read.",
            hint="Choose another model.",
        )
    return path


def load_card(name_or_path: str | Path) -> ModelCard:
    """Card of a model, checked against what its task needs where the task is known.

    Raises
    ------
    ModelError
        When the card lacks what its task needs; see also :func:`model_folder` and
        :func:`microscope_qc.ml.cards.read_card`.
    """
    folder = model_folder(name_or_path)
    card = read_card(folder)
    if card.task in TASKS:
        try:
            TASKS.get(card.task).check(card)
        except ValueError as error:
            raise ModelError(
                f"The model card {folder / CARD_NAME} is invalid: {error}.", hint="Copy the model again."
            ) from error
    return card


def list_models() -> list[ModelCard]:
    """Cards of the bundled models, by name; a damaged one is left out."""
    root = bundled_folder()
    cards = []
    for folder in sorted(root.iterdir()) if root is not None else []:
        if (folder / CARD_NAME).is_file() and (folder / WEIGHTS_NAME).is_file():
            try:
                cards.append(load_card(folder))
            except ModelError:
                continue
    return cards
