"""The state of a training in one file, written atomically, read without running code from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_path, system_error
from microscope_qc.ml.training import CHECKPOINT_NAME as NAME


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, lists and dictionaries.

    Raises
    ------
    WriteError
        When the disk is full, or does not take it for another reason.
    """
    with atomic_path(folder / NAME) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)  # into a file of Python, which knows what was wrong
        except RuntimeError as error:
            raise system_error(error) or error from error


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the checkpoint of a training folder; None when there is none.

    Raises
    ------
    ModelError
        When it is damaged, or contains anything but tensors and plain values.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in many ways, but none of them runs code
        raise ModelError(
            f"The interrupted training in {folder} cannot be continued: its {NAME} is damaged.",
            hint="Delete that file to start again, or choose another folder.",
        ) from error
    return state
