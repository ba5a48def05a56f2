"""The part of a mosaic's interface that display, scaling and fingerprint need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.slides.plane import StackAxis


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a mosaic: its ``shape`` (y, x) in pixels and its ``downsample`` (y, x) against level 0."""

    shape: tuple[int, int]
    downsample: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Channel:
    """Name of a channel, and how it is shown.

    ``colour`` is ``#rrggbb``; ``window`` are the values shown as black and as full colour, None where the file
    does not say.
    """

    name: str
    colour: str = "#ffffff"
    window: tuple[float, float] | None = None


class Pixels(Protocol):
    """The part of a :class:`~microscope_qc.slides.base.Mosaic` that its display, scaling and fingerprint use.

    Those modules are below the class, so they cannot import it.
    """

    levels: tuple[Level, ...]
    stored_levels: int
    dtype: np.dtype
    rgb: bool
    channels: tuple[Channel, ...]
    stack: tuple[StackAxis, ...]
    origin_px: tuple[int, int]
    piece_px: tuple[int, int]

    @property
    def default_channels(self) -> tuple[int, ...]: ...

    @property
    def shape(self) -> tuple[int, int]: ...

    def read(self, region: Region, *, level: int = 0, channel: int = 0) -> np.ndarray: ...

    def read_rgb8(self, region: Region, *, level: int = 0) -> np.ndarray: ...

    def window(self, channel: int = 0, *, page: int = 0) -> tuple[float, float]: ...

    def level_for(self, scale: float) -> int: ...
