"""Commands on marks and stored alignments."""

from __future__ import annotations

import json
import math
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.deltas import Delta
from microscope_qc.project.records import Mark, RegistrationRecord

_NUMBERS = ("y_px", "x_px", "stage_x_mm", "stage_y_mm")


class MarkCommands(ProjectBase):
    """Marks and alignments of a project."""

    def marks(self, slide_id: int) -> list[Mark]:
        """Return the marks of a slide in the order they were placed."""
        return [mark for mark in self._marks if mark.slide_id == slide_id]

    def add_mark(
        self,
        slide_id: int,
        name: str,
        y_px: float,
        x_px: float,
        *,
        stage_x_mm: float | None = None,
        stage_y_mm: float | None = None,
    ) -> Mark:
        """Place a mark at full-resolution pixels, with its stage position in mm when it is known."""
        self._require_writable()
        self._row("slides", slide_id, what="slide")
        places = {"y_px": y_px, "x_px": x_px, "stage_x_mm": stage_x_mm, "stage_y_mm": stage_y_mm}
        row = _clean({"id": self._next_id("marks"), "slide_id": slide_id, "name": name, **places})
        self._commit(f"Place mark {row['name']}", [Delta.inserted("marks", [row])], slide_id=slide_id)
        return next(mark for mark in self._marks if mark.id == row["id"])

    def edit_mark(self, mark_id: int, *, title: str = "", **columns: Any) -> Mark:
        """Change name, ``y_px``, ``x_px``, ``stage_x_mm`` or ``stage_y_mm`` of a mark."""
        self._require_writable()
        unknown = sorted(set(columns) - {"name", *_NUMBERS})
        if unknown:
            raise InputError(f"A mark has no {unknown[0]} that could be changed.")
        row = self._row("marks", mark_id, what="mark")
        changes = {key: value for key, value in _clean({**row, **columns}).items() if value != row[key]}
        deltas = [Delta.edited("marks", row, changes)] if changes else []
        self._commit(title or f"Change mark {changes.get('name', row['name'])}", deltas, slide_id=row["slide_id"])
        return next(mark for mark in self._marks if mark.id == mark_id)

    def delete_mark(self, mark_id: int) -> None:
        """Take a mark away."""
        self._require_writable()
        row = self._row("marks", mark_id, what="mark")
        self._commit(f"Delete mark {row['name']}", [Delta.deleted("marks", [row])], slide_id=row["slide_id"])

    @property
    def registrations(self) -> list[RegistrationRecord]:
        """The stored alignments, oldest first."""
        return list(self._registrations)

    def save_registration(self, slide_id: int, name: str, data: dict[str, Any]) -> RegistrationRecord:
        """Store an alignment; one of the same name on the same slide is replaced."""
        self._require_writable()
        self._row("slides", slide_id, what="slide")
        name = str(name).strip()
        if not name:
            raise InputError("An alignment needs a name.")
        try:
            stored = json.dumps(data)
        except (TypeError, ValueError) as error:
            raise InputError(f"The alignment {name} cannot be stored ({error}).") from error
        old = self._rows("registrations", slide_id=slide_id, name=name)
        if old:
            number = old[0]["id"]
            # the same alignment again is no command: undoing it would change nothing
            deltas = [Delta.edited("registrations", old[0], {"data": stored})] if old[0]["data"] != stored else []
        else:
            number = self._next_id("registrations")
            row = {"id": number, "slide_id": slide_id, "name": name, "data": stored}
            deltas = [Delta.inserted("registrations", [row])]
        self._commit(f"Save alignment {name}", deltas, slide_id=slide_id)
        return next(record for record in self._registrations if record.id == number)

    def delete_registration(self, registration_id: int) -> None:
        """Delete a stored alignment."""
        self._require_writable()
        row = self._row("registrations", registration_id, what="alignment")
        delta = Delta.deleted("registrations", [row])
        self._commit(f"Delete alignment {row['name']}", [delta], slide_id=row["slide_id"])


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    clean = dict(row)
    clean["name"] = str(clean["name"]).strip()
    if not clean["name"]:
        raise InputError("A mark needs a name.")
    for name in _NUMBERS:
        if clean[name] is None and name.startswith("stage"):
            continue
        try:
            clean[name] = float(clean[name])
        except (TypeError, ValueError) as error:
            raise InputError(f"{clean[name]!r} is no position of a mark.") from error
        if not math.isfinite(clean[name]):
            raise InputError("The position of a mark must be a finite number.")
    return clean
