"""Views of a slide that a user wants to come back to; like settings they are not part of undo."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.parts.settings import StoredSettings

log = logging.getLogger(__name__)

MOST_BOOKMARKS = 999
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A named view: its centre in slide pixels and its zoom in screen points per slide pixel."""

    name: str
    y: float
    x: float
    zoom: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Bookmark:
        """A bookmark from stored values.

        Raises
        ------
        InputError
            When they are not a bookmark.
        """
        try:
            name = str(values["name"])[:LONGEST_NAME]
            y, x, zoom = (float(values[key]) for key in ("y", "x", "zoom"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError("A stored bookmark cannot be read.") from error
        if not (math.isfinite(y) and math.isfinite(x) and 0 < zoom < math.inf):
            raise InputError("The position and the zoom of a bookmark are finite numbers, and the zoom is above 0.")
        return cls(name, y, x, zoom)


def view_setting(slide_id: int) -> str:
    """Name of the project's setting for the view of a slide; bookmarks are one entry of it."""
    return f"view:{slide_id}"


class Bookmarks:
    """The bookmarks of a project, slide by slide."""

    def __init__(self, settings: StoredSettings) -> None:
        self._settings = settings

    def of_slide(self, slide_id: int) -> list[Bookmark]:
        """Return the bookmarks of a slide in their order; one that cannot be read is left out."""
        entries = self._stored(slide_id).get("bookmarks", [])
        bookmarks = []
        for entry in entries[:MOST_BOOKMARKS] if isinstance(entries, list) else []:
            try:
                bookmarks.append(Bookmark.from_dict(entry))
            except InputError as error:
                log.warning("bookmark of slide %s: %s", slide_id, error)
        return bookmarks

    def set(self, slide_id: int, bookmarks: Sequence[Bookmark]) -> None:
        """Replace the bookmarks of a slide.

        Raises
        ------
        InputError
            When there are too many.
        """
        if len(bookmarks) > MOST_BOOKMARKS:
            raise too_many()
        stored = {**self._stored(slide_id), "bookmarks": [asdict(bookmark) for bookmark in bookmarks]}
        self._settings.set(view_setting(slide_id), stored)

    def _stored(self, slide_id: int) -> dict[str, Any]:
        stored = self._settings.get(view_setting(slide_id), {})
        return stored if isinstance(stored, dict) else {}


def too_many() -> InputError:
    """Return the error for too many bookmarks of a slide."""
    return InputError(f"A slide has at most {MOST_BOOKMARKS} bookmarks.", hint="Delete some first.")
