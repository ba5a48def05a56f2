"""Settings of the published detectors. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from microscope_qc.ml.architectures.base import NetworkSettings

Channels = Annotated[int, Field(gt=0, le=4096)]
Pixels = Annotated[float, Field(gt=0, le=16_384)]
Source = Annotated[str, Field(min_length=1, max_length=4096)]


class PublishedSettings(NetworkSettings):
    """What the published detectors have in common.

    Attributes
    ----------
    backbone
        Weights that the backbone starts from: "random", "imagenet" where the program has them, a file in the names of
        torchvision or timm, or the folder of a model of this program that has this backbone. Only training uses it.
    detector
        Weights that the whole detector starts from: a file in the names of torchvision's detectors; "" for none.
    frozen_share
        Share of the training in which a backbone that has been trained before stays as it is.
    width
        Channels of the backbone's first 3x3 convolutions, with which all others grow; 64 is the published network.
    enlarge
        How many pixels of the network there are along a pixel of the model; None leaves it to the training data.
    """

    backbone: Source = "random"
    detector: str = Field(default="", max_length=4096)
    frozen_share: float = Field(default=0.1, ge=0, lt=1)
    width: Channels = 64
    enlarge: int | None = Field(default=None, ge=1, le=16)

    @property
    def trained_before(self) -> bool:
        """Whether the backbone starts from weights that were trained."""
        return self.backbone != "random" or bool(self.detector)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("detector"):
            return {"backbone": "random", **given}
        return given

    @model_validator(mode="after")
    def _one_source(self) -> PublishedSettings:
        if self.detector and self.backbone != "random":
            raise ValueError("a training starts from a backbone or from a whole detector, not from both")
        return self


class FasterRCNNSettings(PublishedSettings):
    """Size of a Faster R-CNN.

    Attributes
    ----------
    anchors
        Sides of the square anchors, pixels of the network; each comes in three shapes.
    proposals
        Places that the first stage proposes to the second one in detection; it may be changed in a trained model.
    head
        Channels of the second stage's two layers.
    """

    anchors: tuple[Pixels, Pixels, Pixels, Pixels, Pixels] = (16.0, 32.0, 64.0, 128.0, 256.0)
    proposals: int = Field(default=300, ge=1, le=6000)
    head: Channels = 1024


class SingleMapSettings(FasterRCNNSettings):
    """On one map of a backbone: ``rpn`` are the channels of the first stage's convolution."""

    rpn: Channels = 1024


class PyramidSettings(FasterRCNNSettings):
    """On a feature pyramid, of which ``pyramid`` are the channels."""

    pyramid: Channels = 256


class MultiBoxSettings(PublishedSettings):
    """Size of a single-shot multi-box detector.

    Attributes
    ----------
    input_px
        Side of the picture to which its default boxes are fitted, pixels of the network.
    extras
        Channels of the four blocks behind the backbone.
    """

    input_px: int = Field(default=512, ge=64, le=4096, multiple_of=64)
    extras: tuple[Channels, Channels, Channels, Channels] = (512, 512, 256, 256)


class LiteSingleMapSettings(SingleMapSettings):
    """On EfficientNet-Lite0, whose weights come with the program and whose width is its own."""

    backbone: Source = "imagenet"
    width: Literal[64] = 64


class LiteMultiBoxSettings(MultiBoxSettings):
    """On EfficientNet-Lite0, whose weights come with the program and whose width is its own."""

    backbone: Source = "imagenet"
    width: Literal[64] = 64
