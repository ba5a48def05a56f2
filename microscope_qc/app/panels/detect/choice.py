"""The area chosen for a detection, and the masks that editing starts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microscope_qc.core.area_mask import AreaMask, open_mask
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


@dataclass(frozen=True, slots=True)
class AreaChoice:
    """The chosen area, as passed to :func:`microscope_qc.workflows.detection.run.prepare_run`."""

    region: Region | None = None
    everything: bool = False
    mask: AreaMask | None = None


class InitialMasks:
    """Full and empty masks of the slide on screen; the same object until another slide is shown."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: dict[bool, AreaMask] = {}

    def mask(self, *, scan: bool) -> AreaMask:
        """Return the full or the empty mask."""
        shape = self._session.slide.shape_px if self._session.slide is not None else (1, 1)
        if scan not in self._made or self._made[scan].region.shape != shape:
            self._made[scan] = open_mask(shape, scan=scan)
        return self._made[scan]


class AreaNames:
    """Names of areas in the settings of a detection; computed once per mask."""

    def __init__(self) -> None:
        self._named: tuple[AreaMask | None, str | None] = (None, None)

    def of(self, choice: AreaChoice) -> str | None:
        """The name of a choice, None if the program finds material by itself."""
        from microscope_qc.workflows.detection.run import area_key

        if choice.mask is None:
            return area_key(everything=choice.everything)
        if self._named[0] is not choice.mask:
            self._named = (choice.mask, area_key(mask=choice.mask))
        return self._named[1]
