"""The one-stage detector: places, assignment, loss, what it starts from, and a short training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.stats
import torch
from learning_toys import coco_folder
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import build_network
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.architectures.one_stage.architecture import LITE0
from microscope_qc.ml.architectures.one_stage.loss import assign, detection_loss
from microscope_qc.ml.architectures.one_stage.network import OneStage
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.weights import IMAGENET, start_from
from microscope_qc.ml.cards import WEIGHTS_NAME, read_card
from microscope_qc.ml.datasets import direction
from microscope_qc.ml.datasets.crops import CropSampler
from microscope_qc.ml.datasets.direction import have_a_direction
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.ml.tasks.images import find
from microscope_qc.workflows.learning.train import train

SMALL = {"pyramid": 16, "tower": 1}


def _network(**settings: object) -> OneStage:
    torch.manual_seed(3)
    network = build_network("lite0", SMALL | settings, classes=2)
    assert isinstance(network, OneStage)
    return network


def _target(*boxes: tuple[float, float, float, float], ignore: tuple[float, ...] | None = None) -> BoxTarget:
    labels = torch.arange(len(boxes)) % 2
    left = torch.tensor([ignore]) if ignore else torch.zeros(0, 4)
    return BoxTarget(torch.tensor(boxes).reshape(-1, 4), labels, left)


def test_there_is_an_output_for_every_place() -> None:
    network = _network().eval()
    with torch.inference_mode():
        logits, distances = network(torch.zeros(2, 3, 128, 192))
    places = network.places(128, 192)
    assert logits.shape == (2, len(places), 2) and distances.shape == (2, len(places), 4)
    assert places[0].tolist() == [4.0, 4.0, 8.0] and places[-1].tolist() == [160.0, 96.0, 64.0]
    boxes = network.boxes(distances[0], places)
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_an_enlarging_network_says_what_one_without_says_of_the_larger_image() -> None:
    plain, enlarging = _network().eval(), _network(enlarge=1.28).eval()
    enlarging.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 200, 150)
    with torch.inference_mode():
        larger = functional.interpolate(image, (256, 192), mode="bilinear", align_corners=False)
        logits, distances = plain(larger)
        same, shorter = enlarging(image)
        seen = enlarging.features(image)
        torch.testing.assert_close(seen, plain.features(larger))
    torch.testing.assert_close(same, logits)
    boxes = plain.boxes(distances[0], plain.places(256, 192))
    own = enlarging.boxes(shorter[0], enlarging.places(200, 150))
    torch.testing.assert_close(own, boxes / torch.tensor([1.28, 1.28, 1.28, 1.28]), atol=1e-4, rtol=1e-4)
    assert enlarging.places(200, 150)[0].tolist() == pytest.approx([4 / 1.28, 4 / 1.28, 8 / 1.28])


@pytest.mark.parametrize(("size", "enlarge"), [((200, 180), 1.28), ((40, 30), 4.0), ((256, 90), None)])
def test_small_pictures_are_enlarged_and_seen_whole(tmp_path: Path, size: tuple[int, int], enlarge: float) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.full(size, 99, np.uint8))
    data = Dataset(["A"], [AnnotatedImage(tmp_path / "p.png", size, np.array([[1.0, 1, 9, 9]]), np.array([0]))])
    settings = LITE0.suited(TrainSettings(batch=2, network_settings=SMALL), data)
    assert settings.network_settings.get("enlarge") == enlarge
    chosen = TrainSettings(network_settings={"enlarge": 1.5})
    assert LITE0.suited(chosen, data) == chosen
    if enlarge is not None:
        recipe = LITE0.recipe(settings, data)
        assert recipe.side_px == max(size)
        assert all(len(crop.boxes) == 1 for step in range(20) for crop in recipe.batch(step))


def _pictures(ratio: float, *, count: int = 12, side: int = 200) -> Dataset:
    """With boxes of class A in any shape, and of B that are about ``ratio`` times as high as wide."""
    rng = np.random.default_rng(2)
    boxes = []
    for _ in range(count):
        sides = np.exp(rng.normal(3, 0.3, (2, 2)))
        sides[1, 0] *= ratio
        corners = rng.uniform(0, 20, (2, 2))
        boxes.append(np.concatenate([corners, corners + sides], 1))
    labels = np.array([0, 1])
    images = [AnnotatedImage(Path(f"{n}.png"), (side, side), box, labels) for n, box in enumerate(boxes)]
    return Dataset(["A", "B"], images)


@pytest.mark.parametrize(
    ("ratio", "side", "expected"),
    [(3.0, 200, "upright"), (1 / 3, 200, "upright"), (1.0, 200, "full"), (3.0, 2000, "full")],
)
def test_pictures_whose_defects_have_a_direction_are_left_upright(ratio: float, side: int, expected: str) -> None:
    data = _pictures(ratio, side=side)
    assert LITE0.suited(TrainSettings(), data).augment == expected
    assert LITE0.suited(TrainSettings(augment="full"), data).augment == "full", "chosen"


def test_the_chance_is_that_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _pictures(1.25)
    heights, widths = np.array([(image.boxes[1, 2:] - image.boxes[1, :2]) for image in data.images]).T
    chance = scipy.stats.ttest_1samp(np.log(heights / widths), 0).pvalue
    for level, expected in ((0.99, False), (1.01, True)):
        monkeypatch.setattr(direction, "_CHANCE", 2 * chance * level)
        assert have_a_direction(data) == expected


def test_few_pictures_or_equal_boxes_tell_no_direction() -> None:
    assert not have_a_direction(_pictures(3.0, count=4))
    same = AnnotatedImage(Path("p.png"), (99, 99), np.array([[1.0, 1, 9, 5]]), np.array([0]))
    assert not have_a_direction(Dataset(["A"], [same] * 4))
    assert have_a_direction(Dataset(["A"], [same] * 40))
    assert not have_a_direction(Dataset(["A"], []))


def test_upright_crops_are_mirrored_from_left_to_right_only(tmp_path: Path) -> None:
    picture = np.zeros((192, 192), np.uint8)
    picture[:96, :96] = 200
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    image = AnnotatedImage(tmp_path / "p.png", (192, 192), np.array([[0.0, 0, 96, 96]]), np.array([0]))
    seen = {}
    for augment in ("full", "upright"):
        drawn = CropSampler(
            Dataset(["A"], [image]), side=192, model_um=None, seed=0, stride_px=64, augment=augment
        ).batch(0, 64)
        brightest = [np.unravel_index(crop.pixels[48:144:95, 48:144:95, 0].argmax(), (2, 2)) for crop in drawn]
        seen[augment] = {(int(y), int(x)) for y, x in brightest}
    assert seen["upright"] == {(0, 0), (0, 1)}
    assert len(seen["full"]) == 4


@pytest.mark.parametrize("overlap", [0.0, 0.6])
def test_every_defect_gets_a_place_whatever_its_shape(overlap: float) -> None:
    places = _network().places(256, 256)
    target = _target((10, 10, 16, 16), (40, 61, 240, 63), (100, 100, 220, 230), (3, 100, 4.5, 250))
    boxes = torch.cat([places[:, :2] - 900, places[:, :2] - 899], 1)  # nothing near
    if overlap:
        boxes = torch.cat([places[:, :2] - places[:, 2:], places[:, :2] + places[:, 2:]], 1)
    owner, wanted = assign(torch.full((len(places), 2), 0.1), boxes, places, target)
    assert {0, 1, 2, 3} <= set(owner.tolist())
    assert ((owner >= 0).sum() <= 4 * 13) and wanted.min() >= 0 and wanted.max() <= 1


def test_a_place_is_asked_for_the_overlap_it_reaches() -> None:
    places = _network().places(128, 128)
    target = _target((32, 32, 96, 96))
    boxes = torch.tensor([[0.0, 0, 1, 1]]).repeat(len(places), 1)
    best = int(((places[:, :2] - 64).abs().sum(1) + places[:, 2] * 1e-3).argmin())
    boxes[best] = torch.tensor([32.0, 32, 96, 64])  # half of it
    owner, wanted = assign(torch.full((len(places), 2), 0.5), boxes, places, target)
    assert owner[best] == 0 and wanted[best] == pytest.approx(0.5)


def _loss(network: OneStage, logits: Tensor, target: BoxTarget) -> dict[str, Tensor]:
    places = network.places(128, 128)
    distances = torch.ones(1, len(places), 4) * 8
    return detection_loss(network, logits, distances, places=places, targets=[target])


def test_ignored_places_add_no_loss_and_empty_images_only_background() -> None:
    network = _network()
    logits = torch.zeros(1, len(network.places(128, 128)), 2)
    free = _loss(network, logits, _target(ignore=(-999.0, -999, 999, 999)))
    counted = _loss(network, logits, _target())
    assert float(free["classify"]) == float(free["locate"]) == float(counted["locate"]) == 0.0
    assert float(counted["classify"]) > 0.0


def test_being_right_costs_less_than_being_wrong() -> None:
    network = _network()
    target = _target((32, 32, 96, 96))
    logits = torch.full((1, len(network.places(128, 128)), 2), -4.0)
    right, wrong = logits.clone(), logits.clone()
    right[..., 0], wrong[..., 1] = 0.0, 0.0
    assert float(_loss(network, right, target)["classify"]) != float(_loss(network, wrong, target)["classify"])
    quiet = _loss(network, logits, _target())["classify"]
    loud = _loss(network, logits + 6, _target())["classify"]
    assert quiet < loud


def test_frozen_stages_and_normalisations_stay_as_they_are() -> None:
    network = _network(frozen=2).train()
    before = {name: value.clone() for name, value in network.trunk.state_dict().items()}
    logits, distances = network(torch.randn(1, 3, 64, 64))
    (logits.sum() + distances.sum()).backward()
    assert network.trunk.stem[0].weight.grad is None and network.trunk.stages[1][0].layers[0].weight.grad is None
    assert network.trunk.stages[2][0].layers[0].weight.grad is not None
    assert all(torch.equal(value, before[name]) for name, value in network.trunk.state_dict().items())
    random = _network(backbone="random").train()
    assert random.settings.frozen == 0
    random(torch.randn(2, 3, 64, 64))
    assert random.trunk.stem[1].num_batches_tracked == 1


def test_folded_for_inference_it_says_the_same() -> None:
    network = _network().eval()
    start_from(network.trunk, IMAGENET)
    image = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        for one, other in zip(network(image), fused(network)(image), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_random_weights_cannot_be_frozen() -> None:
    with pytest.raises(ModelError, match="cannot be frozen"):
        build_network("lite0", {"backbone": "random", "frozen": 1}, classes=1)


def test_a_short_training_starts_from_the_backbone_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "model"
    settings = {
        "network_settings": SMALL,
        "epochs": 2,
        "batch": 4,
        "crop_px": 128,
        "tile_px": 192,
        "learning_rate": 1e-3,
    }
    run_job(train(coco_folder(tmp_path / "data"), out, network="lite0", **settings))
    card = read_card(out)
    assert card.architecture == "lite0" and "ImageNet" in str(card.training["backbone"])
    assert card.network["enlarge"] == pytest.approx(256 / 192, abs=1e-3)
    plain = EfficientNetLite0()
    start_from(plain, IMAGENET)
    stem = load_file(out / WEIGHTS_NAME)["trunk.stem.0.weight"]  # it is frozen, so it is still the backbone's
    torch.testing.assert_close(stem, plain.stem[0].weight.half())
    task = open_task(out, device="cpu")
    assert task.slot((100, 130))[0] == (100, 130), "nothing is padded"
    (found,) = find(task, [np.full((100, 130, 3), 120, np.uint8)])
    assert found.candidates["x1"].max(initial=0) <= 130
