"""Stored alignments between slides and a stage."""

from __future__ import annotations

import json
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.records import RegistrationRecord
from microscope_qc.project.store import Store


class Registrations(RecordPart[RegistrationRecord]):
    """The stored alignments of a project, oldest first."""

    table = "registrations"
    noun = "alignment"

    def __init__(self, store: Store, slides: Slides) -> None:
        super().__init__(store, store.memory.registrations)
        self._slides = slides

    def save(self, slide_id: int, name: str, data: dict[str, Any]) -> RegistrationRecord:
        """Store an alignment; one of the same name on the same slide is replaced."""
        self._store.require_writable()
        self._slides.by_id(slide_id)
        name = str(name).strip()
        if not name:
            raise InputError("An alignment needs a name.")
        try:
            stored = json.dumps(data)
        except (TypeError, ValueError) as error:
            raise InputError(f"The alignment {name} cannot be stored ({error}).") from error
        old = self._store.rows("registrations", slide_id=slide_id, name=name)
        if old:
            number = old[0]["id"]
            # the same alignment again is not a command: undoing it would change nothing
            deltas = [Delta.edited("registrations", old[0], {"data": stored})] if old[0]["data"] != stored else []
        else:
            number = self._store.next_id("registrations")
            row = {"id": number, "slide_id": slide_id, "name": name, "data": stored}
            deltas = [Delta.inserted("registrations", [row])]
        self._store.commit(f"Save alignment {name}", deltas, slide_id=slide_id)
        return self.by_id(number)

    def delete(self, registration_id: int) -> None:
        """Delete a stored alignment."""
        self._store.require_writable()
        row = self._row(registration_id)
        delta = Delta.deleted("registrations", [row])
        self._store.commit(f"Delete alignment {row['name']}", [delta], slide_id=row["slide_id"])
