"""The memory of normal places: what it learns, what it finds, that its map has no seams, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from anomaly_toys import waves

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.architectures.memory.architecture import MEMORY
from microscope_qc.ml.architectures.memory.fitting import fit_memory
from microscope_qc.ml.architectures.memory.network import NormalMemory, levelled
from microscope_qc.ml.architectures.memory.recipe import MemoryRecipe
from microscope_qc.ml.architectures.memory.settings import MemorySettings
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.cards import AnomalySettings, read_card
from microscope_qc.ml.datasets.normal_tiles import NormalTile, NormalTiles
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.engine.record import own_cells
from microscope_qc.ml.tasks.images import find
from microscope_qc.ml.tasks.regions import regions_of
from microscope_qc.ml.tasks.tail import P_HALF, confidences, share_of_normal, tail_of
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.journal import read_journal
from microscope_qc.workflows.learning.train import train

SPOTS = ((60, 70), (150, 200))
SMALL = {
    "crop_px": 128,
    "tile_px": 256,
    "overlap_px": 128,
    "network_settings": {"known": 500, "numbers": 24, "enlarged": 1, "per_picture": False},
}


def pictures(folder: Path, count: int = 5, *, side: int = 192) -> Path:
    """A folder in the layout of MVTec AD, with good pictures to learn from, and one of each kind to measure on."""
    for part in ("train/good", "test/good", "test/spot"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / "train" / "good" / f"{number}.png"), waves(number, height=side, width=side))
    cv2.imwrite(str(folder / "test" / "good" / "g.png"), waves(30, height=220, width=260))
    cv2.imwrite(str(folder / "test" / "spot" / "s.png"), waves(31, height=220, width=260, spots=SPOTS))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    run_job(train(pictures(folder / "set"), folder / "model", task="anomaly", network="memory", **SMALL))
    return folder / "model"


def test_it_finds_what_is_unlike_the_pictures_it_learned_from(model: Path) -> None:
    task = open_task(model, device="cpu")
    odd, good = find(task, [waves(40, height=220, width=260, spots=SPOTS), waves(41, height=220, width=260)])
    strong = odd.candidates[odd.candidates["confidence"] >= 0.5]
    assert len(strong) == len(SPOTS)
    for (y, x), row in zip(SPOTS, sorted(strong, key=lambda one: one["y0"]), strict=True):
        assert row["y0"] < y < row["y1"] and row["x0"] < x < row["x1"]
        assert max(row["y1"] - row["y0"], row["x1"] - row["x0"]) < 80
    assert not (good.candidates["confidence"] >= 0.5).any()
    assert odd.heat is not None and odd.heat.shape == (1, 28, 33)


def test_the_card_says_what_it_learned_from(model: Path) -> None:
    card = read_card(model)
    about = card.training
    assert (card.task, card.architecture, card.classes) == ("anomaly", "memory", ["ODD"])
    assert about["pictures"] == 4 and about["tiles"] == 4 and about["known"] == 500 == card.network["known"]
    assert "EfficientNet" in about["backbone"] and about["left_out_places"] == pytest.approx(
        0.02 * about["places"], 0.1
    )
    assert about["measured_places"] == 16 * 16 and card.anomaly is not None


def test_a_slide_unlike_what_it_learned_from_is_said_before_its_results(model: Path, tmp_path: Path) -> None:
    usual = waves(50, height=256, width=256)
    for name, picture in (("usual", usual), ("dark", usual // 3), ("steep", np.where(usual > 127, 255, 0))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture.astype(np.uint8))
        folder = run_folder(tmp_path / name, model, tmp_path / f"{name}.png", 256, tile_px=256, overlap_px=128)
        notes = json.loads((folder / "status.json").read_text(encoding="utf-8"))["notes"]
        said = [note for note in notes if "unlike what" in note]
        assert len(said) == (0 if name == "usual" else 1), (name, notes)
        if name == "dark":
            assert "it is darker" in said[0]
        if name == "steep":
            assert "higher in contrast" in said[0] and "its texture is" in said[0]


def test_defects_among_the_pictures_it_learns_from_do_not_become_normal(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set")
    cv2.imwrite(str(folder / "train" / "good" / "0.png"), waves(0, height=192, width=192, spots=((90, 90),)))
    run_job(train(folder, tmp_path / "model", task="anomaly", network="memory", **SMALL))
    (odd,) = find(open_task(tmp_path / "model", device="cpu"), [waves(40, height=220, width=260, spots=SPOTS)])
    rows = odd.candidates
    for y, x in SPOTS:
        there = rows[(rows["y0"] < y + 7) & (y - 7 < rows["y1"]) & (rows["x0"] < x + 7) & (x - 7 < rows["x1"])]
        assert len(there) == 1 and there["confidence"][0] >= 0.5, rows


def run_folder(folder: Path, model: Path, picture: Path, side: int, **grid: int) -> Path:
    folder.mkdir()
    plan = {
        "run_id": 1, "slide": {"path": str(picture), "scene": None, "pixel_size_um": [0.5, 0.5]}, "model": str(model),
        "region": [0, 0, side, side], "candidate_confidence": 0.05, "device": "cpu", "classes": ["ODD"],
        "skip_empty": False, **grid,
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(plan))
    run_job(run_model(folder))
    return folder


def test_the_map_of_a_slide_has_no_seams_and_a_defect_over_them_is_one(model: Path, tmp_path: Path) -> None:
    spots = ((104, 180), (300, 176), (176, 310))  # the tiles meet at 176 and 304
    cv2.imwrite(str(tmp_path / "slide.png"), waves(8, height=448, width=448, spots=spots))
    whole = run_folder(tmp_path / "whole", model, tmp_path / "slide.png", 448, tile_px=448, overlap_px=128)
    tiles = run_folder(tmp_path / "tiles", model, tmp_path / "slide.png", 448, tile_px=256, overlap_px=128)
    maps = [HeatMap.open(folder).read() for folder in (whole, tiles)]
    assert maps[0].shape == maps[1].shape == (56, 56) and np.isfinite(maps[1]).all()
    assert np.abs(maps[0] - maps[1]).max() < 0.15 and np.abs(maps[0] - maps[1]).mean() < 0.005
    rows = np.concatenate([found for _, found in read_journal(tiles)[0]])
    strong = rows[rows["confidence"] >= 0.5]
    for y, x in spots:
        around = (strong["y0"] < y) & (y < strong["y1"]) & (strong["x0"] < x) & (x < strong["x1"])
        assert around.sum() >= 1
    assert len(strong) >= len(spots)


def test_a_tile_gives_only_the_cells_of_its_own_part() -> None:
    heat = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    mine, start = own_cells(
        heat, Region(32, 0, 64, 32), (40.0, 0.0, 58.0, 32.0), start_px=(0.0, 0.0), step_px=(4.0, 4.0)
    )
    assert start == (8.0, 0.0) and mine.shape == (1, 4, 8) and mine[0, 0, 0] == 16


def filled(places: torch.Tensor, **settings: int) -> NormalMemory:
    memory = NormalMemory(MemorySettings(strides=(16,), grid_px=16, around=1, **settings))
    fit_memory(places, memory, seed=0)
    return memory


def test_distances_are_those_from_the_nearest_known_place() -> None:
    rng = torch.Generator().manual_seed(3)
    places = torch.randn(600, 112, generator=rng) * torch.linspace(0.5, 3, 112)
    memory = filled(places, numbers=40, known=150)
    assert memory.known.shape == (150, 40)
    seen = torch.randn(1, 112, 3, 5, generator=rng)
    white = (seen[0].flatten(1).T - memory.centre) @ memory.whitening
    expected = torch.cdist(white.double(), memory.known.double()).min(1).values / 40**0.5
    assert torch.allclose(memory.distances(seen).flatten().double(), expected, rtol=1e-3, atol=1e-4)


def test_without_known_places_distances_are_those_of_mahalanobis() -> None:
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(4)
    places = rng.multivariate_normal(np.zeros(3), np.array([[2, 1, 0], [1, 3, 0.5], [0, 0.5, 1]]), 4000)
    wide = np.concatenate([places, np.tile(1e-7 * rng.normal(size=(4000, 1)), 109)], axis=1).astype(np.float32)
    memory = filled(torch.from_numpy(wide), numbers=3, known=0)
    seen = np.array([[2.0, -1.0, 3.0]])
    white = memory.whitened(torch.from_numpy(np.pad(seen, ((0, 0), (0, 109))).astype(np.float32)))
    inner = places[np.einsum("ij,jk,ik->i", places, np.linalg.inv(np.cov(places.T)), places) < 9.84]  # 2 % are left out
    exact = mahalanobis(seen[0], inner.mean(0), np.linalg.inv(np.cov(inner.T)))
    assert float(white.norm()) == pytest.approx(exact, rel=0.03)


def test_places_are_those_of_the_settings_whatever_the_size_of_a_picture() -> None:
    memory = build_network("memory", {"strides": [8, 16], "grid_px": 8, "enlarged": 2, "levelled_px": 20}, classes=1)
    images = torch.randn(1, 3, 45, 70, generator=torch.Generator().manual_seed(1))
    assert memory.describe(images).shape == (1, 152, 12, 18)
    tiny = memory.describe(images[:, :, :9, :70])
    assert tiny.shape[2:] == (3, 18) and torch.isfinite(tiny).all()


def test_levelling_takes_brightness_and_contrast_away() -> None:
    image = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(2)) * 0.2
    changed = 0.5 * image + 0.4 + torch.linspace(-0.3, 0.3, 160)
    same = (levelled(image, 20) - levelled(changed, 20))[:, :, 30:-30, 30:-30]
    assert same.abs().mean() < 0.03 and levelled(image, 20).std() == pytest.approx(0.4, rel=0.1)


def test_pictures_under_another_light_look_alike_where_that_is_chosen() -> None:
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(2)) * 0.2
    memory = build_network("memory", {"per_picture": True, "strides": [8]}, classes=1)
    assert torch.allclose(memory.describe(image), memory.describe(0.5 * image + 0.3), atol=1e-4)
    assert torch.isfinite(memory.describe(torch.zeros(1, 3, 64, 96))).all()


def test_small_pictures_without_a_pixel_size_are_enlarged_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    def suited(size_um: tuple[float, float] | None, side: int, **own: object) -> TrainSettings:
        image = AnnotatedImage(tmp_path / "a.png", (side, side), np.zeros((0, 4)), np.zeros(0, np.int64), size_um)
        chosen = TrainSettings(network="memory", crop_px=256, network_settings=own)
        return MEMORY.suited(chosen, Dataset(["ODD"], [image], ["ODD"]))

    small = suited(None, 300, known=7)
    expected = {"enlarged": 2, "per_picture": True, "around": 1, "numbers": 176, "known": 7}
    assert small.network_settings == expected and small.crop_px == 1024
    assert suited(None, 300, enlarged=1).network_settings["enlarged"] == 1
    assert suited((1.0, 1.0), 300).network_settings == {} == suited(None, 5000).network_settings


def test_the_threshold_is_where_the_share_of_normal_places_says() -> None:
    distances = 1 + np.random.default_rng(5).exponential(0.1, 200_000)
    tail = tail_of(distances)
    assert tail.settings.threshold == pytest.approx(1 + 0.1 * -np.log(P_HALF), rel=0.01)
    seen = np.array([1.5, 1.9, 2.151, 4.0])
    share = share_of_normal(confidences(seen, tail.settings).astype(float), tail.settings)
    assert share[:3] == pytest.approx(np.exp(-(seen[:3] - 1) / 0.1), rel=0.1) and share[3] < 1e-10


def test_confidences_rise_and_are_half_at_the_threshold() -> None:
    sure = confidences(np.array([0.0, 0.9, 1.0, 1.5, 2.0, 10.0, 1e9]), AnomalySettings(threshold=1.0, spread=0.05))
    assert (np.diff(sure) >= 0).all() and sure[[2, 4]] == pytest.approx([0.5, 0.875]) and sure[-1] <= 1


def test_regions_above_the_threshold_take_weaker_ones_around_them() -> None:
    sure = np.zeros((8, 10), np.float32)
    sure[1:4, 1:4], sure[2, 2] = 0.2, 0.9  # one region, whose strong part counts
    sure[6, 6:9], sure[6, 9] = 0.1, 0.3
    rows = regions_of(sure, cell_px=8, size=(60, 78), least=0.05)
    assert rows[["y0", "x0", "y1", "x1"]].tolist() == [(16, 16, 24, 24), (48, 48, 56, 78)]
    assert rows["confidence"].tolist() == pytest.approx([0.9, 0.3])


def test_marked_places_and_their_neighbours_are_not_learned_from() -> None:
    tile = NormalTile(np.zeros((64, 64, 3), np.uint8), np.array([[17.0, 30.0, 20.0, 34.0]]))
    normal = tile.normal(8, 8, cell_px=8)
    assert (~normal).sum() == 12 and not normal[1:4, 2:6].any()


def test_tiles_are_spread_over_all_pictures_and_never_more_than_asked_for(tmp_path: Path) -> None:
    images = []
    for number, side in enumerate((300, 40)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((side, side, 3), 50 * number, np.uint8))
        nothing = np.zeros((0, 4))
        images.append(AnnotatedImage(tmp_path / f"{number}.png", (side, side), nothing, np.zeros(0, np.int64)))
    data = Dataset(["A"], images, ["A"])
    all_of_them = [tile.pixels.shape[:2] for tile in NormalTiles(data, model_um=None, side_px=100, most=50, seed=0)]
    assert all_of_them == [(100, 100)] * 9 + [(40, 40)]
    assert len(list(NormalTiles(data, model_um=None, side_px=100, most=4, seed=0))) == 4


@pytest.mark.parametrize(
    ("grey", "side", "said"), [(True, 192, "no picture to learn"), (False, 12, "too little to learn")]
)
def test_pictures_that_nothing_can_be_learned_from_are_refused(
    tmp_path: Path, grey: bool, side: int, said: str
) -> None:
    good = tmp_path / "set" / "train" / "good"
    good.mkdir(parents=True)
    (tmp_path / "set" / "test").mkdir()
    for number in range(4):
        picture = np.full((side, side), 90, np.uint8) if grey else waves(number, height=side, width=side)
        cv2.imwrite(str(good / f"{number}.png"), picture)
    with pytest.raises(ModelError, match=said):
        run_job(train(tmp_path / "set", tmp_path / "m", task="anomaly", network="memory", keep_bad=True, **SMALL))


def test_a_slide_of_one_grey_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((192, 192), 90, np.uint8))
    image = AnnotatedImage(tmp_path / "grey.png", (192, 192), np.zeros((0, 4)), np.zeros(0, np.int64))
    recipe = MemoryRecipe(TrainSettings(network="memory"), Dataset(["ODD"], [image], ["ODD"]), network=MemorySettings())
    with pytest.raises(ModelError, match="of one grey"):
        run_job(recipe.fit_once(NormalMemory(MemorySettings())))


def test_weights_that_are_not_numbers_are_refused(model: Path) -> None:
    task = open_task(model, device="cpu")
    task.network.known[3, 2] = float("nan")
    with pytest.raises(ModelError, match="not finite numbers"):
        find(task, [waves(41, height=100, width=100)])


def test_settings_that_do_not_go_together_are_refused() -> None:
    for wrong in ({"strides": [16, 8]}, {"around": 2}, {"numbers": 0}, {"enlarged": 3}, {"grid_px": 4, "known": -1}):
        with pytest.raises(ModelError, match="do not fit memory"):
            build_network("memory", wrong, classes=1)
