"""Sizes of the single-shot detector. No torch in here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from microscope_qc.ml.architectures.base import NetworkSettings
from microscope_qc.ml.architectures.dense.settings import NORM_GROUPS

Channels = Annotated[int, Field(gt=0, le=4096)]
Blocks = Annotated[int, Field(gt=0, le=64)]
Pixels = Annotated[float, Field(gt=0, le=16_384)]


class SSDSettings(NetworkSettings):
    """Size of the network.

    Attributes
    ----------
    stem, widths, depths
        Channels of the first convolution, channels and residual blocks at strides 4, 8, 16 and 32.
    pyramid
        Channels of the feature pyramid (strides 8, 16, 32, 64) and of the head.
    tower
        Convolutions of the head before its two outputs.
    sizes
        Side of the square default box at each level, model pixels.
    aspect_ratios
        Height over width of the default boxes at each place.
    """

    stem: Channels = 16
    widths: tuple[Channels, Channels, Channels, Channels] = (24, 48, 96, 160)
    depths: tuple[Blocks, Blocks, Blocks, Blocks] = (1, 2, 2, 1)
    pyramid: Channels = 64
    tower: int = Field(default=1, ge=0, le=16)
    sizes: tuple[Pixels, Pixels, Pixels, Pixels] = (20.0, 40.0, 80.0, 160.0)
    aspect_ratios: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        default=(0.33, 1.0, 3.0), min_length=1, max_length=64
    )

    @model_validator(mode="after")
    def _consistent(self) -> SSDSettings:
        if self.pyramid % NORM_GROUPS:
            raise ValueError(f"the channels of the pyramid must be a multiple of {NORM_GROUPS}")
        return self


class TinySSDSettings(SSDSettings):
    """Small enough for tests and for a first try on a slow machine."""

    stem: Channels = 8
    widths: tuple[Channels, Channels, Channels, Channels] = (8, 16, 24, 32)
    depths: tuple[Blocks, Blocks, Blocks, Blocks] = (1, 1, 1, 1)
    pyramid: Channels = 16
