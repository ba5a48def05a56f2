"""Anomaly models: errors of all windows from one pass, map and findings of a slide, lack of memory, invalid models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from anomaly_toys import STRIDE, blurring_autoencoder, waves
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from window_toys import changed

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import merge_candidates
from microscope_qc.ml.architectures.autoencoder.network import SquaredErrors
from microscope_qc.ml.architectures.autoencoder.task import AnomalyTask
from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.loading import load_task, open_task
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.engine.fallback import MemoryFallback
from microscope_qc.ml.tasks.base import TileResult
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.ml.weights import load_weights
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_journal
from microscope_qc.project.runs.plan import RunPlan, read_plan

SPOTS = [(60, 70), (150, 200), (330, 90), (420, 430), (215, 560), (585, 300)]
"""Some are where windows or tiles end."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blurring_autoencoder(tmp_path_factory.mktemp("models") / "toy")


def slot_of(task: AnomalyTask, picture: np.ndarray, kind: Any = None) -> torch.Tensor:
    """A picture as the engine passes it to the network."""
    (height, width), own = task.slot(picture.shape[:2])
    slot = np.zeros((height, width, 3), kind or own)
    task.prepare(picture, slot)
    return torch.from_numpy(slot)[None]


def answered(task: AnomalyTask, picture: np.ndarray, kind: Any = None) -> tuple[np.ndarray, TileResult]:
    """Scores of all windows from the network, and the result made from them."""
    size = picture.shape[:2]
    computed = task.compute(slot_of(task, picture, kind), size)
    (found,) = task.results(computed, size)
    return computed.tensors[0][0, 0].numpy(), found


def matched(rows: Sequence[Any], spots: Sequence[tuple[int, int]]) -> list[int]:
    """Number of findings around each spot."""
    return [sum(row["y0"] < y < row["y1"] and row["x0"] < x < row["x1"] for row in rows) for y, x in spots]


@given(
    height=st.integers(1, 6), width=st.integers(1, 6), layers=st.integers(1, 4), batch=st.integers(1, 3),
    seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_errors_are_those_of_the_reconstruction(height: int, width: int, layers: int, batch: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = build_network("autoencoder", {"widths": [5, 7, 8, 6][:layers]}, classes=1).eval()
    pictures = torch.randn(batch, 3, height * network.stride, width * network.stride)
    with torch.inference_mode():
        expected = (network(pictures) - pictures).square()
        module = SquaredErrors(network)
        for at_once in {module._at_once, False}:
            module._at_once = at_once
            found = module(pictures).permute(0, 5, 1, 3, 2, 4).reshape(expected.shape)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_without_fused_rectifiers_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: SquaredErrors, pictures: torch.Tensor) -> torch.Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_convolution_pointwise'")

    monkeypatch.setattr(SquaredErrors, "_rectified", gone)
    module = SquaredErrors(build_network("autoencoder", {"widths": [4, 4]}, classes=1).eval())
    assert not module._at_once and module(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 4, 2, 2, 3)


def test_a_window_alone_in_a_tile_scores_its_mean_squared_error_whatever_the_padding(model: Path) -> None:
    task = open_task(model, device="cpu")
    network = build_network("autoencoder", task.card.network, classes=1).eval()
    load_weights(network, model / WEIGHTS_NAME)
    for size in ((64, 64), (64, 41), (23, 60)):
        picture = waves(3, height=size[0], width=size[1], spots=((10, 10),))
        slot = slot_of(task, picture).permute(0, 3, 1, 2)
        with torch.inference_mode():
            errors = (network(slot) - slot).square()[:, :, : size[0], : size[1]]
        expected = 1 / (1 + np.exp(-(float(errors.mean()) - 0.05) / 0.008))
        _, found = answered(task, picture)
        assert found.heat is not None and found.heat.shape == (1, 1, 1)
        assert found.heat[0, 0, 0] == pytest.approx(expected, abs=1e-3) and expected > 0.1


@given(height=st.integers(1, 300), width=st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_a_normal_tile_of_any_size_is_normal_to_its_edges(model: Path, height: int, width: int) -> None:
    task = open_task(model, device="cpu")
    _, found = answered(task, np.full((height, width, 3), 131, np.uint8))
    assert found.heat is not None
    assert found.heat.shape[1:] == tuple(len(starts) for starts in task.starts((height, width), 1.0))
    assert found.heat.max() < 0.05 and len(found.candidates) == 0


def test_windows_that_share_a_pass_score_as_they_do_alone_but_for_their_borders(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = open_task(model, device="cpu")
    alone = open_task(changed(model, tmp_path / "alone", shared=False), device="cpu")
    assert shared.shares and not alone.shares
    picture = waves(8, height=256, width=256, spots=SPOTS[:2])
    (one, found), (other, found_alone) = answered(shared, picture), answered(alone, picture)
    assert one.shape == other.shape == (5, 5)
    difference = np.abs(one - other)
    most, odd, normal = difference.max(), one.max(), float(np.median(one))
    with capsys.disabled():
        print(f"\n    shared or alone: scores differ by {difference.mean():.4f}, at most {most:.4f}", end="; ")
        print(f"an odd window's is {odd:.2f}, a normal one's {normal:.4f}")
    assert most < 0.02 < 0.25 * odd
    assert most > 1e-4, "windows that see beyond their border differ slightly"
    for rows in (found.candidates, found_alone.candidates):
        assert matched(rows, SPOTS[:2]) == [1, 1] and len(rows) == 2
    # what they see beyond their border has an effect inside, but hardly any at their centre
    maps = [shared.compute(slot_of(shared, picture), (256, 256)).tensors[1][0, 0, :8, 12:20].numpy()]
    maps.append(alone.compute(slot_of(alone, picture), (256, 256)).tensors[1][0, 0, 2, 0].numpy())
    places = np.abs(maps[0] - maps[1])
    assert places.shape == (8, 8) and places[3:5, 3:5].max() < 0.05 * places.max()
    # a single window has no neighbours to share with, so there is no difference
    cut = picture[96:160, 48:112]
    np.testing.assert_allclose(answered(shared, cut)[0], answered(alone, cut)[0], atol=1e-6)
    np.testing.assert_allclose(answered(alone, cut)[0][0, 0], other[2, 1], atol=1e-6)


def test_windows_at_any_distance_are_computed_one_by_one(model: Path, tmp_path: Path) -> None:
    task = load_task(RunPlan(model=str(changed(model, tmp_path / "m", card={"overlap_px": 27}, stride_px=37))))
    assert isinstance(task, AnomalyTask) and not task.shares
    _, found = answered(task, waves(8, height=256, width=256, spots=SPOTS[:2]))
    assert found.heat is not None and found.heat.shape == (1, 7, 7)
    sure = found.candidates[found.candidates["confidence"] > 0.5]
    assert matched(sure, SPOTS[:2]) == [1, 1] and len(sure) == 2


def test_an_anomaly_across_windows_is_counted_once_with_its_whole_length(model: Path) -> None:
    task = open_task(model, device="cpu")
    picture = waves(8, height=256, width=256)
    picture[118:128, 30:230] = 240  # a scratch through five windows
    picture[20:34, 200:214] = 240
    _, found = answered(task, picture)
    assert len(found.candidates) == 2
    scratch = max(found.candidates, key=lambda row: row["x1"] - row["x0"])
    assert abs(scratch["x0"] - 30) < 12 and abs(scratch["x1"] - 230) < 12
    assert scratch["y0"] > 100 and scratch["y1"] < 146


def slide_run(folder: Path, model: Path) -> Path:
    """A new run over a slide of nine tiles."""
    folder.mkdir()
    cv2.imwrite(str(folder / "slide.png"), waves(5, height=640, width=640, spots=tuple(SPOTS)))
    card = read_card(model)
    run = {
        "slide": {"path": str(folder / "slide.png"), "scene": None, "pixel_size_um": [0.5, 0.5]}, "model": str(model),
        "region": [0, 0, 640, 640], "tile_px": card.tile_px, "overlap_px": card.overlap_px,
        "candidate_confidence": 0.05, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(run))
    return folder


def findings(folder: Path) -> np.ndarray:
    """Merged findings of a run with a high confidence."""
    tiles, _ = read_journal(folder)
    grid = read_plan(folder).grid()
    found = merge_candidates(np.concatenate([rows for _, rows in tiles]), grid)
    return found[found["confidence"] > 0.5]


def test_a_slide_gives_its_anomalies_and_a_map_that_survives_a_kill(model: Path, tmp_path: Path) -> None:
    whole = slide_run(tmp_path / "whole", model)
    status = run_job(run_model(whole))
    assert status["state"] == "finished" and status["tiles_done"] == status["tiles_total"] == 9
    found = findings(whole)
    assert matched(found, SPOTS) == [1] * len(SPOTS) and len(found) == len(SPOTS)
    assert (found["y1"] - found["y0"]).max() < 40 and (found["x1"] - found["x0"]).max() < 40

    heat = HeatMap.open(whole)
    assert heat is not None and heat.card.cell_px == (STRIDE, STRIDE) and heat.card.classes == ("ODD",)
    values = heat.read()
    assert np.isfinite(values).all()
    for y, x in SPOTS:
        assert values[heat.card.cell_at(y, x)] > 0.5
    assert (values > 0.5).mean() < 0.2 and np.median(values) < 0.05

    killed = slide_run(tmp_path / "killed", model)
    job = run_model(killed)
    while next(job).done < 4:
        pass
    job.close()
    lines = (killed / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    (killed / JOURNAL_NAME).write_bytes(b"".join(lines[:3]) + lines[3][:-7])
    run_job(run_model(killed))
    tiles, again = ({tile: rows.tolist() for tile, rows in read_journal(run)[0]} for run in (whole, killed))
    assert again == tiles
    continued = HeatMap.open(killed)
    assert continued is not None
    np.testing.assert_array_equal(continued.read(), values)


def test_when_memory_runs_out_a_tile_in_parts_gives_the_same(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = open_task(model, device="cpu")
    picture = waves(8, height=256, width=256, spots=SPOTS[:2])
    scores, whole = answered(task, picture)
    compute = AnomalyTask.compute

    def small(self: AnomalyTask, slots: torch.Tensor, size: tuple[int, int]) -> Any:
        if slots.shape[1] > 208:
            raise RuntimeError("can't allocate memory")
        return compute(self, slots, size)

    monkeypatch.setattr(AnomalyTask, "compute", small)
    told: list[str] = []
    fallback = MemoryFallback(task, told.append)
    slots = torch.cat([slot_of(task, picture)] * 2)
    founds = fallback.results(fallback.compute(slots, (256, 256)), (256, 256))
    assert len(told) == 2 and "one tile" in told[0] and "in parts" in told[1]
    for found in founds:
        assert found.heat is not None and whole.heat is not None and found.heat.shape == whole.heat.shape
        np.testing.assert_array_equal(found.heat > 0.5, whole.heat > 0.5)
        assert matched(found.candidates, SPOTS[:2]) == [1, 1] and len(found.candidates) == 2


def test_bytes_prepared_for_a_gpu_have_the_same_scores_on_the_cpu(model: Path) -> None:
    task = open_task(model, device="cpu")
    picture = waves(8, height=250, width=243, spots=SPOTS[:2])
    scores, found = answered(task, picture)
    task.to_cpu()
    again, found_again = answered(task, picture, np.uint8)
    np.testing.assert_allclose(again, scores, atol=1e-5)
    assert len(found.candidates) == len(found_again.candidates) == 2


def test_larger_windows_see_larger_things(model: Path, tmp_path: Path) -> None:
    large = changed(model, tmp_path / "m", card={"overlap_px": 64}, scales=[1.0, 4.0])
    single, task = open_task(model, device="cpu"), open_task(large, device="cpu")
    picture = waves(8, height=256, width=256)
    picture[88:168, 88:168] = 200  # small windows see it as uniform, which is reconstructed well
    _, found = answered(task, picture)
    _, near = answered(single, picture)
    assert found.heat is not None and near.heat is not None and found.heat.shape == near.heat.shape
    assert (found.heat >= near.heat).all() and found.heat.min() > 0.5 > near.heat.min()
    assert task.parts((256, 256)) == [] and len(single.parts((256, 256))) == 4


def test_invalid_anomaly_models_are_rejected(model: Path, tmp_path: Path) -> None:
    card = json.loads((model / "model.json").read_text())
    anomaly = card["anomaly"]
    for wrong in (
        {"windows": None}, {"anomaly": None}, {"classes": ["A", "B"], "class_names": ["A", "B"]}, {"overlap_px": 3},
        {"anomaly": anomaly | {"threshold": 0}}, {"anomaly": anomaly | {"spread": -1}}, {"tile_px": 63},
        {"anomaly": anomaly | {"spread": float("nan")}}, {"anomaly": anomaly | {"threshold": float("inf")}},
    ):  # fmt: skip
        with pytest.raises((ValidationError, ValueError)):
            TASKS.get("anomaly").check(ModelCard.model_validate(card | wrong))
    with pytest.raises(ModelError, match="multiple of 16 px"):
        load_task(RunPlan(model=str(changed(model, tmp_path / "odd", card={"tile_px": 250}, window_px=63))))
    with pytest.raises(ModelError, match="not a network that finds anomalies"):
        load_task(RunPlan(model=str(changed(model, tmp_path / "light", card={"architecture": "light"}))))
    with pytest.raises(ModelError, match="do not fit"):
        load_task(RunPlan(model=str(changed(model, tmp_path / "widths", card={"network": {"widths": [4, 4, 4, 4]}}))))
    with pytest.raises(ModelError, match="no network named"):
        build_network("variational", {}, classes=1)
    for unfit in ({"wings": 2}, {"widths": []}, {"widths": [0, 8]}, {"widths": 3}, {"slope": "steep"}, {"slope": 2}):
        with pytest.raises(ModelError, match="do not fit autoencoder"):
            build_network("autoencoder", unfit, classes=1)
