"""Reads files of weights that a user names; none of them can run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import special_kind
from microscope_qc.ml.cards import WEIGHTS_NAME

PICKLES = (".pth", ".pt", ".bin")
"""Endings of torch's own files, of which only tensors are read."""
_LARGEST_BYTES = 1 << 30
_NESTED = ("state_dict", "model")
"""What trainings call the weights in files that hold more than these."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, of a safetensors file, a file of torch, or the folder of a model.

    Raises
    ------
    ModelError
        When it is no such file, too large, damaged, or holds anything but tensors and plain values.
    """
    if path.is_dir():
        path = path / WEIGHTS_NAME
    kind = special_kind(path)
    if kind:
        raise ModelError(f"The weights {path} are {kind}, not a file.", hint="Choose a file.")
    if path.suffix.lower() not in (".safetensors", *PICKLES):
        raise ModelError(
            f"{path.name} is no file of weights.",
            hint=f"Choose a .safetensors file, or one of torch ({', '.join(PICKLES)}).",
        )
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ModelError(f"{path.name} is too large for the weights of a network of this program.")
        if path.suffix.lower() == ".safetensors":
            return load_file(path, device="cpu")
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # damaged files fail in many ways, but none of them runs code
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"The weights {path} cannot be read ({said}).",
            hint="Copy the file again. A file that holds more than tensors is not opened, since it could run code.",
        ) from error
    return _tensors(stored, path)


def _tensors(stored: object, path: Path) -> dict[str, Tensor]:
    for name in _NESTED:
        if isinstance(stored, dict) and isinstance(stored.get(name), dict):
            stored = stored[name]
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()) or not stored:
        raise ModelError(f"{path.name} holds no weights of a network.", hint="Choose another file.")
    return {str(name).removeprefix("module."): value for name, value in stored.items()}
