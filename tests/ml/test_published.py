"""The published detectors: boxes and anchors, losses, what they start from, and what the engine makes of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from learning_toys import coco_folder, draw, load_dataset
from safetensors.torch import save_file
from torch import Tensor

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import architecture, build_network
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.architectures.published.detector import PublishedDetector
from microscope_qc.ml.architectures.published.recipe import PublishedRecipe, painted_over
from microscope_qc.ml.architectures.published.start import start_whole, take_over
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.window_classifier.network import Lite0Classifier, published
from microscope_qc.ml.backbones.trunks import make_trunk, start_trunk
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.datasets.crops import AUGMENTATIONS, CropSampler, TrainingCrop
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.exporting import Exporter
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.ml.tasks.images import TaskFinder, find
from microscope_qc.ml.weights import save_weights
from microscope_qc.project.runs.journal import read_journal

detection = torchvision.models.detection
NETWORKS = (
    "faster-rcnn-resnet50", "faster-rcnn-vgg19", "faster-rcnn-fpn", "faster-rcnn-lite0", "ssd-resnet50", "ssd-vgg19",
    "ssd-lite0",
)  # fmt: skip
STAGES = {"faster-rcnn-resnet50": {"rpn": 32}, "faster-rcnn-vgg19": {"rpn": 32}, "faster-rcnn-fpn": {"pyramid": 16}}


def small(name: str) -> dict[str, Any]:
    """Settings of a network that is small enough for a test."""
    width = {} if name.endswith("lite0") else {"width": 8}
    if name.startswith("ssd"):
        return {**width, "input_px": 128, "extras": [32, 32, 16, 16], "enlarge": 1}
    return {**width, "head": 32, "enlarge": 1, **STAGES.get(name, {"rpn": 32})}


def network(name: str, *, classes: int = 2, seed: int = 3, **settings: Any) -> PublishedDetector:
    torch.manual_seed(seed)
    made = build_network(name, small(name) | settings, classes=classes)
    assert isinstance(made, PublishedDetector)
    return made.eval()


def anchors(detector: PublishedDetector, side: int) -> Tensor:
    """The anchors or default boxes of a picture."""
    images = torch.zeros(1, 3, side, side)
    inner = detector.detector
    maker = inner.rpn.anchor_generator if hasattr(inner, "rpn") else inner.anchor_generator
    with torch.inference_mode():
        maps = list(inner.backbone(images).values())
    return maker(detection.image_list.ImageList(images, [(side, side)]), maps)[0]


def target(*boxes: tuple[float, float, float, float]) -> dict[str, Tensor]:
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.arange(len(boxes)) % 2 + 1}


# -- anchors and default boxes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ssd-resnet50", "ssd-vgg19", "ssd-lite0"])
def test_a_picture_of_512_px_has_6132_default_boxes_on_six_maps(name: str) -> None:
    detector = network(name, input_px=512)
    with torch.inference_mode():
        maps = detector.detector.backbone(torch.zeros(1, 3, 512, 512))
    assert [tuple(values.shape[2:]) for values in maps.values()] == [(side, side) for side in (32, 16, 8, 4, 2, 1)]
    boxes = anchors(detector, 512)
    assert len(boxes) == 6132
    ratios = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    theirs = detection.anchor_utils.DefaultBoxGenerator(ratios, min_ratio=0.2, max_ratio=0.9)
    images = detection.image_list.ImageList(torch.zeros(1, 3, 512, 512), [(512, 512)])
    torch.testing.assert_close(boxes, theirs(images, list(maps.values()))[0])
    sides = boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(sides[0], torch.full((2,), 0.2 * 512))  # of the finest map
    torch.testing.assert_close(sides[-4], torch.full((2,), 0.9 * 512))  # and of the coarsest one
    # in a larger picture they are as large, and there are more of them
    torch.testing.assert_close(anchors(detector, 640)[0], boxes[0])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("faster")])
def test_there_are_15_anchors_from_16_px_on(name: str) -> None:
    boxes = anchors(network(name), 256)
    if name.endswith("fpn"):  # three of one size at each of five levels
        assert len(boxes) == 3 * sum(side**2 for side in (64, 32, 16, 8, 4))
    else:
        assert len(boxes) == 15 * 16**2
    sides = (boxes[:, 2:] - boxes[:, :2]).unique(dim=0)
    assert len(sides) == 15
    square = sides[sides[:, 0] == sides[:, 1]]
    assert square[:, 0].tolist() == [16, 32, 64, 128, 256]


# -- losses ----------------------------------------------------------------------------------------------------------


def silent(detector: PublishedDetector) -> PublishedDetector:
    """With outputs of zero only."""
    heads = ("rpn.head.cls_logits", "rpn.head.bbox_pred", "roi_heads.box_predictor", "head.")
    with torch.no_grad():
        for name, parameter in detector.detector.named_parameters():
            if name.startswith(heads):
                parameter.zero_()
    return detector.train()


def test_the_losses_of_the_multi_box_detector_are_those_computed_by_hand() -> None:
    detector = silent(network("ssd-vgg19"))
    boxes = anchors(detector, 128)
    box = boxes[100] + torch.tensor([2.0, 1.0, 4.0, -1.0])
    losses = detector(torch.randn(1, 3, 128, 128), [{"boxes": box[None], "labels": torch.tensor([2])}])
    # each box has a cross-entropy of log 3, and for each positive one there are three negative ones
    assert losses["classification"].item() == pytest.approx(4 * math.log(3), rel=1e-5)
    mine = torch.nonzero(torchvision.ops.box_iou(box[None], boxes)[0] >= 0.5).flatten()
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    away = torch.zeros(())
    for place in mine:
        default, side = boxes[place], boxes[place, 2:] - boxes[place, :2]
        wanted = torch.cat([(middle - (default[:2] + default[2:]) / 2) / side * 10, torch.log(size / side) * 5]).abs()
        away += torch.where(wanted < 1, wanted.square() / 2, wanted - 0.5).sum()
    assert len(mine) > 1 and losses["bbox_regression"].item() == pytest.approx(float(away / len(mine)), rel=1e-4)


def test_hard_negatives_are_three_for_each_positive() -> None:
    detector = silent(network("ssd-vgg19"))
    box = anchors(detector, 128)[100]
    with torch.no_grad():  # everything is taken for class 1, except on the coarsest maps
        for number, layer in enumerate(detector.detector.head.classification_head.module_list):
            layer.bias.view(-1, 3)[:, 1] = 3.0 if number == 0 else 0.0
    losses = detector(torch.zeros(1, 3, 128, 128), [{"boxes": box[None], "labels": torch.tensor([1])}])
    wrong, right = math.log(2 + math.exp(3)), math.log(2 + math.exp(3)) - 3
    mine = int((torchvision.ops.box_iou(box[None], anchors(detector, 128))[0] >= 0.5).sum())
    fine = int((torchvision.ops.box_iou(box[None], anchors(detector, 128)[: 8 * 8 * 4])[0] >= 0.5).sum())
    expected = 3 * wrong + (fine * right + (mine - fine) * math.log(3)) / mine
    assert losses["classification"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["faster-rcnn-vgg19", "faster-rcnn-fpn"])
def test_the_losses_of_faster_rcnn_are_those_computed_by_hand(name: str) -> None:
    detector = silent(network(name))
    boxes = anchors(detector, 128)
    inside = torch.nonzero((boxes.amin(1) >= 0) & (boxes.amax(1) <= 128)).flatten()
    box = boxes[inside[len(inside) // 2]]
    torch.manual_seed(0)
    losses = detector(torch.randn(1, 3, 128, 128), [{"boxes": box[None], "labels": torch.tensor([2])}])
    assert losses["loss_objectness"].item() == pytest.approx(math.log(2), rel=1e-5)
    assert losses["loss_classifier"].item() == pytest.approx(math.log(3), rel=1e-5)
    overlap = torchvision.ops.box_iou(box[None], boxes)[0]
    away = torch.zeros(())
    for place in torch.nonzero(overlap > 0.7).flatten():
        side, size = boxes[place, 2:] - boxes[place, :2], box[2:] - box[:2]
        wanted = torch.cat(
            [(box[:2] + box[2:] - boxes[place, :2] - boxes[place, 2:]) / 2 / side, torch.log(size / side)]
        )
        small_part = wanted.abs() < 1 / 9
        away += torch.where(small_part, wanted.square() * 4.5, wanted.abs() - 1 / 18).sum()
    assert losses["loss_rpn_box_reg"].item() == pytest.approx(float(away) / 256, abs=1e-6)


def test_pictures_without_defects_can_be_learned_from() -> None:
    for name in NETWORKS:
        losses = network(name).train()(torch.randn(1, 3, 64, 64), [target()])
        assert all(torch.isfinite(loss) for loss in losses.values()), name


# -- the same as torchvision's ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    """torchvision's own Faster R-CNN, with anchors of our sizes."""
    torch.manual_seed(5)
    sizes = tuple((side,) for side in (16, 32, 64, 128, 256))
    made = detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=128, max_size=128, _skip_resize=True,
        image_mean=[0.5] * 3, image_std=[0.2] * 3,
        rpn_anchor_generator=detection.anchor_utils.AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        rpn_post_nms_top_n_test=300, box_batch_size_per_image=128, box_detections_per_img=300,
    )  # fmt: skip
    with torch.no_grad():
        for part in made.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0  # one picture sets its statistics
        made([torch.rand(3, 128, 128)], [target((10.0, 10, 60, 50))])
    return made.eval()


def test_torchvisions_weights_give_torchvisions_findings_and_losses(theirs: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(theirs.state_dict(), tmp_path / "fasterrcnn.pth")
    ours = build_network("faster-rcnn-fpn", {"enlarge": 1}, classes=2)
    assert isinstance(ours, PublishedDetector)
    start_whole(ours, tmp_path / "fasterrcnn.pth")
    predictor = ours.detector.roi_heads.box_predictor
    assert not torch.equal(predictor.cls_score.weight, theirs.roi_heads.box_predictor.cls_score.weight)
    predictor.load_state_dict(theirs.roi_heads.box_predictor.state_dict())
    picture = draw(1, size=128)[0]
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        (expected,), (found,) = theirs([image]), ours.eval()((image[None] - 0.5) / 0.2)
    assert len(expected["scores"]) > 3
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, rtol=1e-4, atol=1e-3)
    truth = [target((10.0, 10, 60, 50), (70.0, 70, 100, 120))]
    losses = []
    for one, pictures in ((theirs, [image]), (ours, (image[None] - 0.5) / 0.2)):
        torch.manual_seed(2)
        losses.append(one.train()(pictures, truth))
    for key, loss in losses[0].items():
        torch.testing.assert_close(losses[1][key], loss, rtol=1e-4, atol=1e-5)
    theirs.eval()


# -- what they start from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_backbone_starts_from_a_file_of_torchvision(tmp_path: Path, ending: str) -> None:
    whole = torchvision.models.resnet50(weights=None)
    file = tmp_path / f"resnet50.{ending}"
    state = {name: value for name, value in whole.state_dict().items() if not name.startswith("fc.")}
    if ending == "pth":
        torch.save({"state_dict": state}, file)
    else:
        save_file(state, file)
    for strides in ((16,), (4, 8, 16, 32)):
        trunk, _ = make_trunk("resnet50", strides=strides, width=64)
        start_trunk(trunk, "resnet50", str(file))
        for name, value in trunk.state_dict().items():
            torch.testing.assert_close(value, state[name], msg=name)


@pytest.mark.parametrize(("trunk", "classifier"), [("resnet50", "resnet50"), ("vgg19", "vgg19")])
def test_a_backbone_starts_from_a_classifier_of_this_program(tmp_path: Path, trunk: str, classifier: str) -> None:
    whole = published(classifier, outputs=3)
    tmp_path.joinpath("model").mkdir()
    save_file(whole.state_dict(), tmp_path / "model" / WEIGHTS_NAME)
    made, _ = make_trunk(trunk, strides=(16, 32), width=64)
    start_trunk(made, trunk, str(tmp_path / "model"))
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(made.eval()(image)["1"], whole.eval().features(image), rtol=1e-4, atol=1e-4)


def test_lite0_starts_from_its_package_and_from_models_of_this_program(tmp_path: Path) -> None:
    one, _ = make_trunk("lite0", strides=(16,), width=64)
    start_trunk(one, "lite0", "imagenet")
    other = build_network("lite0", {"pyramid": 16, "tower": 1}, classes=2)
    other.trunk.stem[0].weight.data.fill_(0.25)
    save_file(other.state_dict(), tmp_path / "model.safetensors")
    classifier = Lite0Classifier(outputs=3, trained=True)
    classifier.features.trunk.stem[0].weight.data.fill_(0.5)
    save_file(classifier.state_dict(), tmp_path / "classifier.safetensors")
    for file, value in (("model", 0.25), ("classifier", 0.5)):
        two, _ = make_trunk("lite0", strides=(16, 32), width=64)
        start_trunk(two, "lite0", str(tmp_path / f"{file}.safetensors"))
        assert two.state_dict()["network.stem.0.weight"].unique().tolist() == [value]
    assert len(one.state_dict()["network.stem.0.weight"].unique()) > 100


def test_wrong_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"conv1.weight": Bomb()}, tmp_path / "bomb.pth")
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    torch.save(network("faster-rcnn-resnet50").state_dict(), tmp_path / "whole.pth")
    (tmp_path / "text.pth").write_bytes(b"nothing")
    (tmp_path / "weights.onnx").write_bytes(b"nothing")
    said = {
        "bomb.pth": "cannot be read", "other.pth": "another network than ResNet-50", "list.pth": "holds no weights",
        "whole.pth": "of a whole detector", "text.pth": "cannot be read", "weights.onnx": "no file of weights",
        "missing.pth": "cannot be read", "imagenet": "No weights of ResNet-50 come with this program",
    }  # fmt: skip
    trunk, _ = make_trunk("resnet50", strides=(16,), width=8)
    for name, words in said.items():
        with pytest.raises(ModelError, match=words) as raised:
            start_trunk(trunk, "resnet50", name if name == "imagenet" else str(tmp_path / name))
        assert raised.value.hint
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ModelError, match="another detector"):
        start_whole(network("ssd-vgg19"), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match="not from both"):
        network("ssd-vgg19", backbone="a.pth", detector="b.pth")


def card_of(name: str, settings: dict[str, Any], classes: list[str], **more: Any) -> ModelCard:
    return ModelCard(
        name="toy", task="detect", architecture=name, network=settings, classes=classes, class_names=classes,
        pixel_size_um=0.5, tile_px=128, overlap_px=32, mean=(0.5,) * 3, std=(0.2,) * 3, confidence=0.3, **more,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["faster-rcnn-vgg19", "ssd-vgg19"])
def test_a_trained_model_hands_over_what_both_know(name: str) -> None:
    before, new = network(name, classes=3, seed=1), network(name, classes=2, seed=2)
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    take_over(new, before, card_of(name, small(name), ["A", "B", "C"]), classes=["C", "NEW"])
    old, now = before.detector.state_dict(), new.detector.state_dict()
    layers = tuple(f"{layer}." for layer in new.outputs)
    assert all(torch.equal(now[key], value) for key, value in old.items() if not key.startswith(layers))
    for layer, values in new.outputs.items():
        for kind in ("weight", "bias"):
            into, of = (state[f"{layer}.{kind}"] for state in (now, old))
            into, of = into.unflatten(0, (-1, 3, values)), of.unflatten(0, (-1, 4, values))
            assert torch.equal(into[:, 0], of[:, 0]) and torch.equal(into[:, 1], of[:, 3])
            was = fresh[f"detector.{layer}.{kind}"].unflatten(0, (-1, 3, values))
            assert torch.equal(into[:, 2], was[:, 2])


# -- how they are trained --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), pictures=8, size=128)


def recipe(coco: Path, name: str, *, epochs: int = 100, **settings: Any) -> PublishedRecipe:
    kind = architecture(name)
    chosen = {**kind.defaults, "crop_px": 128, "epochs": epochs, "network_settings": small(name) | settings}
    made = kind.recipe(TrainSettings(network=name, **chosen), load_dataset(coco))
    assert isinstance(made, PublishedRecipe)
    return made


def test_the_settings_are_those_that_were_published(coco: Path) -> None:
    frcnn, ssd = (TrainSettings(**architecture(name).defaults) for name in ("faster-rcnn-vgg19", "ssd-vgg19"))
    assert (frcnn.batch, frcnn.learning_rate, frcnn.epochs, frcnn.augment) == (1, 5e-4, 100, "flip")
    assert (ssd.batch, ssd.learning_rate, ssd.patience, ssd.augment) == (16, 1e-3, 30, "zoom")
    made = recipe(coco, "faster-rcnn-vgg19")
    (optimiser,) = made.optimisers(network("faster-rcnn-vgg19"))
    (group,) = optimiser.param_groups
    assert isinstance(optimiser, torch.optim.SGD) and group["nesterov"]
    assert (group["momentum"], group["weight_decay"], group["lr"]) == (0.9, 1e-4, 5e-4)


def test_the_rate_falls_as_a_parabola_over_the_published_steps_or_the_training(coco: Path) -> None:
    short = recipe(coco, "faster-rcnn-vgg19")
    assert [short.rate(share) for share in (0.0, 0.5, 1.0)] == [1.0, 0.25, 0.0]
    long = recipe(coco, "ssd-vgg19", epochs=40_000)
    assert long.steps_per_epoch * 40_000 == 2 * 20_000
    assert [long.rate(share) for share in (0.0, 0.25, 0.5, 0.75)] == [1.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("name", ["faster-rcnn-lite0", "ssd-lite0"])
def test_a_backbone_is_frozen_first_and_then_learns(coco: Path, name: str) -> None:
    made, detector = recipe(coco, name), network(name).train()
    run_job(made.fit_once(detector))
    before = {key: value.clone() for key, value in detector.body.state_dict().items()}
    (optimiser,) = made.optimisers(detector)
    for share, learns in ((0.0, False), (0.05, False), (0.2, True)):
        made.before_step(detector, share)
        optimiser.zero_grad()
        torch.stack(list(made.losses(detector, made.batch(0)[:1], 0).values())).sum().backward()
        optimiser.step()
        same = [torch.equal(value, before[key]) for key, value in detector.body.state_dict().items()]
        assert all(same) != learns
    statistics = [key for key in before if "running" in key]
    assert all(torch.equal(detector.body.state_dict()[key], before[key]) for key in statistics), "and they stay"


def test_random_weights_learn_from_the_first_step_and_are_named(coco: Path) -> None:
    made, detector = recipe(coco, "ssd-vgg19"), network("ssd-vgg19").train()
    made.before_step(detector, 0.0)
    assert all(parameter.requires_grad for parameter in detector.parameters())
    assert any("VGG-19 starts from random weights" in sentence for sentence in made.notes())
    assert recipe(coco, "ssd-lite0").notes() == []


def test_small_pictures_are_enlarged_as_published_and_slides_are_not(coco: Path) -> None:
    data = load_dataset(coco)

    def times(name: str, **settings: Any) -> object:
        kind = architecture(name)
        return kind.suited(TrainSettings(network=name, **settings), data).network_settings.get("enlarge")

    assert times("faster-rcnn-fpn") == 5 and times("ssd-resnet50") == 4  # 128 px are 600 and 512 px then
    assert times("faster-rcnn-fpn", pixel_size_um=0.5) == 1
    assert times("ssd-resnet50", network_settings={"enlarge": 2}) == 2


@pytest.mark.parametrize("name", ["faster-rcnn-vgg19", "ssd-vgg19"])
def test_an_enlarged_picture_has_its_findings_in_its_own_pixels(name: str) -> None:
    plain, enlarged = network(name), network(name, enlarge=2)
    image = torch.randn(1, 3, 64, 64)
    twice = torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    with torch.inference_mode():
        (expected,), (found,) = plain(twice), enlarged(image)
    assert len(expected["scores"])
    torch.testing.assert_close(found["boxes"] * 2, expected["boxes"])
    torch.manual_seed(0)
    of_twice = plain.train()(twice, [target((10.0, 10, 60, 70))])
    torch.manual_seed(0)
    losses = enlarged.train()(image, [target((5.0, 5, 30, 35))])
    for key, loss in of_twice.items():
        torch.testing.assert_close(losses[key], loss)


def test_crops_that_are_only_mirrored_are_the_pictures_or_their_mirror_images(coco: Path) -> None:
    data = load_dataset(coco)
    sampler = CropSampler(data, side=128, model_um=None, seed=1, stride_px=64, augment="flip")
    plain = [cv2.imread(str(image.path))[..., ::-1] for image in data.images]
    known = {picture.tobytes() for picture in plain}
    mirrored = {picture[:, ::-1].tobytes() for picture in plain}
    drawn = [crop.pixels.tobytes() for crop in sampler.batch(0, 24)]
    assert set(drawn) <= known | mirrored and set(drawn) & known and set(drawn) & mirrored


def test_half_of_the_zoomed_crops_show_more_and_half_show_less() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([AUGMENTATIONS["zoom"].scale(rng) for _ in range(2000)])
    assert 0.5 <= scales.min() < 0.55 and 1.8 < scales.max() <= 2.0
    assert (scales < 1).mean() == pytest.approx(0.5, abs=0.03)


def test_places_that_do_not_count_are_painted_over_but_no_defect_is() -> None:
    pixels = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    boxes, ignore = np.array([[10.0, 10, 20, 20]]), np.array([[15.2, 15.0, 40.0, 40.5]])
    crop = TrainingCrop(pixels, boxes, np.array([0]), ignore)
    painted = painted_over(crop, np.array([1.0, 2.0, 3.0])).pixels
    assert (painted[25:40, 15:41] == (1, 2, 3)).all()
    untouched = np.ones((64, 64), bool)
    untouched[15:40, 15:41] = False
    untouched[10:20, 10:20] = True
    assert np.array_equal(painted[untouched], pixels[untouched])


# -- over pictures and slides ----------------------------------------------------------------------------------------


def model(folder: Path, name: str) -> Path:
    """A model with fixed random weights that has some findings."""
    detector = network(name, classes=2, seed=7)
    with torch.no_grad():
        for layer in detector.outputs:
            part = detector.detector.get_submodule(layer)
            part.weight.normal_(std=0.3)
            part.bias.zero_()
    folder.mkdir(parents=True)
    save_weights(detector.state_dict(), folder / WEIGHTS_NAME)
    write_card(card_of(name, small(name), ["ACP", "NEW"]), folder)
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_gives_the_same_as_single_pictures_and_boxes_stay_inside(tmp_path: Path, name: str) -> None:
    finder = TaskFinder(open_task(model(tmp_path / "m", name), device="cpu", threshold=0.3))
    pictures = [draw(seed, size=128)[0][:100, :90] for seed in range(3)]
    together = finder.find(pictures)
    assert sum(map(len, together)) > 10
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = finder.find([picture])
        assert len(alone) == len(found) and (found["y1"] <= 100).all() and (found["x1"] <= 90).all()
        assert (found["confidence"] > 0.3).all() and set(found["label"].tolist()) <= {0, 1}
        for column in ("y0", "x0", "y1", "x1", "confidence"):
            np.testing.assert_allclose(alone[column], found[column], atol=1e-3)
    (tiny,) = finder.find([np.full((3, 5, 3), 90, np.uint8)])
    assert (tiny["y1"] <= 3).all()


def run_folder(folder: Path, of: Path, picture: Path, **changes: Any) -> Path:
    folder.mkdir()
    card = {
        "run_id": 1, "slide": {"path": str(picture), "scene": None, "pixel_size_um": [0.5, 0.5]}, "model": str(of),
        "region": [0, 0, 320, 300], "tile_px": 128, "overlap_px": 32, "candidate_confidence": 0.4, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card | changes))
    return folder


@pytest.mark.parametrize("name", ["faster-rcnn-resnet50", "faster-rcnn-fpn", "ssd-vgg19"])
def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, name: str) -> None:
    of, picture = model(tmp_path / "m", name), tmp_path / "slide.png"
    cv2.imwrite(str(picture), draw(3, size=320, count=16)[0])
    whole = run_folder(tmp_path / "whole", of, picture)
    assert run_job(run_model(whole))["state"] == "finished"
    expected = {tile: found.tolist() for tile, found in read_journal(whole, 0)[0]}
    assert len(expected) > 4 and sum(map(len, expected.values())) > 20
    parts = run_folder(tmp_path / "parts", of, picture)
    job = run_model(parts)
    while next(job).done < 2:
        pass
    job.close()
    run_job(run_model(parts))
    assert {tile: found.tolist() for tile, found in read_journal(parts, 0)[0]} == expected


def test_where_memory_is_short_a_tile_is_computed_in_halves(tmp_path: Path) -> None:
    task = open_task(model(tmp_path / "m", "ssd-vgg19"), device="cpu", threshold=0.3)
    parts = task.parts((256, 256))
    assert len(parts) == 4
    picture = draw(2, size=256, count=16)[0]
    results = [find(task, [picture[p.y0 : p.y1, p.x0 : p.x1]])[0] for p in parts]
    joined = task.join(results, parts, (256, 256)).candidates
    assert len(joined) and joined["y1"].max() <= 256


def test_proposals_are_a_setting_of_the_trained_model(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", "faster-rcnn-vgg19")
    counts = []
    for proposals in (5, 300):
        write_card(
            card_of("faster-rcnn-vgg19", small("faster-rcnn-vgg19") | {"proposals": proposals}, ["A", "B"]), folder
        )
        task = open_task(folder, device="cpu", threshold=0.0)
        counts.append(len(find(task, [draw(0, size=128)[0]])[0].candidates))
    assert counts[0] <= 10 < counts[1]


def test_such_a_network_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Faster R-CNN on VGG-19, chooses its boxes itself"):
        Exporter(model(tmp_path / "m", "faster-rcnn-vgg19"))
