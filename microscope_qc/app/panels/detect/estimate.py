"""How much of an area will be scanned, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.app.panels.detect.pace import seconds_for, speed_key
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.wording import duration_text, share_text, things
from microscope_qc.ml.architectures.tiles import tile_grid
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.project.records import SlideRecord

LONG_S = 600.0
"""A detection that takes longer is offered for the visible area first."""


def grid_of(card: ModelCard, slide: SlideRecord, region: Region | None) -> TileGrid:
    """Tiles in which a model scans an area (None: the whole slide).

    Raises
    ------
    ModelError
        If there is no code for the model's task or network.
    """
    scale = slide_scale(card.pixel_size_um, slide.pixel_size_um)
    return tile_grid(card, region or Region(0, 0, *slide.shape_px), scale=scale)


class Estimate:
    """Counts tiles for the slide on screen and the chosen model, and describes area and time."""

    def __init__(self, session: Session, card: Callable[[], ModelCard | None]) -> None:
        self._session, self._card = session, card
        self._counted: tuple[AreaMask | None, TileGrid | None, int] = (None, None, 0)

    def _grid(self, region: Region | None) -> TileGrid | None:
        card, slide = self._card(), self._session.slide
        if card is None or slide is None or lacks_pixel_size(card, slide.pixel_size_um):
            return None
        try:
            return grid_of(card, slide, region)
        except ModelError:  # its network is in another package; starting it says so
            return None

    def tiles(self, region: Region | None, mask: AreaMask | None = None) -> int | None:
        """Tiles of an area, or those that a mask touches; None without model or pixel size."""
        grid = self._grid(region)
        if grid is None or mask is None:
            return None if grid is None else len(grid)
        if self._counted[0] is not mask or self._counted[1] != grid:
            self._counted = (mask, grid, mask.tile_count(grid))
        return self._counted[2]

    def words(
        self, region: Region | None, mask: AreaMask | None, *, at_most: bool, in_view: Region | None, how: str = ""
    ) -> str:
        """Share and time of an area; "" while they are not known.

        Parameters
        ----------
        mask
            What will be scanned, None if it is not known or everything will be.
        at_most
            Whether some of the area will be left out, which is not known yet.
        in_view
            Area to suggest instead if the whole slide takes long.
        how
            A sentence about the mask.
        """
        card, tiles = self._card(), self.tiles(region, mask)
        if tiles is None or card is None:
            return ""
        seconds = seconds_for(tiles, speed_key(card))
        if mask is not None:
            place = region or mask.region
            area = "visible area" if region is not None else "slide"
            return f"{share_words(tiles, mask.share(place), area=area, seconds=seconds)} {how}".strip()
        area = "visible area" if region is not None else "whole slide"
        words = time_words(tiles, area=area, seconds=seconds, at_most=at_most)
        if seconds is not None and seconds > LONG_S and region is None and in_view is not None:
            part = seconds_for(self.tiles(in_view) or 0, speed_key(card)) or 0.0
            words += f" Try the visible area first: about {duration_text(part)}."
        return words


def time_words(tiles: int, *, area: str, seconds: float | None, at_most: bool) -> str:
    """How long an area takes; ``at_most`` if some of it will be left out."""
    if seconds is None:
        return f"The {area} has {things(tiles, 'tile')}. How long it takes is known after the first tiles."
    most = "at most " if at_most else ""
    return f"The {area} takes {most}about <b>{duration_text(seconds)}</b> ({things(tiles, 'tile')})."


def share_words(tiles: int, share: float, *, area: str, seconds: float | None) -> str:
    """How much of an area (0 to 1) will be scanned, and how long that takes."""
    if tiles == 0:
        return f"Nothing of the {area} will be scanned."
    words = f"<b>{share_text(share).capitalize()}</b> of the {area} will be scanned"
    if seconds is None:
        return f"{words}: {things(tiles, 'tile')}."
    return f"{words}: about <b>{duration_text(seconds)}</b> ({things(tiles, 'tile')})."
