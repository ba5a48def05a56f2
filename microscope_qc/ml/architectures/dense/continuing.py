"""Gives a detector the weights of a trained one, whose classes may be others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from microscope_qc.ml.architectures.dense.detector import DenseDetector
from microscope_qc.ml.cards import ModelCard


@torch.no_grad()
def take_over(network: DenseDetector, before: DenseDetector, card: ModelCard, *, classes: Sequence[str]) -> None:
    """Copy all layers; in the last one the outputs of each class that both know.

    Classes are known by their codes. Outputs of other classes stay as they are.

    Parameters
    ----------
    network
        Of ``classes``, newly made.
    before, card
        A trained network of the same settings and its card. The calibration that is folded into its last layer is
        taken out again: the loss is about confidences before it.
    """
    state = {name: value for name, value in before.state_dict().items() if not name.startswith("classify.")}
    missing = network.load_state_dict(state, strict=False).missing_keys
    assert sorted(missing) == ["classify.bias", "classify.weight"]
    slope, offsets = _calibration(card)
    both = [(place, card.classes.index(code)) for place, code in enumerate(classes) if code in card.classes]
    mine, theirs = ([pair[side] for pair in both] for side in (0, 1))
    own, trained = network.classify, before.classify
    assert own.bias is not None and trained.bias is not None
    # outputs are ordered by kind of box, then by class
    weight = trained.weight.unflatten(0, (-1, len(card.classes))) / slope
    bias = (trained.bias.unflatten(0, (-1, len(card.classes))) - torch.tensor(offsets)) / slope
    own.weight.unflatten(0, (-1, len(classes)))[:, mine] = weight[:, theirs].to(own.weight)
    own.bias.unflatten(0, (-1, len(classes)))[:, mine] = bias[:, theirs].to(own.bias)


def _calibration(card: ModelCard) -> tuple[float, list[float]]:
    """Slope, and offset of each class, as the card says; 1 and 0 where it says nothing that makes sense."""
    none = 1.0, [0.0] * len(card.classes)
    said = card.training.get("calibration")
    if not isinstance(said, list) or len(said) != 1 + len(card.classes):
        return none
    values = [float(value) for value in said if isinstance(value, int | float)]
    if len(values) < len(said) or not all(map(math.isfinite, values)) or values[0] <= 0:
        return none
    return values[0], values[1:]
