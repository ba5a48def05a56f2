"""Settings of the memory of normal places. No torch in here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from microscope_qc.ml.architectures.base import NetworkSettings

STRIDES = (4, 8, 16, 32)
"""Strides of the backbone's maps."""


class MemorySettings(NetworkSettings):
    """What a place is described by, and how much is remembered.

    Attributes
    ----------
    strides
        Maps of the backbone whose features describe a place, by their strides.
    grid_px
        Distance of places, in pixels that the backbone sees.
    enlarged
        How many times larger than at the model's pixel size the backbone sees a picture: fine structures of small
        pictures need more, slides need no more than 1.
    per_picture
        Whether every picture is brought to the same brightness and contrast first, for pictures under changing light.
        Each must fit into one tile.
    levelled_px
        Radius within which brightness and contrast are evened out first, in pixels of the model; 0 leaves them.
    around
        Side of the square of places over which features are averaged.
    numbers
        How many independent numbers of unit variance describe a place at the end.
    known
        How many places are remembered; with 0 only their mean and how they vary.
    smoothing
        Side of the square of places over which distances are averaged.
    """

    strides: tuple[Literal[4, 8, 16, 32], ...] = Field(default=(4, 8, 16), min_length=1, max_length=4)
    grid_px: Literal[4, 8, 16, 32] = 8
    enlarged: Literal[1, 2, 4] = 1
    per_picture: bool = False
    levelled_px: int = Field(default=0, ge=0, le=512)
    around: Annotated[int, Field(ge=1, le=15)] = 3
    numbers: int = Field(default=64, ge=1, le=496)
    known: int = Field(default=4000, ge=0, le=1_000_000)
    smoothing: Annotated[int, Field(ge=1, le=15)] = 1

    @model_validator(mode="after")
    def _consistent(self) -> MemorySettings:
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError("strides must rise")
        if not self.around % 2 or not self.smoothing % 2:
            raise ValueError("squares of places must have odd sides")
        if self.grid_px % self.enlarged:
            raise ValueError("places must lie on whole pixels")
        return self

    @property
    def cell_px(self) -> int:
        """Distance of places, in pixels of the model."""
        return self.grid_px // self.enlarged
