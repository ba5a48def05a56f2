"""Which page of a TIFF series holds which picture of the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.slides.plane import StackAxis, StackPlace

OWN_AXES = {"Z": "z", "T": "t"}
CHANNELS = "C"
PAGE_WORDS = {"H": "lifetime", "P": "phase", "A": "angle", "E": "wavelength", "R": "rotation", "C": "channel"}


@dataclass(frozen=True, slots=True)
class StackLayout:
    """The axes of a series that are not in a page, outermost first, as pairs of tifffile's letter and a size.

    ``rgb`` means that the pictures are in colour: several channels are then pictures of the stack.
    """

    leading: tuple[tuple[str, int], ...]
    rgb: bool

    @classmethod
    def of(cls, series: Any, *, rgb: bool) -> StackLayout:
        """The layout of a tifffile series."""
        count = len(series.axes) - len(series.keyframe.axes)
        sizes = (int(size) for size in series.shape[:count])
        return cls(tuple(zip(series.axes[:count], sizes, strict=True)), rgb)

    @property
    def _pages(self) -> list[tuple[str, int]]:
        """The axes that count as pages."""
        own = (*OWN_AXES, *(() if self.rgb else (CHANNELS,)))
        return [(axis, size) for axis, size in self.leading if axis not in own]

    def axes(self, *, names: Mapping[str, Sequence[str]]) -> list[StackAxis]:
        """The axes of the stack; ``names`` are those of the pictures along tifffile's axes."""
        found = [StackAxis(OWN_AXES[a], size, "", _names(names, a, size)) for a, size in self.leading if a in OWN_AXES]
        pages = [(axis, size) for axis, size in self._pages if size > 1]
        if len(pages) == 1:
            axis, size = pages[0]
            found.append(StackAxis("page", size, PAGE_WORDS.get(axis, ""), _names(names, axis, size)))
        elif pages:
            total = 1
            for _, size in pages:
                total *= size
            found.append(StackAxis("page", total))
        return found

    def page_of(self, series: Any, channel: int, place: StackPlace) -> tuple[int, int]:
        """Number of the page in the series, and index of the picture in that page.

        ImageJ stores many pictures behind one page.
        """
        rest, along = place.page, {}
        for axis, size in reversed(self._pages):
            rest, along[axis] = divmod(rest, size)
        index = 0
        for axis, size in self.leading:
            if axis in OWN_AXES:
                here = place.along(OWN_AXES[axis])
            elif axis in along:
                here = along[axis]
            else:
                here = channel
            index = index * size + min(here, size - 1)
        if series.dataoffset is not None:  # all pictures follow the first page's offset, with or without own pages
            return 0, index
        return index, 0


def missing_pages(series: Any) -> int:
    """How many pictures of a series its file does not have."""
    return sum(page is None for page in getattr(series, "_pages", ()))


def _names(names: Mapping[str, Sequence[str]], axis: str, size: int) -> tuple[str, ...]:
    found = tuple(names.get(axis, ()))
    return found if len(found) == size and any(found) else ()
