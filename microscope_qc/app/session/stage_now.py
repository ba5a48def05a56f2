"""Where the SEM's stage is now, as a user or a watched file says it."""

from __future__ import annotations

from typing import ClassVar

from psygnal import Signal


class StageNow:
    """The position on the stage, and what lies there on the slide; None while it is not known."""

    changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.xy_mm: tuple[float, float] | None = None
        self.place: tuple[int, float, float] | None = None
        """Slide, y and x in px; None without an alignment."""

    def show(self, xy_mm: tuple[float, float] | None, place: tuple[int, float, float] | None) -> None:
        """Say where the stage is."""
        if (xy_mm, place) != (self.xy_mm, self.place):
            self.xy_mm, self.place = xy_mm, place
            self.changed.emit()
