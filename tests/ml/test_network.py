"""The network: default boxes, assignment, loss, candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures import build_detector
from microscope_qc.ml.architectures.ssd.loss import Target, assign, detection_loss
from microscope_qc.ml.architectures.ssd.network import candidates, decode
from microscope_qc.ml.tasks.detect import Detector


def test_default_boxes_stand_on_the_middle_of_their_cells() -> None:
    network = build_detector("ssd-tiny", {}, classes=2)
    boxes, levels = network.default_boxes(128, 192)
    assert levels == [16 * 24 * 3, 8 * 12 * 3, 4 * 6 * 3, 2 * 3 * 3] and len(boxes) == sum(levels)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middles[0].tolist() == [4.0, 4.0] and middles[3].tolist() == [12.0, 4.0]
    logits, offsets = network(torch.zeros(1, 3, 128, 192))
    assert logits.shape == (1, sum(levels), 2) and offsets.shape == (1, sum(levels), 4)


def test_every_defect_is_answered_for_whatever_its_shape() -> None:
    network = build_detector("ssd-tiny", {}, classes=2)
    default, levels = network.default_boxes(256, 256)
    truth = torch.tensor([[10.0, 10, 16, 16], [40, 60, 240, 70], [100, 100, 220, 230], [3, 100, 9, 250]])
    owner = assign(default, levels, truth)
    assert {0, 1, 2, 3} <= set(owner.tolist())
    assert (owner == -1).float().mean() > 0.95
    assert (assign(default, levels, torch.zeros(0, 4)) == -1).all()


def test_offsets_of_zero_are_the_default_boxes() -> None:
    default = torch.tensor([[10.0, 20, 30, 60]])
    assert torch.equal(decode(torch.zeros(1, 4), default), default)
    assert torch.isfinite(decode(torch.full((1, 4), 1000.0), default)).all()


def test_ignored_places_cost_nothing() -> None:
    network = build_detector("ssd-tiny", {}, classes=2)
    default, levels = network.default_boxes(128, 128)
    logits, offsets = torch.zeros(1, len(default), 2), torch.zeros(1, len(default), 4)
    none = torch.zeros(0, 4)
    everywhere = torch.tensor([[-999.0, -999, 999, 999]])
    labels = torch.zeros(0, dtype=torch.int64)
    free = detection_loss(logits, offsets, default=default, levels=levels, targets=[Target(none, labels, everywhere)])
    counted = detection_loss(logits, offsets, default=default, levels=levels, targets=[Target(none, labels, none)])
    assert float(free.total) == 0.0 and float(counted.total) > 0.0


def test_candidates_lie_inside_their_pictures() -> None:
    torch.manual_seed(1)
    network = build_detector("ssd-tiny", {}, classes=2).eval()
    with torch.no_grad():
        network.classify.bias.fill_(0.0)
    ((boxes, scores, labels),) = candidates(network, torch.randn(1, 3, 128, 128), sizes=[(90, 70)], most=50)
    assert 0 < len(boxes) <= 50
    assert (boxes >= 0).all() and (boxes[:, 2] <= 90).all() and (boxes[:, 3] <= 70).all()
    assert (scores[:-1] >= scores[1:]).all() and set(labels.tolist()) <= {0, 1}


def test_a_batch_gives_what_single_pictures_give(tmp_path) -> None:
    detector = Detector.load(untrained_model(tmp_path / "m"), device="cpu")
    pictures = [draw(seed, size=128)[0] for seed in range(5)]
    together = detector.find(pictures, threshold=0.1)
    assert sum(map(len, together)) > 20
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = detector.find([picture], threshold=0.1)
        assert len(alone) == len(found)
        for name in ("y0", "x0", "y1", "x1", "confidence"):
            np.testing.assert_allclose(alone[name], found[name], atol=1e-3)


def test_pictures_of_different_sizes(tmp_path) -> None:
    detector = Detector.load(untrained_model(tmp_path / "m"), device="cpu")
    small, large = detector.find([draw(0, size=70)[0][:50], draw(1, size=128)[0]], threshold=0.1)
    assert (small["y1"] <= 50).all() and (small["x1"] <= 70).all() and len(large)
    assert detector.find([]) == []


def test_unknown_networks_and_settings() -> None:
    with pytest.raises(ModelError, match="no detection network"):
        build_detector("yolo", {}, classes=1)
    with pytest.raises(ModelError, match="do not fit"):
        build_detector("ssd", {"wings": 2}, classes=1)
