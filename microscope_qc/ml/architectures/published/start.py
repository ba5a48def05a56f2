"""What a published detector starts from: a backbone, a whole detector, or a trained model of this program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.published.detector import PublishedDetector
from microscope_qc.ml.backbones.files import read_weights
from microscope_qc.ml.cards import ModelCard


@torch.no_grad()
def start_whole(network: PublishedDetector, path: Path) -> None:
    """Give a detector the weights of a file in torchvision's names, except those that tell classes apart.

    Raises
    ------
    ModelError
        When the file is damaged, or of another detector.
    """
    own = network.detector.state_dict()
    given = {name.removeprefix("detector."): value for name, value in read_weights(path).items()}
    of_classes = tuple(f"{layer}." for layer in network.outputs)
    wanted = {name for name in own if not name.startswith(of_classes) and not name.endswith("num_batches_tracked")}
    given = {_today(name, own): value for name, value in given.items()}
    if any(name not in given or given[name].shape != own[name].shape for name in wanted):
        raise ModelError(
            f"The weights of {path.name} belong to another detector.",
            hint="Choose a file of the same detector, backbone and sizes, or start from a backbone alone.",
        )
    network.detector.load_state_dict(own | {name: given[name] for name in wanted})


def _today(name: str, own: dict[str, Tensor]) -> str:
    """What torchvision calls a tensor today; in older files its convolutions have shorter names."""
    stem, _, kind = name.rpartition(".")
    for longer in (f"{stem}.0.{kind}", f"{stem}.0.0.{kind}"):
        if name not in own and longer in own:
            return longer
    return name


@torch.no_grad()
def take_over(
    network: PublishedDetector, before: PublishedDetector, card: ModelCard, *, classes: Sequence[str]
) -> None:
    """Copy all layers; of those with an output for every class, background and the classes that both know.

    Parameters
    ----------
    network
        Of ``classes``, newly made.
    before, card
        A trained network of the same settings and its card.
    """
    of_classes = tuple(f"{layer}." for layer in network.outputs)
    state = {name: value for name, value in before.detector.state_dict().items() if not name.startswith(of_classes)}
    network.detector.load_state_dict(network.detector.state_dict() | state)
    both = [(place + 1, card.classes.index(code) + 1) for place, code in enumerate(classes) if code in card.classes]
    mine, theirs = ([0, *(pair[side] for pair in both)] for side in (0, 1))
    for name, values in network.outputs.items():
        for kind in ("weight", "bias"):
            own, trained = (one.detector.get_parameter(f"{name}.{kind}") for one in (network, before))
            # outputs are ordered by kind of box, then by class, then by value
            into = own.unflatten(0, (-1, len(classes) + 1, values))
            into[:, mine] = trained.unflatten(0, (-1, len(card.classes) + 1, values))[:, theirs].to(into)
