"""Marks: places that can be recognised under the SEM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.records import Mark
from microscope_qc.project.store import Store

_NUMBERS = ("y_px", "x_px", "stage_x_mm", "stage_y_mm")


class Marks(RecordPart[Mark]):
    """The marks of a project in the order they were placed."""

    table = "marks"
    noun = "mark"

    def __init__(self, store: Store, slides: Slides) -> None:
        super().__init__(store, store.memory.marks)
        self._slides = slides

    def of_slide(self, slide_id: int) -> list[Mark]:
        """Return the marks of a slide in the order they were placed."""
        return [mark for mark in self if mark.slide_id == slide_id]

    def add(
        self,
        slide_id: int,
        name: str,
        y_px: float,
        x_px: float,
        *,
        stage_x_mm: float | None = None,
        stage_y_mm: float | None = None,
        is_check: bool = False,
    ) -> Mark:
        """Place a mark at full-resolution pixels, with its stage position in mm where it is known."""
        self._store.require_writable()
        self._slides.by_id(slide_id)
        places = {"y_px": y_px, "x_px": x_px, "stage_x_mm": stage_x_mm, "stage_y_mm": stage_y_mm}
        places["is_check"] = bool(is_check)
        row = _clean({"id": self._store.next_id("marks"), "slide_id": slide_id, "name": name, **places})
        self._store.commit(f"Place mark {row['name']}", [Delta.inserted("marks", [row])], slide_id=slide_id)
        return self.by_id(row["id"])

    def edit(self, mark_id: int, *, title: str = "", **columns: Any) -> Mark:
        """Change name, ``y_px``, ``x_px``, ``stage_x_mm``, ``stage_y_mm`` or ``is_check`` of a mark."""
        title = title or f"Change mark {str(columns.get('name', self.by_id(mark_id).name)).strip()}"
        self.edit_many({mark_id: columns}, title=title)
        return self.by_id(mark_id)

    def edit_many(self, changes: Mapping[int, Mapping[str, Any]], *, title: str) -> None:
        """Change several marks as one command; see :meth:`edit` for what can be changed of each."""
        self._store.require_writable()
        deltas, slides = [], set()
        for mark_id, columns in changes.items():
            unknown = sorted(set(columns) - {"name", "is_check", *_NUMBERS})
            if unknown:
                raise InputError(f"A mark has no {unknown[0]} that could be changed.")
            row = self._row(mark_id)
            other = {key: value for key, value in _clean({**row, **columns}).items() if value != row[key]}
            if other:
                deltas.append(Delta.edited("marks", row, other))
            slides.add(row["slide_id"])
        self._store.commit(title, deltas, slide_id=slides.pop() if len(slides) == 1 else None)

    def delete(self, mark_id: int) -> None:
        """Delete a mark (undoable)."""
        self._store.require_writable()
        row = self._row(mark_id)
        self._store.commit(f"Delete mark {row['name']}", [Delta.deleted("marks", [row])], slide_id=row["slide_id"])


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    clean = dict(row)
    clean["name"] = str(clean["name"]).strip()
    if not clean["name"]:
        raise InputError("A mark needs a name.")
    clean["is_check"] = bool(clean["is_check"])
    for name in _NUMBERS:
        if clean[name] is None and name.startswith("stage"):
            continue
        try:
            clean[name] = float(clean[name])
        except (TypeError, ValueError) as error:
            raise InputError(f"{clean[name]!r} is not the position of a mark.") from error
        if not math.isfinite(clean[name]):
            raise InputError("The position of a mark must be a finite number.")
    return clean
