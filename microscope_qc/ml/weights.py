"""Weights as safetensors, which cannot run code from a file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_path


def save_weights(state: dict[str, Tensor], path: Path, *, half: bool = True) -> None:
    """Write a network's state; ``half`` stores floating-point numbers in 16 bits."""
    tensors = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        tensors[name] = tensor.half() if half and fits_half(name, tensor) else tensor
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"program": "microscope-qc"})


def fits_half(name: str, tensor: Tensor) -> bool:
    """Whether a tensor of a network's state fits into 16 bits; running variances may exceed them."""
    return tensor.dtype == torch.float32 and "running_" not in name


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises
    ------
    ModelError
        When the file is damaged, or belongs to another network.
    """
    try:
        state = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError, struct.error) as error:
        raise ModelError(f"The weights {path} cannot be read ({error}).", hint="Copy the model again.") from error
    expected = network.state_dict()
    if state.keys() != expected.keys() or any(state[name].shape != expected[name].shape for name in expected):
        raise ModelError(
            f"The weights {path} do not fit the model's card.",
            hint="Card and weights must come from the same training.",
        )
    with torch.no_grad():
        network.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in state.items()})
