"""Classifiers of windows: all windows from one pass, pyramid of scales, map, boxes from activations, whole slides."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_toys import draw
from pydantic import ValidationError
from window_toys import STRIDE, WINDOW, changed, patches, trained_classifier

from microscope_qc.core.errors import ModelError, ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import merge_candidates
from microscope_qc.ml.architectures.base import build_network, networks_of
from microscope_qc.ml.architectures.loading import load_task, open_task
from microscope_qc.ml.architectures.window_classifier.architecture import WindowArchitecture
from microscope_qc.ml.architectures.window_classifier.task import WindowTask
from microscope_qc.ml.cards import ModelCard, WindowSettings, read_card
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.tasks.activation import activation_box
from microscope_qc.ml.tasks.base import Task
from microscope_qc.ml.tasks.images import find
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_journal
from microscope_qc.project.runs.map_card import MapCard
from microscope_qc.project.runs.plan import RunPlan, read_plan


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_classifier(tmp_path_factory.mktemp("models") / "toy")


def scores(task: Task, picture: np.ndarray) -> np.ndarray:
    """Heat (classes, rows, columns) of a picture."""
    size = picture.shape[:2]
    (height, width), kind = task.slot(size)
    slot = np.zeros((height, width, 3), kind)
    task.prepare(picture, slot)
    (found,) = task.results(task.compute(torch.from_numpy(slot)[None], size), size)
    return found.heat


def test_a_classifier_that_was_trained_for_a_moment_tells_squares_from_discs(model: Path) -> None:
    task = open_task(model, device="cpu")
    pictures, labels = patches(9, 120)
    with torch.inference_mode():
        answers = task._network(pictures).argmax(1)
    assert (answers == labels).float().mean() > 0.9


def test_shared_features_agree_with_single_windows_except_at_borders(model: Path, tmp_path: Path) -> None:
    shared = open_task(model, device="cpu")
    alone = open_task(changed(model, tmp_path / "alone", shared=False), device="cpu")
    assert shared.shares and not alone.shares
    picture, _ = draw(5, size=384)
    one, other = scores(shared, picture), scores(alone, picture)
    assert one.shape == other.shape == (2, 21, 21)
    none = [1 - heat.sum(axis=0, keepdims=True) for heat in (one, other)]
    same = np.concatenate([one, none[0]]).argmax(0) == np.concatenate([other, none[1]]).argmax(0)
    assert same.mean() > 0.9 and np.abs(one - other).mean() < 0.1

    # a single window has no neighbours to share with, so there is no difference
    cut = picture[64:128, 80:144]
    np.testing.assert_allclose(scores(shared, cut), scores(alone, cut), atol=1e-5)
    np.testing.assert_allclose(scores(alone, cut)[:, 0, 0], other[:, 4, 5], atol=1e-5)


def test_larger_windows_see_larger_things(model: Path, tmp_path: Path) -> None:
    task = open_task(changed(model, tmp_path / "m", card={"overlap_px": 144}, scales=[1.0, 3.0]), device="cpu")
    picture = np.clip(np.random.default_rng(0).normal(120, 6, (384, 384, 3)), 0, 255).astype(np.uint8)
    picture[150:225, 150:225] = (40, 45, 50)  # three times as large as the squares that were learned
    single = open_task(model, device="cpu")
    place = (slice(9, 13), slice(9, 13))
    assert scores(task, picture)[0][place].max() > 0.6
    assert scores(task, picture).shape == scores(single, picture).shape
    rows, columns = task.starts((384, 384), 3.0)
    assert rows.tolist() == columns.tolist() == [0, 16, 32, 48, 64]


@given(height=st.integers(5, 300), width=st.integers(5, 300), scale=st.sampled_from([1.0, 1.5, 2.0]))
@settings(max_examples=40, deadline=None)
def test_windows_cover_tiles_of_any_size(model: Path, height: int, width: int, scale: float) -> None:
    task = open_task(model, device="cpu")
    for starts, side in zip(task.starts((height, width), scale), (height, width), strict=True):
        assert starts[0] == 0 and (np.diff(starts) > 0).all() and (np.diff(starts) <= STRIDE).all()
        assert starts[-1] + WINDOW >= round(side / scale)
    heat = scores(task, np.full((height, width, 3), 120, np.uint8))
    assert heat.shape[1:] == tuple(len(starts) for starts in task.starts((height, width), 1.0))
    assert np.isfinite(heat).all()


def test_boxes_from_activations() -> None:
    place = np.zeros((8, 8), np.float32)
    place[2:4, 5:7] = 3.0
    place[7, 0] = 2.9
    y0, x0, y1, x1 = activation_box(place, 64)
    assert abs(y0 - 16) < 5 and abs(x0 - 40) < 5 and abs(y1 - 32) < 5 and abs(x1 - 56) < 5
    assert activation_box(np.zeros((4, 4)), 64) == (0, 0, 64, 64)
    assert activation_box(np.full((4, 4), np.nan), 64) == (0, 0, 64, 64)


def slide_run(folder: Path, model: Path) -> tuple[Path, list]:
    """A slide of nine drawn pictures, and a new run over it."""
    folder.mkdir()
    parts = [draw(20 + number) for number in range(9)]
    picture = np.vstack([np.hstack([parts[3 * row + column][0] for column in range(3)]) for row in range(3)])
    truth = [
        (code, [y0 + 192 * (n // 3), x0 + 192 * (n % 3), y1 + 192 * (n // 3), x1 + 192 * (n % 3)])
        for n, (_, objects) in enumerate(parts) for code, (y0, x0, y1, x1) in objects
    ]  # fmt: skip
    cv2.imwrite(str(folder / "slide.png"), picture[..., ::-1])
    card = read_card(model)
    run = {
        "slide": {"path": str(folder / "slide.png"), "scene": None, "pixel_size_um": [0.5, 0.5]}, "model": str(model),
        "region": [0, 0, *picture.shape[:2]], "tile_px": card.tile_px, "overlap_px": card.overlap_px,
        "candidate_confidence": 0.3, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(run))
    return folder, truth


def test_a_slide_of_windows_gives_findings_and_a_map_that_survives_a_kill(model: Path, tmp_path: Path) -> None:
    whole, truth = slide_run(tmp_path / "whole", model)
    status = run_job(run_model(whole))
    assert status["state"] == "finished" and status["tiles_done"] == status["tiles_total"] == 9
    tiles, _ = read_journal(whole)
    grid = read_plan(whole).grid()
    found = merge_candidates(np.concatenate([rows for _, rows in tiles]), grid)
    found = found[found["confidence"] > 0.6]
    hit = 0
    for code, (y0, x0, y1, x1) in truth:
        y, x = (y0 + y1) / 2, (x0 + x1) / 2
        inside = (found["y0"] < y) & (y < found["y1"]) & (found["x0"] < x) & (x < found["x1"])
        hit += bool((found["label"][inside] == ["SQ", "DI"].index(code)).any())
    assert hit > 0.85 * len(truth)
    assert len(found) < 2 * len(truth)

    heat = HeatMap.open(whole)
    assert heat is not None and heat.card.cell_px == (16.0, 16.0) and heat.card.shape == (37, 37)
    values = heat.read()
    assert np.isfinite(values).all()
    code, (y0, x0, y1, x1) = truth[0]
    assert heat.read(Region(int(y0), int(x0), int(y1), int(x1)), label=["SQ", "DI"].index(code)).max() > 0.6
    assert heat.picture(10).shape == (10, 10)
    assert np.nanmax(heat.picture(10)) == pytest.approx(np.nanmax(values))

    killed, _ = slide_run(tmp_path / "killed", model)
    job = run_model(killed)
    while next(job).done < 4:
        pass
    job.close()
    lines = (killed / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    (killed / JOURNAL_NAME).write_bytes(b"".join(lines[:3]) + lines[3][:-7])
    run_job(run_model(killed))
    assert {tile: rows.tolist() for tile, rows in read_journal(killed)[0]} == {
        tile: rows.tolist() for tile, rows in tiles
    }
    again = HeatMap.open(killed)
    assert again is not None
    np.testing.assert_array_equal(again.read(), values)


def test_a_map_is_read_at_the_places_where_it_was_written(tmp_path: Path) -> None:
    card = MapCard((0.0, 0.0), (10.0, 10.0), (6, 8), ("A", "B"))
    heat = HeatMap.create(tmp_path, card)
    tile = np.zeros((2, 2, 3), np.float32)
    tile[1, 0, 2] = 0.75
    heat.add(Region(20, 30, 60, 70), tile, start_px=(10, 10), step_px=(10, 10))
    heat.flush()
    read = HeatMap.open(tmp_path)
    assert read is not None
    values = read.read(label=1)
    assert values[3, 6] == 0.75 and np.isnan(values[0]).all() and np.isfinite(values).sum() == 9
    assert read.card.cell_at(35, 59) == (3, 5) and read.card.cell_at(-4, 1e9) == (0, 7)
    again = HeatMap.create(tmp_path, card)
    assert again.read(label=1)[3, 6] == 0.75, "a continued run continues its map"
    again.add(Region(0, 40, 30, 80), np.full((2, 1, 2), 0.5), start_px=(10, 10), step_px=(10, 10))
    assert (read.read(label=0)[:2, 5:8] == 0.5).all(), "no window is centred at the edge: its neighbour counts"
    assert np.array_equal(read.picture(99), read.read(), equal_nan=True)
    part = read.excerpt(99, label=1, region=Region(35, 50, 36, 71))
    assert part.bounds_px == (30.0, 50.0, 40.0, 80.0) and np.array_equal(part.scores, values[3:4, 5:8], equal_nan=True)
    (tmp_path / "heat.npy").write_bytes(b"no numbers")
    with pytest.raises(ProjectError, match="damaged"):
        HeatMap.open(tmp_path)
    assert HeatMap.open(tmp_path / "elsewhere") is None


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), longest=st.integers(1, 45), seed=st.integers(0, 99),
    label=st.sampled_from([None, 0, 2]),
)  # fmt: skip
def test_a_small_picture_of_a_map_shows_the_highest_scores(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], longest: int, seed: int, label: int | None
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.random((3, *shape)) * (rng.random((3, *shape)) < 0.3)).astype(np.float16)
    heat = HeatMap(tmp_path_factory.getbasetemp(), MapCard((-5.0, 7.0), (4.0, 8.0), shape, ("A", "B", "C")), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microscope_qc.project.runs.heatmap._STRIP_CELLS", 64)  # many strips
        found = heat.excerpt(longest, label=label)
    assert max(found.scores.shape) <= longest
    assert found.bounds_px == (-5.0, 7.0, -5.0 + 4 * shape[0], 7.0 + 8 * shape[1])
    flat = values.max(axis=0) if label is None else values[label]
    for row, column in np.ndindex(*found.scores.shape):
        block = flat[row * found.step :, column * found.step :][: found.step, : found.step]
        shown = found.scores[row, column]
        assert np.isnan(shown) if block.max() == 0 else shown == np.float32(block.max())


@pytest.mark.parametrize(
    "name", [kind.name for kind in networks_of("classify") if isinstance(kind, WindowArchitecture)]
)
def test_every_network_decides_by_the_mean_of_its_maps(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, {}, classes=3).eval()
    pictures = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        maps = network.maps(pictures)
        side = 128 // network.stride if network.aligned else 2
        assert maps.shape == (1, 4, side, side)
        torch.testing.assert_close(maps.mean(dim=(2, 3)), network(pictures), atol=1e-3, rtol=1e-3)


def test_windows_of_whole_pictures_are_scaled_to_what_was_learned(model: Path, tmp_path: Path) -> None:
    """A model that has learned from pictures scaled to 64 px looks at windows of 128 px."""
    card = {"tile_px": 128, "overlap_px": 0, "windows": {"window_px": 128, "stride_px": 128, "input_px": 64}}
    data = json.loads((changed(model, tmp_path / "large") / "model.json").read_text())
    data["windows"] |= card.pop("windows")
    (tmp_path / "large" / "model.json").write_text(json.dumps(data | card))
    task = open_task(tmp_path / "large", device="cpu")
    assert not task.shares
    picture, _ = draw(5, size=192)
    small = picture[64:128, 80:144]
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    seen = scores(task, large)
    assert seen.shape == (2, 1, 1)
    np.testing.assert_allclose(seen, scores(open_task(model, device="cpu"), small), atol=1e-3)


def test_invalid_classifiers_are_rejected(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no network named"):
        build_network("alexnet", {}, classes=2)
    with pytest.raises(ModelError, match="wings"):
        build_network("light", {"wings": 2}, classes=2)
    card = json.loads((model / "model.json").read_text())
    for wrong in ({"stride_px": 100}, {"scales": [2.0]}, {"scales": [1.0, 8.0]}, {"window_px": 0}):
        with pytest.raises((ValidationError, ValueError)):
            TASKS.get("classify").check(ModelCard.model_validate(card | {"windows": card["windows"] | wrong}))
    with pytest.raises(ModelError, match="cannot run models for the task segment"):
        load_task(RunPlan(model=str(changed(model, tmp_path / "segment", card={"task": "segment"}))))


class DarkCells(torch.nn.Module):
    """The darker a window, the higher the confidence of class 0, in cells of 16 px that see nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.AvgPool2d(16)
        self.stride, self.aligned = 16, True

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        dark = -60 * self.features(pictures).mean(dim=1, keepdim=True) - 1
        return torch.cat([dark, torch.zeros_like(dark)], dim=1)


def test_what_the_border_of_a_window_cuts_is_left_to_the_window_that_shows_it_completely() -> None:
    card = ModelCard(
        name="cells", task="classify", architecture="light", classes=["SQ"], class_names=["Square"], tile_px=256,
        overlap_px=48, mean=(0.5, 0.5, 0.5), std=(1, 1, 1), confidence=0.5,
        windows=WindowSettings(window_px=WINDOW, stride_px=STRIDE),
    )  # fmt: skip
    task = WindowTask(card, DarkCells(), device=torch.device("cpu"), threshold=0.5)
    picture = np.full((256, 256, 3), 128, np.uint8)
    picture[96:128, 112:144] = 30  # windows start every 16 px: half of them cut it
    picture[0:32, 32:64] = 30  # at the tile's end no window shows more of it
    (found,) = find(task, [picture])
    boxes = [[round(float(row[name])) for name in ("y0", "x0", "y1", "x1")] for row in found.candidates]
    # the boxes are those of smoothed maps, a few pixels larger
    assert len(boxes) == 2
    for (y0, x0, y1, x1), (top, left) in zip(sorted(boxes), ((0, 32), (96, 112)), strict=True):
        assert abs(y0 - top) <= 8 and abs(x0 - left) <= 8 and abs(y1 - top - 32) <= 8 and abs(x1 - left - 32) <= 8
