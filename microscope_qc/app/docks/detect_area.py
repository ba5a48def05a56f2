"""Where a detection looks, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QRadioButton, QVBoxLayout, QWidget

from microscope_qc.app.docks.detect_speed import tiles_of, tiles_per_second
from microscope_qc.app.docks.gallery_parts import sentence
from microscope_qc.app.docks.gallery_text import things
from microscope_qc.app.session import Session
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import format_seconds

LONG_S = 600.0
"""A detection that takes longer is offered for the visible area first."""

Viewport = Callable[[], tuple[float, float, float, float]]


def speed_key(card: Any) -> str:
    """What the pace of a model is kept under."""
    return str(getattr(card, "fingerprint", "") or card.name)


class AreaSection(QWidget):
    """The choice of the area.

    Parameters
    ----------
    card
        Gives the card of the chosen model.
    viewport
        Gives the rectangle y0, x0, y1, x1 of the slide that is on screen, in full-resolution pixels.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        card: Callable[[], Any | None],
        parent: QWidget | None = None,
        *,
        viewport: Viewport | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._card = card
        self.viewport = viewport
        self.whole = QRadioButton("Whole slide")
        self.visible = QRadioButton("Visible area")
        self.estimate = sentence()
        self.whole.setChecked(True)
        self._where = QButtonGroup(self)
        row = QHBoxLayout()
        for button in (self.whole, self.visible):
            self._where.addButton(button)
            row.addWidget(button)
            button.toggled.connect(lambda _: self.changed.emit())
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(row)
        column.addWidget(self.estimate)

    def region(self) -> Region | None:
        """Area to look at, None for the whole slide."""
        return self.in_view() if self.visible.isChecked() else None

    def in_view(self) -> Region | None:
        """What the canvas shows, cut to the slide; None when there is no canvas or it shows nothing of the slide."""
        if self.viewport is None or self._session.slide is None:
            return None
        y0, x0, y1, x1 = self.viewport()
        region = Region(math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1))
        region = region.clip(self._session.slide.shape_px)
        return None if region.empty else region

    def refresh(self, *, running: bool) -> None:
        """Show what can be chosen, and the time it takes."""
        view = self.in_view()
        self.visible.setEnabled(view is not None and not running)
        self.visible.setToolTip("" if view is not None else "No part of the slide is in view.")
        self.whole.setEnabled(not running)
        self.estimate.setVisible(not running)
        self.estimate.setText(self._estimate())

    def tile_count(self, region: Region | None) -> int | None:
        """Tiles of an area (None: the whole slide), or None while model or pixel size is missing."""
        card, slide = self._card(), self._session.slide
        if card is None or slide is None or slide.pixel_size_um is None:
            return None
        whole = Region(0, 0, *slide.shape_px)
        slide_um = sum(slide.pixel_size_um) / 2
        return tiles_of(
            region or whole,
            tile_px=card.tile_px,
            overlap_px=card.overlap_px,
            scale=(card.pixel_size_um or slide_um) / slide_um,
        )

    def _estimate(self) -> str:
        card, region = self._card(), self.region()
        tiles = self.tile_count(region)
        if tiles is None or card is None:
            return ""
        pace = tiles_per_second(speed_key(card))
        area = "The visible area" if region is not None else "The whole slide"
        if pace is None:
            return f"{area} has {things(tiles, 'tile')}. How long that takes is not known before the first tiles."
        seconds = tiles / pace
        text = f"{area} takes about <b>{format_seconds(seconds)}</b> ({things(tiles, 'tile')})."
        view = self.in_view()
        if seconds > LONG_S and region is None and view is not None:
            part = (self.tile_count(view) or 0) / pace
            text += f" Try the visible area first: about {format_seconds(part)}."
        return text
