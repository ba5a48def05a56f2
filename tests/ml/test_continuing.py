"""A detector with the weights of a trained one, whose classes are others."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.dense.continuing import take_over
from microscope_qc.ml.architectures.dense.detector import PRIOR, DenseDetector, apply_calibration
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.evaluation.calibration import Calibration

NETWORKS = {"ssd-tiny": {}, "lite0": {"pyramid": 16, "tower": 1}}
CALIBRATION = Calibration(2.5, (0.5, -1.0, 3.0))


def network(name: str, classes: int, seed: int) -> DenseDetector:
    torch.manual_seed(seed)
    made = build_network(name, NETWORKS[name], classes=classes).eval()
    assert isinstance(made, DenseDetector)
    return made


def trained(name: str) -> DenseDetector:
    """With an output of its own for each of three classes and each kind of box."""
    made = network(name, 3, seed=1)
    with torch.no_grad():
        made.classify.weight.normal_(std=0.3)
        made.classify.bias.normal_()
    return made


def card_of(name: str, **training: Any) -> ModelCard:
    classes = ["A", "B", "C"]
    return ModelCard(
        name="before", task="detect", architecture=name, classes=classes, class_names=classes, tile_px=64,
        overlap_px=0, mean=(0, 0, 0), std=(1, 1, 1), confidence=0.5, training=training,
    )  # fmt: skip


def said(detector: DenseDetector) -> tuple[Tensor, Tensor]:
    """Class logits and values of a picture."""
    picture = torch.randn(1, 3, 64, 128, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        logits, values = detector(picture)
    return logits, values


@pytest.mark.parametrize("name", NETWORKS)
def test_what_both_know_is_said_as_before_and_what_is_new_begins_at_the_prior(name: str) -> None:
    before, new = trained(name), network(name, 3, seed=2)
    fresh = {place: tensor.clone() for place, tensor in new.classify.state_dict().items()}
    take_over(new, before, card_of(name), classes=["C", "NEW", "A"])
    (old, old_values), (logits, values) = said(before), said(new)
    torch.testing.assert_close(values, old_values)
    torch.testing.assert_close(logits[..., [0, 2]], old[..., [2, 0]])
    kinds = len(new.classify.bias) // 3
    for place, tensor in new.classify.state_dict().items():
        of_new = tensor.unflatten(0, (kinds, 3))[:, 1]
        assert torch.equal(of_new, fresh[place].unflatten(0, (kinds, 3))[:, 1])
    assert new.classify.bias[1].item() == pytest.approx(-math.log((1 - PRIOR) / PRIOR))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_calibration_is_taken_out_again(name: str) -> None:
    before, calibrated, new = trained(name), trained(name), network(name, 2, seed=2)
    apply_calibration(calibrated, CALIBRATION)
    assert not torch.allclose(said(before)[0], said(calibrated)[0])
    card = card_of(name, calibration=[CALIBRATION.slope, *CALIBRATION.offsets])
    take_over(new, calibrated, card, classes=["B", "C"])
    torch.testing.assert_close(said(new)[0], said(before)[0][..., 1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("calibration", [None, [2.0], [0.0, 1.0, 1.0, 1.0], [1.0, 1.0, "x", 1.0], "odd"])
def test_a_card_that_says_nothing_sensible_of_a_calibration_changes_nothing(calibration: object) -> None:
    before, new = trained("ssd-tiny"), network("ssd-tiny", 3, seed=2)
    take_over(new, before, card_of("ssd-tiny", calibration=calibration), classes=["A", "B", "C"])
    torch.testing.assert_close(said(new)[0], said(before)[0])


def test_with_nothing_in_common_only_the_rest_is_taken_over() -> None:
    before, new = trained("ssd-tiny"), network("ssd-tiny", 1, seed=2)
    fresh = new.classify.weight.clone()
    take_over(new, before, card_of("ssd-tiny"), classes=["NEW"])
    assert torch.equal(new.classify.weight, fresh)
    torch.testing.assert_close(said(new)[1], said(before)[1])
