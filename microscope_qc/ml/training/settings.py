"""What a person may choose for a training."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TrainSettings(BaseModel):
    """Settings of a detector's training; they are kept in the model's card.

    Attributes
    ----------
    network
        Name of the network.
    network_settings
        Fields of the network's settings that differ from its defaults.
    epochs
        Passes; one pass draws as many crops as cover the pictures once.
    pixel_size_um
        Pixel size the model works at; None: the data set's own.
    crop_px, tile_px, overlap_px
        Side of training crops; side and overlap of tiles afterwards; model pixels.
    validation_share
        Part set aside when no validation set is given.
    patience
        Validations without progress after which training ends.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    network: str = "ssd"
    network_settings: dict[str, Any] = Field(default_factory=dict)
    epochs: int = Field(default=20, ge=1, le=100_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    pixel_size_um: float | None = Field(default=None, gt=0)
    crop_px: int = Field(default=384, ge=64, le=4096)
    tile_px: int = Field(default=512, ge=64, le=4096)
    overlap_px: int = Field(default=128, ge=0)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    validate_every: int = Field(default=1, ge=1)
    patience: int = Field(default=12, ge=1)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
