"""The history as an audit trail: who did what and when, and what was there before and after."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.cells import escape_cell, printable
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path
from microscope_qc.project import history, schema
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.deltas import Columns, Delta
from microscope_qc.project.records import Change, LogEntry

COLUMNS = ("time", "user", "step", "what", "action", "in_force", "slide", "item", "change", "before", "after")
_NOUNS = {
    "boxes": "box", "classes": "class", "slides": "slide", "marks": "mark", "registrations": "alignment",
    "runs": "run", "attributes": "attributes of box", "outlines": "outline of box",
}  # fmt: skip
_LONGEST_CELL = 4000
_STATES = {"dropped": "no", "kept": "yes", "made": "yes", "run": "yes"}


class AuditTrail(ProjectBase):
    """Reading the log of a project in full."""

    def changes_of(self, entry: LogEntry, *, limit: int | None = None) -> list[Change]:
        """Return what a step of the history changed, row by row.

        The finds of a run are counted in its entry, not listed.

        Raises
        ------
        ProjectError
            When the step cannot be read any more.
        """
        with self._database.begin() as connection:
            deltas = history.deltas_of(connection, entry)
        changes: list[Change] = []
        for change in self._changes(deltas):
            if limit is not None and len(changes) >= limit:
                break
            changes.append(change)
        return changes

    def export_history(self, path: Path | str) -> int:
        """Write the whole history as a CSV table, oldest step first, one line per row changed; return the lines.

        Undoing and doing again have lines of their own. Cells that a spreadsheet would take for formulas are escaped.

        Raises
        ------
        WriteError
            When the file cannot be written.
        """
        count = 0
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COLUMNS)
            for line in self._lines():
                out.writerow([escape_cell(printable(cell)) for cell in line])
                count += 1
        return count

    def _lines(self) -> Iterator[Sequence[str]]:
        entries = {entry.id: entry for entry in self.history(limit=-1)}
        with self._database.begin() as connection:
            steps = [dict(row._mapping) for row in connection.execute(select(schema.trail).order_by(schema.trail.c.id))]
        when = [(datetime.fromisoformat(entry.time), entry.id, entry, None) for entry in entries.values()]
        when += [
            (datetime.fromisoformat(step["time"]), step["log_id"], entries[step["log_id"]], step)  # type: ignore[misc]
            for step in steps
            if step["log_id"] in entries
        ]
        # in one millisecond the step itself comes before what was done with it
        for _, _, entry, step in sorted(when, key=lambda item: (item[0], item[1], item[3] is not None)):
            slide = self._slide_name(entry.slide_id)
            force = "no" if entry.undone else _STATES.get(entry.kind, "yes")
            if step is not None:
                yield (step["time"], step["user"], str(entry.id), entry.title, step["action"], force, slide, *[""] * 4)
                continue
            head = (entry.time, entry.user, str(entry.id), entry.title, "done", force)
            try:
                changes = self.changes_of(entry)
            except ProjectError as error:
                yield (*head, slide, "", "", "", error.message)
                continue
            if entry.kind == "run" and entry.box_count:
                yield (*head, slide, f"{entry.box_count} boxes", "found", "", "")
            elif not changes:
                yield (*head, slide, "", "", "", "")
            for change in changes:
                place = self._slide_name(change.slide_id) or slide
                yield (*head, place, change.item, change.kind, change.before, change.after)

    def _slide_name(self, slide_id: int | None) -> str:
        if slide_id is None:
            return ""
        return next((slide.name for slide in self._slides if slide.id == slide_id), f"slide {slide_id}")

    def _changes(self, deltas: Sequence[Delta]) -> Iterator[Change]:
        codes = {defect.id: defect.code for defect in self._classes}
        for delta in deltas:
            before_of = {number: place for place, number in enumerate(delta.before["id"].tolist())}
            after_of = {number: place for place, number in enumerate(delta.after["id"].tolist())}
            for number in delta.ids.tolist():
                old, new = before_of.get(number), after_of.get(number)
                kind = "added" if old is None else "removed" if new is None else "changed"
                both = old is not None and new is not None
                before = "" if old is None else _text(delta.table, delta.before, old, codes, empty=both)
                after = "" if new is None else _text(delta.table, delta.after, new, codes, empty=both)
                side, place = (delta.before, old) if new is None else (delta.after, new)
                slide = side["slide_id"][place] if "slide_id" in side else None
                yield Change(
                    f"{_NOUNS.get(delta.table, delta.table)} {number}",
                    kind,
                    before,
                    after,
                    None if slide is None else int(slide),
                )


def _text(table: str, columns: Columns, place: int, codes: Mapping[int, str], *, empty: bool) -> str:
    """``name=value; ...`` of a row; what is empty is said where it was or became so."""
    parts = []
    for name, column in columns.items():
        if name in ("id", "slide_id"):
            continue
        value: Any = column[place]
        if isinstance(value, np.generic):
            value = value.item()
        if table == "boxes" and name == "class_id":
            name, value = "class", codes.get(value, f"class {value}")  # noqa: PLW2901
        elif table == "boxes" and name == "state":
            value = ReviewState(value).word
        elif value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            value = "—"
            if not empty:
                continue
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        parts.append(f"{name}={value}")
    text = "; ".join(parts)
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
