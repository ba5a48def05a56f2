"""Reads the pixels to be stored; places that a damaged source cannot provide are filled and recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import percent_text
from microscope_qc.slides.plane import StackAxis, StackPlace
from microscope_qc.slides.pyramid.levels import PyramidPlan, split

SMALLEST_PX = 128  # unreadable places are narrowed down to squares of this side
TOO_MUCH = 0.05
# one bad tile of a small slide may be more than that: a quarter, but at most a megapixel, is always tolerated
ALWAYS_BORNE, ALWAYS_BORNE_PX = 0.25, 1 << 20

Read = Callable[[Region], np.ndarray]


@dataclass(frozen=True, slots=True)
class PixelSource:
    """Where the pixels come from.

    Parameters
    ----------
    facts
        What is stored about it, including its "name"; nothing is stored when empty.
    strip_px
        Width of the pieces in which it is stored, where they are wide: it is then read row by row.
    background
        Value of pixels that cannot be read.
    is_there
        Whether it can still be reached.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    strip_px: int = 0
    background: float = 0
    is_there: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class PictureStack:
    """The pictures of a stack.

    Parameters
    ----------
    axes
        The axes along which there are several pictures.
    read
        What reads the picture at a place, as for a single picture: one function, or one for each channel.
    """

    axes: Sequence[StackAxis] = ()
    read: Callable[[StackPlace], Read | Sequence[Read]] = lambda place: []

    def _size(self, key: str) -> int:
        return next((axis.size for axis in self.axes if axis.key == key), 1)

    @property
    def counts(self) -> tuple[int, int] | None:
        """Numbers of pictures along t (time points and their pages) and z; None for a single picture."""
        return (self._size("t") * self._size("page"), self._size("z")) if self.axes else None

    def place(self, at: tuple[int, int]) -> StackPlace:
        """The place of the picture that is stored at an index along t and z."""
        t, page = divmod(at[0], self._size("page"))
        return StackPlace(z=at[1], t=t, page=page)


class SourceReader:
    """Reads tiles from several threads."""

    def __init__(
        self,
        read: Read | Sequence[Read],
        plan: PyramidPlan,
        source: PixelSource,
        *,
        name: str,
        on_damage: Callable[[list[Region]], None] = lambda places: None,
        on_first_channel: Callable[[Region, np.ndarray], None] = lambda tile, pixels: None,
    ) -> None:
        self._reads = list(read) if isinstance(read, Sequence) else [read]
        self._plan, self._name, self._background = plan, name, source.background
        self._is_there, self._on_damage, self._on_first_channel = source.is_there, on_damage, on_first_channel
        area = plan.shape[0] * plan.shape[1]
        self._limit_px = max(TOO_MUCH * area, min(ALWAYS_BORNE * area, ALWAYS_BORNE_PX))
        self._lock = threading.Lock()
        self._damaged_px = 0
        self._any_read = False

    def read(self, tile: Region) -> np.ndarray:
        """Pixels of a tile: (h, w, 3) of a colour picture, else (c, h, w).

        Raises
        ------
        SlideError
            When the source has disappeared, or more than 5 % of it cannot be read.
        """
        damaged: set[Region] = set()
        parts = [self._whole_or_filled(read, tile, damaged) for read in self._reads]
        if not self._is_there():
            # a store on a disconnected drive may be read as background, without any error
            raise SlideError(
                f"{self._name} is no longer there.",
                hint="Connect its drive again and start the conversion again: it continues where it stopped.",
            )
        if damaged:
            self._on_damage(sorted(damaged, key=lambda place: (place.y0, place.x0)))
        pixels = np.stack(parts) if len(parts) > 1 else parts[0] if parts[0].ndim == 3 else parts[0][None]
        self._on_first_channel(tile, pixels if self._plan.rgb else pixels[0])
        return pixels

    def _whole_or_filled(self, read: Read, tile: Region, damaged: set[Region]) -> np.ndarray:
        try:
            pixels = self._checked(read, tile)
        except OSError as error:
            if not self._is_there():
                return self._filled(tile)
            pixels = self._filled(tile)
            self._salvage(read, tile, tile, pixels, damaged, error)
        return pixels

    def _checked(self, read: Read, region: Region) -> np.ndarray:
        pixels = np.asarray(read(region))
        expected = self._expected(region)
        if pixels.shape not in expected:
            raise ValueError(f"the reader returned {pixels.shape} instead of {expected[0]}")
        self._any_read = True
        return pixels

    def _expected(self, region: Region) -> list[tuple[int, ...]]:
        if self._plan.rgb:
            return [(*region.shape, 3)]
        if len(self._reads) > 1:
            return [region.shape]
        return [(self._plan.planes, *region.shape), *([region.shape] if self._plan.planes == 1 else [])]

    def _filled(self, tile: Region) -> np.ndarray:
        return np.full(self._expected(tile)[-1], self._background, self._plan.dtype)

    def _salvage(
        self, read: Read, part: Region, tile: Region, pixels: np.ndarray, damaged: set[Region], error: OSError
    ) -> None:
        """Keep what can be read of a part that cannot be read as a whole."""
        side = max(part.shape)
        if side <= SMALLEST_PX:
            self._count(part, damaged, error)
            return
        half = max(SMALLEST_PX, 1 << ((side - 1).bit_length() - 1))
        for piece in split(part, half):
            try:
                found = self._checked(read, piece)
            except OSError as deeper:
                self._salvage(read, piece, tile, pixels, damaged, deeper)
                continue
            place = (
                slice(piece.y0 - tile.y0, piece.y1 - tile.y0),
                slice(piece.x0 - tile.x0, piece.x1 - tile.x0),
            )
            pixels[place if self._plan.rgb or pixels.ndim == 2 else (slice(None), *place)] = found

    def _count(self, place: Region, damaged: set[Region], error: OSError) -> None:
        with self._lock:
            if place not in damaged:
                damaged.add(place)
                self._damaged_px += place.shape[0] * place.shape[1]
            if self._damaged_px <= self._limit_px:
                return
        if not self._any_read:
            if isinstance(error, SlideError):
                raise error
            raise SlideError(f"{self._name} cannot be read ({error}).", hint="Copy it again.") from error
        raise SlideError(
            f"More than {percent_text(self._limit_px / (self._plan.shape[0] * self._plan.shape[1]))} of {self._name} "
            "cannot be read; the conversion was stopped.",
            hint="Copy the slide again. If its drive was disconnected, convert again: it continues where it stopped.",
        ) from error


def merged(places: Iterable[Region]) -> list[Region]:
    """The same pixels as fewer rectangles: neighbours in a row are joined, then equal rows below each other."""
    rows: list[Region] = []
    for place in sorted(set(places), key=lambda p: (p.y0, p.y1, p.x0)):
        last = rows[-1] if rows else None
        if last is not None and (last.y0, last.y1, last.x1) == (place.y0, place.y1, place.x0):
            rows[-1] = Region(last.y0, last.x0, last.y1, place.x1)
        else:
            rows.append(place)
    joined: list[Region] = []
    for place in sorted(rows, key=lambda p: (p.x0, p.x1, p.y0)):
        last = joined[-1] if joined else None
        if last is not None and (last.x0, last.x1, last.y1) == (place.x0, place.x1, place.y0):
            joined[-1] = Region(last.y0, last.x0, place.y1, last.x1)
        else:
            joined.append(place)
    return sorted(joined, key=lambda p: (p.y0, p.x0))
