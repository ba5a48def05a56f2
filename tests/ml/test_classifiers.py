"""Training of classifiers: every network learns, from weights of torchvision too, with losses computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from classifier_toys import class_folders
from learning_toys import load_dataset
from safetensors.torch import load_file, save_file

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import architecture, build_network, networks_of
from microscope_qc.ml.architectures.classifying import class_weights
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.window_classifier.loss import classification_loss
from microscope_qc.ml.backbones.trunks import vgg19_layers
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.workflows.learning.train import train, train_settings

NETWORKS = [kind.name for kind in networks_of("classify")]
SMALL = {"crop_px": 64, "tile_px": 64, "batch": 8, "patience": 100, "seed": 1, "device": "cpu", "validate_every": 999}
"""Settings with which a network learns a little from :func:`class_folders` in a few seconds."""
NARROW = {"network_settings": {"width": 8}}
QUICK = {
    "lite0-classifier": {"epochs": 24, "learning_rate": 1e-3}, "vgg19": {"epochs": 60, "learning_rate": 2e-2, **NARROW},
    "resnet50": {"epochs": 45, "learning_rate": 3e-2, **NARROW},
    "resnet101": {"epochs": 50, "learning_rate": 3e-2, **NARROW},
    "inception-v3": {"epochs": 24, "learning_rate": 2e-2, "crop_px": 96, "tile_px": 96},
}  # fmt: skip


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("eight"))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_eight_pictures_by_heart(name: str, eight: Path, tmp_path: Path) -> None:
    chosen = {**SMALL, "epochs": 24, "learning_rate": 2e-2, **QUICK.get(name, {})}
    card = run_job(train(eight, tmp_path / "m", task="classify", network=name, validation=eight, **chosen))

    assert card.metrics["accuracy"] >= 0.9 and card.metrics["f1"] >= 0.9
    assert card.architecture == name and card.classes == ["DI", "SQ"]
    assert card.training["examples"] == {"DI": 3, "SQ": 3, "none": 2}


@pytest.mark.parametrize(
    ("name", "theirs"), [("resnet50", "resnet50"), ("resnet101", "resnet101"), ("inception-v3", "inception_v3")]
)
def test_a_file_of_torchvision_gives_its_scores(name: str, theirs: str, tmp_path: Path) -> None:
    settings = {"aux_logits": True, "init_weights": False} if theirs == "inception_v3" else {}
    whole = getattr(torchvision.models, theirs)(weights=None, num_classes=4, **settings).eval()
    for module in whole.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # else deep networks make numbers too large to compare
            torch.nn.init.constant_(module.weight, 0.4)
    torch.save(whole.state_dict(), tmp_path / "theirs.pth")
    kind = architecture(name)
    chosen = kind.checked({"backbone": str(tmp_path / "theirs.pth")})
    network = kind.build(chosen, 3).eval()
    assert "theirs.pth" in kind.begin(network, chosen)
    network.decide.load_state_dict(whole.fc.state_dict())
    pictures = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), whole(pictures), rtol=1e-4, atol=1e-5)


def test_vgg_has_the_maps_of_torchvision_and_no_dense_layers(tmp_path: Path) -> None:
    theirs = torchvision.models.vgg19(weights=None)
    state = {name: tensor for name, tensor in theirs.state_dict().items() if name.startswith("features.")}
    save_file(state, tmp_path / "vgg.safetensors")
    kind = architecture("vgg19")
    chosen = kind.checked({"backbone": str(tmp_path / "vgg.safetensors")})
    network = kind.build(chosen, 1)
    kind.begin(network, chosen)
    pictures = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.features(pictures), theirs.features(pictures))
    assert sum(parameter.numel() for parameter in network.parameters()) < 21e6


@pytest.mark.parametrize(("fan", "inputs", "outputs"), [("fan_in", 64, 1), ("fan_out", 1, 128)])
def test_vgg_begins_with_values_or_with_gradients_of_the_same_size(fan: str, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    layers = vgg19_layers(64, fan=fan)
    second = layers[5]  # 64 channels to 128
    assert float(second.weight.std()) == pytest.approx(math.sqrt(2 / (9 * inputs * outputs)), rel=0.02)
    assert all(not layer.bias.any() for layer in layers if isinstance(layer, torch.nn.Conv2d))
    assert vgg19_layers(8, fan=fan)[34].weight.shape == (64, 64, 3, 3)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in build_network("light", {}, classes=2).state_dict().items()}
    save_file(state, tmp_path / "other.safetensors")
    kind = architecture("resnet50")
    network = kind.build(kind.checked({}), 2)
    for backbone, said in (("imagenet", "no weights of ResNet-50"), (str(tmp_path / "other.safetensors"), "another")):
        with pytest.raises(ModelError, match=said):
            kind.begin(network, kind.checked({"backbone": backbone}))
    assert kind.begin(network, kind.checked({})) == ""


def test_losses_are_those_computed_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
    labels = torch.tensor([0, 2])
    first = math.exp(2) / (math.exp(2) + 1 + math.exp(-1))
    plain, weights = torch.ones(3), torch.tensor([3.0, 1.0, 2.0])
    expected = {
        (1, 0.0): (-math.log(first) - math.log(1 / 3)) / 2,
        (2, 0.0): (-3 * math.log(first) - 2 * math.log(1 / 3)) / 2,
        (2, 2.0): (-3 * (1 - first) ** 2 * math.log(first) - 2 * (2 / 3) ** 2 * math.log(1 / 3)) / 2,
        (1, 5.0): (-((1 - first) ** 5) * math.log(first) - (2 / 3) ** 5 * math.log(1 / 3)) / 2,
    }
    for (kind, gamma), value in expected.items():
        found = classification_loss(logits, labels, weights=plain if kind == 1 else weights, gamma=gamma)
        assert float(found) == pytest.approx(value, rel=1e-5)
    sure = torch.tensor([[60.0, -60.0]], requires_grad=True)
    classification_loss(sure, torch.tensor([0]), weights=torch.ones(2), gamma=2.0).backward()
    assert torch.isfinite(sure.grad).all()


def test_weights_of_classes_come_from_the_user_or_from_how_rare_they_are() -> None:
    counts = np.array([10, 40, 0, 80])
    of = {"classes": ["A", "B", "C"], "counts": counts}
    assert class_weights(None, **of, weighted=False) == [1, 1, 1, 1]
    assert class_weights(None, **of, weighted=True) == [8, 2, 1, 1]
    assert class_weights(4.0, **of, weighted=True) == [4, 4, 4, 1]
    assert class_weights({"B": 3.0, "none": 2.0}, **of, weighted=True) == [1, 3, 1, 2]
    with pytest.raises(ModelError, match="weight for D"):
        class_weights({"D": 3.0}, **of, weighted=True)


def test_a_classifier_is_trained_as_the_source_says(eight: Path) -> None:
    settings = train_settings("classify", "resnet50", {})
    assert (settings.crop_px, settings.batch, settings.epochs) == (256, 16, 60)
    recipe = architecture("resnet50").recipe(settings, load_dataset(eight))
    (optimiser,) = recipe.optimisers(torch.nn.Conv2d(1, 1, 1))
    (group,) = optimiser.param_groups
    assert isinstance(optimiser, torch.optim.SGD) and group["nesterov"]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (1e-3, 0.9, 1e-4)
    rates = [recipe.rate(epoch / 60) for epoch in (0, 19, 20, 39, 40, 59)]
    assert rates == pytest.approx([1, 1, 0.75, 0.75, 0.5625, 0.5625])
    longer = architecture("light").recipe(settings.model_copy(update={"network": "light", "epochs": 100}),
                                          load_dataset(eight))  # fmt: skip
    assert longer.rate(0.99) == pytest.approx(0.75**4)
    timed = architecture("light").recipe(settings.model_copy(update={"network": "light", "minutes": 5.0}),
                                         load_dataset(eight))  # fmt: skip
    assert [timed.rate(share) for share in (0.3, 0.4, 0.7)] == pytest.approx([1, 0.75, 0.5625])


def test_settings_that_would_change_nothing_are_refused() -> None:
    for task, settings, said in (
        ("detect", {"loss": "focal"}, "Only classifiers have the setting loss"),
        ("classify", {"gamma": 2.0}, "cross-entropy has no gamma"),
        ("classify", {"alpha": 2.0}, "cross-entropy has no alpha"),
        ("classify", {"gamma": 2.0, "loss": "weighted"}, "weighted has no gamma"),
    ):
        with pytest.raises(InputError, match=said):
            train_settings(task, None, settings)
    assert train_settings("classify", None, {"loss": "focal", "alpha": {"A": 2}, "gamma": 1}).alpha == {"A": 2.0}


def test_a_start_gives_its_layers_and_the_outputs_of_classes_that_both_know(eight: Path, tmp_path: Path) -> None:
    settings = TrainSettings(network="light", **{**SMALL, "epochs": 1})
    data = load_dataset(eight)
    kind = architecture("light")
    recipe = kind.recipe(settings, data)
    before, network = kind.build(kind.checked({}), 2), kind.build(kind.checked({}), 2)
    card = recipe._card()
    binary, new = kind.build(kind.checked({}), 1), kind.build(kind.checked({}), 2)
    own = new.decide.weight.detach().clone()
    recipe.take_over(new, binary, card.model_copy(update={"classes": ["defect"], "class_names": ["defect"]}))
    assert torch.equal(new.decide.weight, own), "no class is common: the last layer stays random"
    assert torch.equal(new.features[0].weight, binary.features[0].weight)
    limit = math.sqrt(6 / (own.shape[0] + own.shape[1]))
    assert 0.8 * limit < float(own.abs().max()) <= limit, "Xavier's weights"
    recipe.take_over(network, before, card.model_copy(update={"classes": ["SQ", "XX"], "class_names": ["SQ", "XX"]}))
    assert torch.equal(network.decide.weight[1], before.decide.weight[0])
    assert torch.equal(network.decide.weight[2], before.decide.weight[2]), "what shows none of them"
    assert not torch.equal(network.decide.weight[0], before.decide.weight[1])


def test_six_classes_start_from_the_weights_of_two(eight: Path, tmp_path: Path) -> None:
    """The binary classifier of the source: all defects are one class, then they are told apart."""
    two = tmp_path / "two"
    for kind in ("SQ", "DI"):
        for picture in (eight / kind).iterdir():
            target = two / "defect" / f"{kind}{picture.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(picture.read_bytes())
    for picture in (eight / "good").iterdir():
        target = two / "good" / picture.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(picture.read_bytes())
    quick = {**SMALL, "epochs": 2, "learning_rate": 1e-2}
    first = run_job(train(two, tmp_path / "binary", task="classify", network="light", validation=two, **quick))
    assert first.classes == ["defect"]
    second = run_job(
        train(eight, tmp_path / "many", task="classify", start=tmp_path / "binary", validation=eight,
              **{**quick, "epochs": 1, "learning_rate": 1e-9})
    )  # fmt: skip
    assert second.training["start"]["name"] == "binary" and second.classes == ["DI", "SQ"]
    old, new = (load_file(tmp_path / name / WEIGHTS_NAME) for name in ("binary", "many"))
    torch.testing.assert_close(new["features.0.weight"], old["features.0.weight"], atol=1e-3, rtol=1e-2)
