"""Calibrated confidences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.dense.detector import apply_calibration
from microscope_qc.ml.evaluation.calibration import Calibration, fit_calibration
from microscope_qc.ml.evaluation.detection import Tally


def tally_of(count: int) -> Tally:
    """Two classes: class 0 is over-confident, class 1 has 0.3 where it is nearly always right."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, count)
    score = np.where(label == 0, rng.uniform(0.4, 0.9, count), rng.uniform(0.1, 0.4, count))
    right = rng.random(count) < np.where(label == 0, score - 0.3, score + 0.55)
    boxes = np.stack([np.arange(count) * 20.0, np.zeros(count), np.arange(count) * 20.0 + 10, np.full(count, 10.0)], 1)
    tally = Tally(["A", "B"])
    tally.add(boxes=boxes, labels=label, confidence=score, truth=boxes[right], truth_labels=label[right])
    return tally


def test_a_confidence_becomes_the_share_that_is_right() -> None:
    tally = tally_of(4000)
    calibration = fit_calibration(tally)
    assert calibration is not None
    score, label, hit = tally.hits()
    logit = np.log(score / (1 - score)) * calibration.slope + np.array(calibration.offsets)[label]
    said = 1 / (1 + np.exp(-logit))
    for code in (0, 1):
        assert said[label == code].mean() == pytest.approx(hit[label == code].mean(), abs=0.03)


def test_too_few_findings_to_fit() -> None:
    assert fit_calibration(tally_of(5)) is None


def test_the_calibration_is_folded_into_the_last_layer() -> None:
    torch.manual_seed(2)
    network = build_network("ssd-tiny", {}, classes=3).eval()
    pictures = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        before, offsets_before = network(pictures)
        apply_calibration(network, Calibration(2.5, (-1.0, 0.5, 3.0)))
        after, offsets_after = network(pictures)
    torch.testing.assert_close(after, before * 2.5 + torch.tensor([-1.0, 0.5, 3.0]), rtol=1e-4, atol=1e-4)
    assert torch.equal(offsets_before, offsets_after)
