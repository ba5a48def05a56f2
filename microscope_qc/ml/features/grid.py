"""Where the features of a slide lie: cells of stride 16 and 32, in chunks. No torch in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.geometry import Region
from microscope_qc.ml.tiling import slide_scale

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

PIXEL_UM = 0.9
"""Pixel size at which slides are looked at, as the bundled detectors do; never finer than the slide's own."""
FINE, COARSE = 16, 32
"""Strides of the two maps, in pixels of that size."""
CHANNELS = {FINE: 112, COARSE: 320}
CHUNK = 256
"""Cells of stride 16 along the side of a chunk: 4096 pixels."""
PREPROCESSING = "8 bits, mean 127, deviation 128"
Place = tuple[int, int]
"""Row and column of a chunk."""


@dataclass(frozen=True, slots=True)
class FeatureGrid:
    """The cells of a slide's feature maps.

    A cell is a whole number of pixels of a level, so that it sees the same pixels whichever tile it is computed in.

    Parameters
    ----------
    level
        Level of the slide that is read.
    cell_px
        Height and width of a cell of stride 16, in pixels of the level.
    shape
        Rows and columns of the map of stride 16.
    downsample
        Full-resolution pixels per pixel of the level (y, x).
    chunk
        Cells of stride 16 along the side of a chunk; even.
    """

    level: int
    cell_px: tuple[int, int]
    shape: tuple[int, int]
    downsample: tuple[float, float]
    chunk: int = CHUNK

    @classmethod
    def of(cls, mosaic: Mosaic, pixel_size_um: tuple[float, float] | None, *, chunk: int = CHUNK) -> FeatureGrid:
        """The cells of a mosaic; without a pixel size its own pixels are taken."""
        scale = [max(1.0, side) for side in slide_scale(PIXEL_UM, pixel_size_um)]
        level = mosaic.level_for(min(scale))
        down, (height, width) = mosaic.levels[level].downsample, mosaic.levels[level].shape
        cell = (max(1, round(FINE * scale[0] / down[0])), max(1, round(FINE * scale[1] / down[1])))
        return cls(level, cell, (-(-height // cell[0]), -(-width // cell[1])), down, chunk)

    @property
    def cell_slide_px(self) -> tuple[float, float]:
        """Height and width of a cell of stride 16, in full-resolution pixels."""
        return self.cell_px[0] * self.downsample[0], self.cell_px[1] * self.downsample[1]

    @property
    def places(self) -> list[Place]:
        """All chunks, row by row."""
        rows, columns = (-(-side // self.chunk) for side in self.shape)
        return [(row, column) for row in range(rows) for column in range(columns)]

    def map_shape(self, stride: int) -> tuple[int, int]:
        """Rows and columns of the map of a stride."""
        step = stride // FINE
        return -(-self.shape[0] // step), -(-self.shape[1] // step)

    def cells(self, place: Place, stride: int = FINE) -> Region:
        """The cells of a chunk in the map of a stride."""
        side = self.chunk * FINE // stride
        y, x = place[0] * side, place[1] * side
        return Region(y, x, y + side, x + side).clip(self.map_shape(stride))

    def overlapping(self, cells: Region, stride: int) -> Iterator[Place]:
        """The chunks of which some cells of a map are part."""
        side = self.chunk * FINE // stride
        inside = cells.clip(self.map_shape(stride))
        for row in range(inside.y0 // side, -(-inside.y1 // side)):
            for column in range(inside.x0 // side, -(-inside.x1 // side)):
                yield row, column

    def on_slide(self, boxes: Floats, *, stride: int = 1) -> Floats:
        """Boxes (n, 4) as y0, x0, y1, x1 from units of a stride (1: the network's pixels) to slide pixels."""
        y, x = (side * stride / FINE for side in self.cell_slide_px)
        return np.asarray(boxes, float) * [y, x, y, x]

    def from_slide(self, boxes: Floats, *, stride: int = 1) -> Floats:
        """The inverse of :meth:`on_slide`."""
        y, x = (side * stride / FINE for side in self.cell_slide_px)
        return np.asarray(boxes, float) / [y, x, y, x]

    def nbytes(self, place: Place) -> int:
        """Bytes of both maps of a chunk."""
        return sum(
            2 * channels * self.cells(place, stride).shape[0] * self.cells(place, stride).shape[1]
            for stride, channels in CHANNELS.items()
        )

    def document(self) -> dict[str, Any]:
        """As values that JSON can store."""
        return asdict(self)

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> FeatureGrid:
        """A grid from :meth:`document`'s values; raises ValueError, TypeError or KeyError when they are not such."""
        pairs = {name: tuple(values[name]) for name in ("cell_px", "shape", "downsample")}
        return cls(level=int(values["level"]), chunk=int(values["chunk"]), **pairs)
