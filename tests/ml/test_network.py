"""The network: default boxes, assignment, loss, candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.architectures.ssd.loss import assign, detection_loss
from microscope_qc.ml.architectures.ssd.network import decode
from microscope_qc.ml.tasks.images import TaskFinder, find


def test_default_boxes_are_centred_on_their_cells() -> None:
    network = build_network("ssd-tiny", {}, classes=2)
    boxes, levels = network.default_boxes(128, 192)
    assert levels == [16 * 24 * 3, 8 * 12 * 3, 4 * 6 * 3, 2 * 3 * 3] and len(boxes) == sum(levels)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middles[0].tolist() == [4.0, 4.0] and middles[3].tolist() == [12.0, 4.0]
    logits, offsets = network(torch.zeros(1, 3, 128, 192))
    assert logits.shape == (1, sum(levels), 2) and offsets.shape == (1, sum(levels), 4)


def test_every_defect_gets_a_default_box_whatever_its_shape() -> None:
    network = build_network("ssd-tiny", {}, classes=2)
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


def test_ignored_places_add_no_loss() -> None:
    network = build_network("ssd-tiny", {}, classes=2)
    default, levels = network.default_boxes(128, 128)
    logits, offsets = torch.zeros(1, len(default), 2), torch.zeros(1, len(default), 4)
    none = torch.zeros(0, 4)
    everywhere = torch.tensor([[-999.0, -999, 999, 999]])
    labels = torch.zeros(0, dtype=torch.int64)
    free = detection_loss(
        logits, offsets, default=default, levels=levels, targets=[BoxTarget(none, labels, everywhere)]
    )
    counted = detection_loss(logits, offsets, default=default, levels=levels, targets=[BoxTarget(none, labels, none)])
    assert float(sum(free.values())) == 0.0 and float(sum(counted.values())) > 0.0


def test_candidates_are_inside_their_pictures(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("microscope_qc.ml.architectures.dense.task.MOST", 50)
    task = open_task(untrained_model(tmp_path / "m", bias=0.0), device="cpu")
    (found,) = find(task, [draw(1, size=128)[0][:90, :70]])
    rows = found.candidates
    assert 0 < len(rows) <= 50
    assert min(rows["y0"].min(), rows["x0"].min()) >= 0 and rows["y1"].max() <= 90 and rows["x1"].max() <= 70
    assert (np.diff(rows["confidence"]) <= 0).all() and set(rows["label"].tolist()) <= {0, 1}


def test_a_batch_gives_the_same_as_single_pictures(tmp_path) -> None:
    detector = TaskFinder(open_task(untrained_model(tmp_path / "m"), device="cpu", threshold=0.1))
    pictures = [draw(seed, size=128)[0] for seed in range(5)]
    together = detector.find(pictures)
    assert sum(map(len, together)) > 20
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = detector.find([picture])
        assert len(alone) == len(found)
        for name in ("y0", "x0", "y1", "x1", "confidence"):
            np.testing.assert_allclose(alone[name], found[name], atol=1e-3)


def test_pictures_of_different_sizes(tmp_path) -> None:
    detector = TaskFinder(open_task(untrained_model(tmp_path / "m"), device="cpu", threshold=0.1))
    small, large = detector.find([draw(0, size=70)[0][:50], draw(1, size=128)[0]])
    assert (small["y1"] <= 50).all() and (small["x1"] <= 70).all() and len(large)
    assert detector.find([]) == []


def test_unknown_networks_and_settings() -> None:
    with pytest.raises(ModelError, match="no network named"):
        build_network("yolo", {}, classes=1)
    with pytest.raises(ModelError, match="do not fit"):
        build_network("ssd", {"wings": 2}, classes=1)
