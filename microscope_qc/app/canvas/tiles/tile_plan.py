"""Which tiles a view needs, the order in which they are fetched, and which of the loaded ones are drawn.

No Qt or OpenGL here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microscope_qc.slides.tile_cache import LARGEST_STEP, TILE_PX

if TYPE_CHECKING:
    from microscope_qc.app.canvas.view import View
    from microscope_qc.slides.tile_cache import TileSource

TileId = tuple[int, int, int]  # level, row, column

COARSER_BY = 2
"""Levels between the sharp tiles and the coarse ones fetched before them: a coarse one covers sixteen sharp ones."""
AHEAD_COST = 4
"""Tiles that need more tiles of the file than this are not fetched ahead."""
FEW_TILES = 4
MOST_READS = 4096
"""Tiles of the file that may be read for one view: a gigapixel, a few seconds."""
READS_OF_WHOLE = 128
"""Tiles of the file that may be read for the whole slide; one without coarse levels is not read as a whole."""

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a view needs.

    ``sharp``: tiles at the level of the screen, from the middle outwards; ``coarse``: those fetched before them;
    ``ahead``: those that may be needed next, most likely first.
    """

    level: int
    sharp: tuple[TileId, ...]
    coarse: tuple[TileId, ...]
    ahead: tuple[TileId, ...]


def make_plan(source: TileSource, view: View, *, pixel_ratio: float = 1.0, before: View | None = None) -> Plan:
    """Plan for a view; ``before`` is the previous view."""
    scale = 1.0 / (view.zoom * pixel_ratio)
    level = source.level_for(scale)
    last = len(source.levels) - 1
    rows, columns = source.grid(level)
    if scale > LARGEST_STEP * max(source.downsample(level)) and rows * columns > FEW_TILES:
        return Plan(level, (), (), ())  # a slide without such coarse levels: only its preview is shown
    sharp = from_the_middle(source, tiles_in(source, level, view.bounds), view)
    if source.cost(level) > 1 and len(sharp) * source.cost(level) > (
        READS_OF_WHOLE if len(sharp) == rows * columns else MOST_READS
    ):
        return Plan(level, (), (), ())
    coarse: list[TileId] = []
    above = min(level + COARSER_BY, last)
    if above > level and source.cost(above) == 1:
        coarse = from_the_middle(source, tiles_in(source, above, view.bounds), view)
    return Plan(level, tuple(sharp), tuple(coarse), tuple(_ahead(source, level, view, before, sharp)))


def tiles_in(source: TileSource, level: int, bounds: Bounds) -> list[TileId]:
    """Tiles of a level that a rectangle in full-resolution pixels touches."""
    down_y, down_x = source.downsample(level)
    rows, columns = source.grid(level)
    y0, x0, y1, x1 = bounds
    side_y, side_x = TILE_PX * down_y, TILE_PX * down_x
    first_row, first_column = max(0, math.floor(y0 / side_y)), max(0, math.floor(x0 / side_x))
    end_row, end_column = min(rows, math.ceil(y1 / side_y)), min(columns, math.ceil(x1 / side_x))
    return [(level, row, column) for row in range(first_row, end_row) for column in range(first_column, end_column)]


def bounds_of(source: TileSource, tile: TileId) -> Bounds:
    """Rectangle of a tile in full-resolution pixels, clipped at the slide's edge."""
    level, row, column = tile
    (down_y, down_x), (height, width) = source.downsample(level), source.shape(0)
    region = source.region(level, row, column)
    return (
        region.y0 * down_y,
        region.x0 * down_x,
        min(region.y1 * down_y, height),
        min(region.x1 * down_x, width),
    )


def from_the_middle(source: TileSource, tiles: list[TileId], view: View) -> list[TileId]:
    """Tiles sorted by their distance from the middle of the view."""

    def distance(tile: TileId) -> float:
        down_y, down_x = source.downsample(tile[0])
        dy = (tile[1] + 0.5) * TILE_PX * down_y - view.y
        dx = (tile[2] + 0.5) * TILE_PX * down_x - view.x
        return dy * dy + dx * dx

    return sorted(tiles, key=distance)


def _ahead(source: TileSource, level: int, view: View, before: View | None, sharp: list[TileId]) -> list[TileId]:
    """The ring around the view, first in the direction of motion, and the next levels, first after a zoom."""
    down_y, down_x = source.downsample(level)
    y0, x0, y1, x1 = view.bounds
    wide = (y0 - TILE_PX * down_y, x0 - TILE_PX * down_x, y1 + TILE_PX * down_y, x1 + TILE_PX * down_x)
    ring = [tile for tile in tiles_in(source, level, wide) if tile not in set(sharp)]
    dy, dx = (view.y - before.y, view.x - before.x) if before is not None else (0.0, 0.0)

    def away(tile: TileId) -> float:
        return -(
            ((tile[1] + 0.5) * TILE_PX * down_y - view.y) * dy + ((tile[2] + 0.5) * TILE_PX * down_x - view.x) * dx
        )

    ring = sorted(from_the_middle(source, ring, view), key=away)
    coarser = tiles_in(source, level + 1, view.bounds) if level + 1 < len(source.levels) else []
    finer: list[TileId] = []
    if level > 0:  # zooming in shows only part of the current view
        middle = (view.y + y0) / 2, (view.x + x0) / 2, (view.y + y1) / 2, (view.x + x1) / 2
        finer = from_the_middle(source, tiles_in(source, level - 1, middle), view)
    zoomed = 1.0 if before is None else view.zoom / before.zoom
    order = (
        (finer, ring, coarser) if zoomed > 1.0 else (coarser, ring, finer) if zoomed < 1.0 else (ring, coarser, finer)
    )
    return [tile for part in order for tile in part if source.cost(tile[0]) <= AHEAD_COST]


def tiles_to_draw(source: TileSource, plan: Plan, has: Callable[[TileId], bool]) -> list[TileId]:
    """Loaded tiles, coarse ones first, so that sharper ones are drawn over them.

    Where a sharp tile is missing, coarser ones are drawn instead, and finer ones if there are some left.
    """
    chosen: set[TileId] = set()
    for tile in plan.sharp:
        if has(tile):
            chosen.add(tile)
            continue
        bounds = bounds_of(source, tile)
        for finer in range(tile[0] - 1, max(-1, tile[0] - 1 - COARSER_BY), -1):
            chosen.update(small for small in tiles_in(source, finer, bounds) if has(small))
        for coarser in range(tile[0] + 1, len(source.levels)):
            covering = tiles_in(source, coarser, bounds)
            there = [large for large in covering if has(large)]
            chosen.update(there)
            if len(there) == len(covering):
                break
    return sorted(chosen, key=lambda tile: (-tile[0], tile))
