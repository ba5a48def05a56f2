"""The history as an audit trail: who did what and when, with values before and after."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Row, select

from microscope_qc.core.boxes import FindingFlag, ReviewState
from microscope_qc.core.cells import escape_cell, printable
from microscope_qc.core.composition import amounts_from_json, composition_text, of_unit
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path
from microscope_qc.core.wording import things
from microscope_qc.project import schema
from microscope_qc.project.deltas import Columns, Delta
from microscope_qc.project.records import Change, LogEntry
from microscope_qc.project.store import Store

COLUMNS = ("time", "user", "step", "what", "action", "in_force", "slide", "item", "change", "before", "after")
_NOUNS = {
    "boxes": "box", "classes": "class", "slides": "slide", "fields": "field", "marks": "mark",
    "registrations": "alignment", "runs": "run", "areas": "declared area", "run_classes": "label of a run",
    "attributes": "attributes of box", "outlines": "outline of box", "opinions": "opinion",
    "measurements": "measurement", "measurement_links": "link of a measurement", "standards": "standard",
    "spectra": "spectrum",
}  # fmt: skip
_THE_ONLY = {"inclusion": "confidence limit", "model_in_use": "model in use"}
_LONGEST_CELL = 4000
_STATES = {"dropped": "no", "kept": "yes", "made": "yes", "run": "yes"}


def changes_of(store: Store, entry: LogEntry) -> Iterator[Change]:
    """Return what a step of the history changed, row by row.

    Raises
    ------
    ProjectError
        When the step can no longer be read.
    """
    codes = {defect.id: defect.code for defect in store.memory.classes}
    for delta in store.log.deltas_of(entry):
        before_of = {number: place for place, number in enumerate(delta.before["id"].tolist())}
        after_of = {number: place for place, number in enumerate(delta.after["id"].tolist())}
        for number in delta.ids.tolist():
            yield _change(delta, number, before_of.get(number), after_of.get(number), codes)


def _change(delta: Delta, number: int, old: int | None, new: int | None, codes: Mapping[int, str]) -> Change:
    """Change of a row that is at the place ``old`` before and ``new`` after."""
    kind = "added" if old is None else "removed" if new is None else "changed"
    if kind == "changed" and delta.table == "boxes" and "flags" in delta.before.keys() & delta.after.keys():
        was, now = (bool(side["flags"][place] & FindingFlag.DELETED)
                    for side, place in ((delta.before, old), (delta.after, new)))  # fmt: skip
        kind = {(False, True): "removed", (True, False): "added"}.get((was, now), kind)
    both = old is not None and new is not None
    before = "" if old is None else _text(delta.table, delta.before, old, codes, empty=both)
    after = "" if new is None else _text(delta.table, delta.after, new, codes, empty=both)
    side, place = (delta.before, old) if new is None else (delta.after, new)
    slide = int(side["slide_id"][place]) if "slide_id" in side else None
    item = _THE_ONLY.get(delta.table) or f"{_NOUNS.get(delta.table, delta.table)} {number}"
    return Change(item, kind, before, after, slide)


def export(store: Store, path: Path | str) -> int:
    """Write the whole history as a CSV table; return its lines without the header (see :meth:`History.export`)."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for line in _lines(store):
            out.writerow([escape_cell(printable(cell)) for cell in line])
            count += 1
    return count


def _lines(store: Store) -> Iterator[Sequence[str]]:
    entries = store.log.entries(None)
    with store.database.begin() as connection:
        steps = connection.execute(select(schema.trail).order_by(schema.trail.c.id)).all()
    for entry, step in _in_order(entries, steps):
        slide = _slide_name(store, entry.slide_id)
        force = "no" if entry.undone else _STATES.get(entry.kind, "yes")
        if step is not None:
            yield (step.time, step.user, str(entry.id), entry.title, step.action, force, slide, *[""] * 4)
            continue
        head = (entry.time, entry.user, str(entry.id), entry.title, "done", force)
        try:
            changes = list(changes_of(store, entry))
        except ProjectError as error:
            yield (*head, slide, "", "", "", error.message)
            continue
        if entry.kind == "run" and entry.box_count:
            yield (*head, slide, things(entry.box_count, "box", "boxes"), "found", "", "")
        elif not changes:
            yield (*head, slide, "", "", "", "")
        for change in changes:
            place = _slide_name(store, change.slide_id) or slide
            yield (*head, place, change.item, change.kind, change.before, change.after)


def _in_order(entries: Sequence[LogEntry], steps: Iterable[Row[Any]]) -> Iterator[tuple[LogEntry, Row[Any] | None]]:
    """Entries, and their undoing and redoing, by time."""
    by_id = {entry.id: entry for entry in entries}
    when: list[tuple[datetime, LogEntry, Row[Any] | None]] = [
        (datetime.fromisoformat(entry.time), entry, None) for entry in entries
    ]
    when += [(datetime.fromisoformat(step.time), by_id[step.log_id], step) for step in steps if step.log_id in by_id]
    # within a millisecond the step itself comes before its undoing
    for _, entry, step in sorted(when, key=lambda item: (item[0], item[1].id, item[2] is not None)):
        yield entry, step


def _slide_name(store: Store, slide_id: int | None) -> str:
    if slide_id is None:
        return ""
    slide = store.memory.slides.by_id.get(slide_id)
    return f"slide {slide_id}" if slide is None else slide.name


def _text(table: str, columns: Columns, place: int, codes: Mapping[int, str], *, empty: bool) -> str:
    """``name=value; ...`` of a row; empty values are listed where they were or became empty."""
    parts = []
    for name, column in columns.items():
        if name in ("id", "slide_id", "flags", "import_id", "file_hash") or (table == "spectra" and name == "data"):
            continue
        value: Any = column[place]
        if isinstance(value, np.generic):
            value = value.item()
        if table in ("boxes", "run_classes", "opinions") and name == "class_id":
            name, value = "class", codes.get(value, f"class {value}") if value else "—"  # noqa: PLW2901
        elif table == "areas" and name == "classes":
            value = ", ".join(codes.get(number, f"class {number}") for number in json.loads(value))
        elif table == "measurements" and name == "amounts":
            value = composition_text(of_unit(amounts_from_json(value), "at").values()) or "—"
        elif table == "slides" and name == "fields":
            value = _fields_text(value) or "—"
            if value == "—" and not empty:
                continue
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


def _fields_text(stored: str) -> str:
    """What slides store about their specimen, in one line."""
    try:
        fields = json.loads(stored)
    except (ValueError, RecursionError):
        return stored
    return ", ".join(f"{name} {value}" for name, value in fields.items()) if isinstance(fields, dict) else stored
