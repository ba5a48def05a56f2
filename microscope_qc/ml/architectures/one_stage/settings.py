"""Sizes of the one-stage detector. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from microscope_qc.ml.architectures.base import NetworkSettings
from microscope_qc.ml.architectures.dense.settings import NORM_GROUPS, STRIDE_PX


class OneStageSettings(NetworkSettings):
    """Size of the network, and what it starts from.

    Attributes
    ----------
    backbone
        Weights that the backbone starts from: "imagenet", "random", or a file of timm. Only training uses it.
    frozen
        Stages of the backbone that keep these weights; they see edges and textures that are the same everywhere. None
        of one that starts from random weights.
    pyramid
        Channels of the feature pyramid (strides 8, 16, 32, 64) and of the head.
    tower
        Convolutions of the head before each of its two outputs.
    enlarge
        How many times larger the network sees its images than they are given: the finest level of the pyramid, of
        stride 8, is coarse for pictures of a few hundred pixels.
    """

    backbone: Annotated[str, Field(min_length=1, max_length=4096)] = "imagenet"
    frozen: int = Field(default=2, ge=0, le=7)
    pyramid: int = Field(default=96, gt=0, le=1024)
    tower: int = Field(default=2, ge=0, le=16)
    enlarge: float = Field(default=1.0, ge=1, le=4)

    @property
    def stride_px(self) -> int:
        """What the sides of images are multiples of: enlarged ones are brought to a size that fits."""
        return 1 if self.enlarge > 1 else STRIDE_PX

    @model_validator(mode="before")
    @classmethod
    def _all_of_a_random_one(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("backbone") == "random":
            return {"frozen": 0, **given}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> OneStageSettings:
        if self.pyramid % NORM_GROUPS:
            raise ValueError(f"the channels of the pyramid must be a multiple of {NORM_GROUPS}")
        if self.backbone == "random" and self.frozen:
            raise ValueError("a backbone that starts from random weights cannot be frozen")
        return self
