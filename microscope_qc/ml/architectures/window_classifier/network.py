"""Networks that classify windows: convolutions, the mean over the window, one linear layer.

Every network has that form (global average pooling; Lin et al., "Network In Network", 2014), so that a class activation
map is the linear layer applied to every place before the mean is taken (Zhou et al., "Learning Deep Features for
Discriminative Localization", CVPR 2016), and the scores of all windows of a large image come from one pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0

_INCEPTION_LEAST_PX = 75
"""The convolutions of InceptionV3 do not pad: of a smaller picture nothing is left."""


class WindowClassifier(nn.Module):
    """A convolutional network whose class scores are the mean of class maps.

    Parameters
    ----------
    features : nn.Module
        Images (B, 3, H, W) to maps (B, channels, H / stride, W / stride).
    channels, stride : int
    outputs : int
        Number of classes, including "none of them".
    aligned : bool
        Whether the maps of a large image contain those of its windows. Not where convolutions do not pad: then maps are
        smaller than ``H / stride``, and every window needs its own pass.
    """

    def __init__(self, features: nn.Module, *, channels: int, stride: int, outputs: int, aligned: bool = True) -> None:
        super().__init__()
        self.features = features
        self.stride, self.aligned = stride, aligned
        self.decide = nn.Linear(channels, outputs)
        nn.init.xavier_uniform_(self.decide.weight)
        nn.init.zeros_(self.decide.bias)

    def maps(self, images: Tensor) -> Tensor:
        """Class activation maps, (B, outputs, h, w): their means are the logits."""
        weight = self.decide.weight[:, :, None, None]
        return nn.functional.conv2d(self.features(images), weight, self.decide.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, outputs) of windows (B, 3, H, W), normalised."""
        logits: Tensor = self.decide(self.features(images).mean(dim=(2, 3)))
        return logits


def light(widths: Sequence[int], *, outputs: int) -> WindowClassifier:
    """Strided convolutions with the given channels, and a second one at the last size: fast on a CPU."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        inputs = width
    layers += [nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
    return WindowClassifier(nn.Sequential(*layers), channels=inputs, stride=2 ** len(widths), outputs=outputs)


_RESNETS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""Blocks of each part."""


def published(name: str, *, outputs: int, width: int = 64) -> WindowClassifier:
    """A network of torchvision, untrained, without the layers after its convolutions.

    Parameters
    ----------
    name
        "resnet18", "resnet50", "resnet101", "vgg19" or "inception-v3".
    width
        Channels of the first 3x3 convolutions, where there can be others than the published 64.
    """
    models = _models()
    if name == "inception-v3":
        return WindowClassifier(_Inception(), channels=2048, stride=32, outputs=outputs, aligned=False)
    if name == "vgg19":
        from microscope_qc.ml.backbones.trunks import vgg19_layers

        layers = vgg19_layers(width, fan="fan_out")
        return WindowClassifier(layers, channels=8 * width, stride=32, outputs=outputs)
    if name in _RESNETS:
        whole = models.resnet.ResNet(models.resnet.Bottleneck, list(_RESNETS[name]), width_per_group=width)
    else:
        whole = models.resnet18(weights=None)
    features = nn.Sequential(*list(whole.children())[:-2])
    return WindowClassifier(features, channels=int(whole.fc.in_features), stride=32, outputs=outputs)


class _Inception(nn.Module):
    """InceptionV3 of torchvision up to its last map."""

    def __init__(self) -> None:
        super().__init__()
        whole = _models().inception_v3(weights=None, aux_logits=False, init_weights=False)
        layers = list(whole.named_children())
        for name, layer in layers[: [name for name, _ in layers].index("avgpool")]:
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor:
        """The last map; an image that is too small for it is padded."""
        short = [max(0, _INCEPTION_LEAST_PX - int(side)) for side in images.shape[2:]]
        if any(short):
            images = nn.functional.pad(images, (0, short[1], 0, short[0]))
        for layer in self.children():
            images = layer(images)
        return images


class _Deepest(nn.Module):
    """The deepest map of EfficientNet-Lite0."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0()

    def forward(self, images: Tensor) -> Tensor:
        """The map at stride 32."""
        deepest: Tensor = self.trunk(images)[-1]
        return deepest


class Lite0Classifier(WindowClassifier):
    """EfficientNet-Lite0; one that has been trained before keeps the statistics of its normalisations.

    Parameters
    ----------
    trained : bool
        Whether its backbone starts from weights.
    """

    def __init__(self, *, outputs: int, trained: bool) -> None:
        super().__init__(_Deepest(), channels=EfficientNetLite0.channels[-1], stride=32, outputs=outputs)
        self._keeps_statistics = trained
        if not trained:  # made for a training of many days, they would be those of nothing at the end of a short one
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.1

    @property
    def trunk(self) -> EfficientNetLite0:
        """The backbone."""
        trunk: EfficientNetLite0 = self.features.trunk  # type: ignore[assignment]
        return trunk

    def train(self, mode: bool = True) -> Lite0Classifier:
        """Switch to training."""
        super().train(mode)
        if self._keeps_statistics:
            self.features.eval()
        return self


def take_convolutions(network: WindowClassifier, state: Mapping[str, Tensor], *, title: str, source: str) -> None:
    """Give a network the convolutions of a file in the names of torchvision, which are also those of timm.

    What else the file holds, such as layers for other classes, is left.

    Raises
    ------
    ModelError
        When a tensor is missing or of another shape.
    """
    own = network.features.state_dict()
    for name, called in _torchvision_names(network).items():
        given = state.get(called)
        if given is None and name.endswith("num_batches_tracked"):  # some files leave it out; it plays no part here
            continue
        if given is None or given.shape != own[name].shape:
            raise ModelError(
                f"The weights of {source} belong to another network than {title}.", hint=f"Choose a file of {title}."
            )
        own[name] = given
    network.features.load_state_dict(own)


def _torchvision_names(network: WindowClassifier) -> dict[str, str]:
    """What torchvision and timm call the tensors of a network's convolutions, by the network's own names."""
    parts = dict(enumerate(("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")))
    found = {}
    for name in network.features.state_dict():
        first, *rest = name.split(".")
        if isinstance(network.features, _Inception):
            found[name] = name
        elif isinstance(network.features[1], nn.BatchNorm2d):  # type: ignore[index]
            found[name] = ".".join((parts[int(first)], *rest))
        else:
            found[name] = f"features.{name}"
    return found


def _models() -> Any:
    from microscope_qc.ml.quick_torchvision import torchvision

    return torchvision.models
