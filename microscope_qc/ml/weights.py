"""Weights as safetensors, which cannot run code from a file."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write, special_kind


def save_weights(state: dict[str, Tensor], path: Path, *, half: bool = True) -> None:
    """Write a network's state; ``half`` stores floating-point numbers in 16 bits.

    Raises
    ------
    WriteError
        When the disk is full, or does not take it for another reason.
    """
    tensors = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        tensors[name] = tensor.half() if half and fits_half(name, tensor) else tensor
    # as bytes: where safetensors writes a file itself, a full disk is an error of its own
    atomic_write(path, save(tensors, metadata={"program": "microscope-qc"}))


def fits_half(name: str, tensor: Tensor) -> bool:
    """Whether a tensor of a network's state fits into 16 bits; running variances may exceed them at any time."""
    if tensor.dtype != torch.float32 or "running_" in name:
        return False
    return not tensor.numel() or bool(tensor.abs().max() <= torch.finfo(torch.float16).max)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises
    ------
    ModelError
        When the file is damaged, belongs to another network, or holds values that are not numbers.
    """
    _require_file(path)
    try:
        state = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError, struct.error) as error:
        raise _unreadable(path, error) from error
    expected = network.state_dict()
    if {name: tensor.shape for name, tensor in state.items()} != {n: tensor.shape for n, tensor in expected.items()}:
        raise _of_another_network(path)
    state = {name: tensor.to(expected[name].dtype) for name, tensor in state.items()}
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(
            f"The weights {path} are damaged: {broken[0]} holds values that are not finite numbers.",
            hint="Copy the model again, or train it again.",
        )
    with torch.no_grad():
        network.load_state_dict(state)


def require_fitting(expected: Mapping[str, Sequence[int]], path: Path) -> None:
    """Compare the shapes of a network's state with those a file of weights gives, without loading either.

    Raises
    ------
    ModelError
        When they differ, or the file is damaged.
    """
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError, struct.error) as error:
        raise _unreadable(path, error) from error
    if stored != {name: tuple(shape) for name, shape in expected.items()}:
        raise _of_another_network(path)


def _require_file(path: Path) -> None:
    kind = special_kind(path)
    if kind:
        raise ModelError(f"The weights {path} are {kind}, not a file.", hint="Copy the model again.")


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(f"The weights {path} cannot be read ({error}).", hint="Copy the model again.")


def _of_another_network(path: Path) -> ModelError:
    return ModelError(
        f"The weights {path} do not fit the model's card.",
        hint="Card and weights must come from the same training.",
    )
