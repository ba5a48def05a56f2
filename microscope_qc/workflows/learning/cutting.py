"""Cuts images out of slides, with the boxes that are in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.boxes import coordinates
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.document import Box
from microscope_qc.slides import Mosaic

SMALLEST_SHARE = 0.3
"""A box with a smaller share inside an image is not annotated there."""
_FILLS = 0.5


@dataclass(frozen=True, slots=True)
class Cut:
    """One image: a region of the slide, which may reach beyond its edge, and the height and width of the image."""

    region: Region
    shape: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the image per pixel of the slide, (y, x)."""
        height, width = self.region.shape
        return self.shape[0] / height, self.shape[1] / width


def plan_tiles(
    shape_px: tuple[int, int],
    side: int,
    tile_px: int,
    *,
    overlap: int,
    pad: bool,
    boxes: np.ndarray,
    others: np.ndarray,
    background: float,
    rng: np.random.Generator,
) -> list[Cut]:
    """Choose the tiles of a slide that contain any of ``boxes``, and a share of those without any of ``others``.

    Parameters
    ----------
    side, overlap
        In the slide's pixels; ``tile_px`` is the side of the image.
    boxes, others
        Corners (N, 4); tiles that contain only ``others`` are used neither as examples nor as background.
    """
    tiles = padded_tiles(shape_px, side, overlap) if pad else list(TileGrid(Region(0, 0, *shape_px), side, overlap))
    full = [tile for tile in tiles if overlapping(boxes, tile).any()]
    empty = [tile for tile in tiles if not overlapping(others, tile).any() and not overlapping(boxes, tile).any()]
    wanted = min(len(empty), round(len(full) * background / (1 - background)))
    picked = sorted(rng.choice(len(empty), wanted, replace=False).tolist()) if wanted else []
    scale = tile_px / side
    return [
        Cut(tile, (max(1, round(tile.shape[0] * scale)), max(1, round(tile.shape[1] * scale))))
        for tile in [*full, *(empty[number] for number in picked)]
    ]


def padded_tiles(shape_px: tuple[int, int], side: int, overlap: int) -> list[Region]:
    """Tiles of equal spacing and size; the last ones of a row and a column may reach beyond the slide."""
    starts = []
    for length in shape_px:
        count = max(1, -(-(length - overlap) // (side - overlap)))
        starts.append([number * (side - overlap) for number in range(count)])
    return [Region(y, x, y + side, x + side) for y in starts[0] for x in starts[1]]


def overlapping(boxes: np.ndarray, region: Region) -> np.ndarray:
    """Boolean (n,): which boxes overlap the region."""
    return (boxes[:, 0] < region.y1) & (boxes[:, 2] > region.y0) & (boxes[:, 1] < region.x1) & (boxes[:, 3] > region.x0)


def read_cut(mosaic: Mosaic, cut: Cut) -> np.ndarray:
    """Read an image, (h, w, 3) uint8; what is beyond the slide is black."""
    inside = cut.region.clip((mosaic.shape[0], mosaic.shape[1]))
    if inside == cut.region:
        return mosaic.read_scaled(cut.region, cut.shape)
    picture = np.zeros((*cut.shape, 3), np.uint8)
    height, width = (max(1, round(size * factor)) for size, factor in zip(inside.shape, cut.scale, strict=True))
    picture[:height, :width] = mosaic.read_scaled(inside, (height, width))
    return picture


def clipped_boxes(
    rows: np.ndarray,
    cut: Cut,
    code_of: dict[int, str],
    *,
    visible: float = SMALLEST_SHARE,
    details: tuple[dict[int, dict[str, Any]], dict[int, Outline]] = ({}, {}),
) -> list[Box]:
    """Boxes in pixels of the image, clipped at its border; a clipped box loses its outline.

    Parameters
    ----------
    visible
        Share of a box that must be in the image, unless it fills half of the image.
    details
        Attributes and outlines by box id.
    """
    region, (scale_y, scale_x) = cut.region, cut.scale
    attributes, outlines = details
    boxes = []
    for row in rows[overlapping(coordinates(rows), region)]:
        y0, y1 = max(row["y0"], region.y0), min(row["y1"], region.y1)
        x0, x1 = max(row["x0"], region.x0), min(row["x1"], region.x1)
        area, whole = (y1 - y0) * (x1 - x0), (row["y1"] - row["y0"]) * (row["x1"] - row["x0"])
        if area < visible * whole and area <= _FILLS * region.shape[0] * region.shape[1]:
            continue
        top, bottom = (float((y - region.y0) * scale_y) for y in (y0, y1))
        left, right = (float((x - region.x0) * scale_x) for x in (x0, x1))
        number = int(row["id"])
        outline = outlines.get(number) if area == whole else None
        if outline is not None:
            outline = outline.moved(-region.y0, -region.x0).scaled(scale_y, scale_x)
        boxes.append(
            Box(
                code_of[int(row["class_id"])],
                top,
                left,
                bottom,
                right,
                attributes=attributes.get(number, {}),
                outline=outline,
            )
        )
    return boxes
