"""Turns a scene upright while it is read: only the tiles that are asked for, at every level."""

from __future__ import annotations

from typing import Any

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.core.orientation import (
    AS_STORED,
    stored_region,
    turned_pair,
    turned_shape,
    upright_pixels,
    upright_points,
)
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.plane import FIRST, StackPlace


def turned(stored: Mosaic, orientation: int) -> Mosaic:
    """A scene as it looks when its stored pixels are turned."""
    return stored if orientation == AS_STORED else _Turned(stored, orientation)


class _Turned(Mosaic):
    """A scene whose stored pixels are turned; pixel sizes, pieces and the map to the stage turn with them."""

    def __init__(self, stored: Mosaic, orientation: int) -> None:
        super().__init__(
            path=stored.path,
            name=stored.name,
            levels=[
                Level(turned_shape(level.shape, orientation), turned_pair(level.downsample, orientation))
                for level in stored.levels
            ],
            dtype=stored.dtype,
            rgb=stored.rgb,
            channels=stored.channels,
            pixel_size_um=None if stored.pixel_size_um is None else turned_pair(stored.pixel_size_um, orientation),
            origin_px=turned_shape(stored.origin_px, orientation),
            stage=_turned_stage(stored, orientation),
            notes=stored.notes,
            background=stored.background,
            stored_levels=stored.stored_levels,
            piece_px=turned_shape(stored.piece_px, orientation),
            stack=stored.stack,
            file_orientation=stored.file_orientation,
            scale_note=stored.scale_note,
        )
        self.orientation = orientation
        self._stored = stored

    @property
    def default_channels(self) -> tuple[int, ...]:
        """Those of the stored scene."""
        return self._stored.default_channels

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self._read_at(region, level, channel, FIRST)

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        there = stored_region(region, self.orientation, shape_px=self.levels[level].shape)
        pixels = self._stored.read(there, level=level, channel=channel, place=place)
        return np.ascontiguousarray(upright_pixels(pixels, self.orientation))

    def window(self, channel: int = 0, *, page: int = 0) -> tuple[float, float]:
        """As the stored scene is shown."""
        return self._stored.window(channel, page=page)

    def overview(self, longest_px: int) -> np.ndarray | None:
        """That of the stored scene, turned."""
        whole = self._stored.overview(longest_px)
        return None if whole is None else np.ascontiguousarray(upright_pixels(whole, self.orientation))


def _turned_stage(stored: Mosaic, orientation: int) -> dict[str, Any] | None:
    """A position stays where it is; a map from pixels to the stage begins from the turned pixels."""
    stage = stored.stage
    if not stage or not stage.get("affine"):
        return stage
    # where the corner and the unit steps of the stored picture lie in the turned one, as (x, y)
    corners = upright_points(np.array([[0, 0], [0, 1], [1, 0]]), orientation, stored_shape_px=stored.shape)[:, ::-1]
    forward = np.eye(3)
    forward[:2] = np.column_stack([corners[1] - corners[0], corners[2] - corners[0], corners[0]])
    affine = np.array(stage["affine"], float) @ np.linalg.inv(forward)
    return {**stage, "affine": affine.tolist()}
