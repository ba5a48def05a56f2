"""Backbones of detectors: networks that classify pictures, up to the maps that a detector looks at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.backbones import weights
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.files import read_weights
from microscope_qc.ml.backbones.weights import IMAGENET, RANDOM
from microscope_qc.ml.quick_torchvision import torchvision

Colours = tuple[float, float, float]
_RESNET = {4: ("layer1", 4), 8: ("layer2", 8), 16: ("layer3", 16), 32: ("layer4", 32)}
_VGG = {4: ("9", 2), 8: ("18", 4), 16: ("27", 8), 32: ("36", 8)}
"""Layer after which the map of a stride is taken, and its channels in multiples of the network's width."""
_NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Parts of a ResNet by their number in a classifier of this program."""
_GROUPS = 8
_STAGES = {4: 2, 8: 3, 16: 5, 32: 7}
"""Stages of EfficientNet-Lite0 up to a stride."""


@dataclass(frozen=True, slots=True)
class TrunkKind:
    """What is known of a backbone.

    Attributes
    ----------
    mean, std
        Of the colours (0 to 1) that weights trained on ImageNet expect.
    default
        What it starts from where nothing is chosen.
    """

    title: str
    mean: Colours
    std: Colours
    default: str


_IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRUNKS = {
    "resnet50": TrunkKind("ResNet-50", *_IMAGENET_COLOURS, RANDOM),
    "vgg19": TrunkKind("VGG-19", *_IMAGENET_COLOURS, RANDOM),
    "lite0": TrunkKind("EfficientNet-Lite0", weights.MEAN, weights.STD, IMAGENET),
}


def make_trunk(name: str, *, strides: Sequence[int], width: int) -> tuple[nn.Module, list[int]]:
    """A backbone with random weights, and the channels of its maps.

    Parameters
    ----------
    name
        In :data:`TRUNKS`.
    strides
        Of the maps that it returns, rising: images (B, 3, H, W) become maps by their numbers "0", "1", ...
    width
        Channels of the first 3x3 convolutions, with which all others grow; 64 is the published network.
        EfficientNet-Lite0 has its own.
    """
    models = torchvision.models
    if name == "lite0":
        return _Lite0(strides), [
            EfficientNetLite0.channels[EfficientNetLite0.strides.index(stride)] for stride in strides
        ]
    if name == "vgg19":
        # without normalisations values would become smaller from layer to layer with torchvision's fan_out
        whole, taken = vgg19_layers(width, fan="fan_in"), _VGG
    else:
        whole, taken = _ResNet50(width), _RESNET
    names = {taken[stride][0]: str(number) for number, stride in enumerate(strides)}
    return models._utils.IntermediateLayerGetter(whole, names), [taken[stride][1] * width for stride in strides]


def vgg19_layers(width: int, *, fan: Literal["fan_in", "fan_out"]) -> nn.Sequential:
    """The convolutions of VGG-19 with random weights (He et al., "Delving Deep into Rectifiers", ICCV 2015).

    Parameters
    ----------
    width
        Channels of the first convolutions; 64 is the published network.
    fan
        Whether values ("fan_in") or gradients ("fan_out", as torchvision does) keep their size from layer to layer.
    """
    vgg = torchvision.models.vgg
    layers: nn.Sequential = vgg.make_layers([of if isinstance(of, str) else of * width // 64 for of in vgg.cfgs["E"]])
    for module in layers.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return layers


class _ResNet50(torchvision.models.resnet.ResNet):  # type: ignore[misc]
    """torchvision's network, whose blocks may be narrower."""

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__(torchvision.models.resnet.Bottleneck, [3, 4, 6, 3])

    def _make_layer(
        self, block: type[nn.Module], planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        layer: nn.Sequential = super()._make_layer(block, planes * self._width // 64, blocks, stride, dilate)
        return layer


class _Lite0(nn.Module):
    """EfficientNet-Lite0 up to the last map that is wanted.

    Its maps have large values, with which a head hardly learns: groups of their channels are normalised.
    """

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.network = EfficientNetLite0()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):  # from random weights; it was made for a training of many days
                module.momentum = 0.1
        self._places = [EfficientNetLite0.strides.index(stride) for stride in strides]
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, EfficientNetLite0.channels[place]) for place in self._places)
        del self.network.stages[_STAGES[max(strides)] :]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Apply the network."""
        maps = self.network(images)
        return OrderedDict(
            (str(number), norm(maps[place]))
            for number, (norm, place) in enumerate(zip(self.norms, self._places, strict=True))
        )


def start_trunk(trunk: nn.Module, name: str, source: str) -> None:
    """Give a backbone the weights that it starts from.

    Parameters
    ----------
    source
        "random" (it stays as it is), "imagenet" (EfficientNet-Lite0 alone), a file in the names of torchvision or timm,
        or the folder of a classifier of this program that has this backbone.

    Raises
    ------
    ModelError
        When the weights are missing, damaged or of another network.
    """
    if source == RANDOM:
        return
    if isinstance(trunk, _Lite0):
        weights.start_from(trunk.network, source)
        return
    title = TRUNKS[name].title
    if source == IMAGENET:
        raise ModelError(
            f"No weights of {title} come with this program.",
            hint="Name a file that was trained on ImageNet, such as one of torchvision or timm, or start from random "
            "weights.",
        )
    given = read_weights(Path(source))
    if any(key.removeprefix("detector.").startswith("backbone.") for key in given):
        raise ModelError(
            f"{Path(source).name} holds the weights of a whole detector.",
            hint="Start from the whole detector (--detector on the command line).",
        )
    state = _in_torchvisions_names(given, name)
    own = trunk.state_dict()
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]  # some files leave it out
    if any(key not in state or state[key].shape != own[key].shape for key in wanted):
        raise ModelError(
            f"The weights of {Path(source).name} belong to another network than {title}.",
            hint=f"Choose a file of {title}.",
        )
    trunk.load_state_dict(own | {key: state[key] for key in wanted})


def _in_torchvisions_names(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Weights of a backbone; classifiers of this program number the parts of a ResNet, and torchvision those of VGG."""
    renamed = {}
    for key, value in state.items():
        first, _, rest = key.removeprefix("features.").partition(".")
        part = _NUMBERED.get(first, first) if name == "resnet50" and key.startswith("features.") else first
        renamed[f"{part}.{rest}"] = value
    return renamed
