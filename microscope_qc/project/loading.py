"""Reading the tables into records."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from microscope_qc.core.boxes import BOX_DTYPE, BoxFilter, ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.project import schema
from microscope_qc.project.records import Mark, RegistrationRecord, RunRecord, SlideRecord


def slides(connection: Connection, folder: Path) -> list[SlideRecord]:
    """Return all slides in the order they were added, each with the place where it lies now."""
    records = []
    for row in connection.execute(select(schema.slides).order_by(schema.slides.c.id)):
        path, missing = find_slide(Path(row.path), row.relative_path, folder)
        known = row.pixel_size_y_um is not None and row.pixel_size_x_um is not None
        records.append(
            SlideRecord(
                id=row.id,
                name=row.name,
                path=path,
                relative_path=row.relative_path,
                scene=row.scene,
                fingerprint=row.fingerprint,
                shape_px=(row.height_px, row.width_px),
                pixel_size_um=(row.pixel_size_y_um, row.pixel_size_x_um) if known else None,
                missing=missing,
            )
        )
    return records


def find_slide(absolute: Path, relative: str, folder: Path) -> tuple[Path, bool]:
    """Return where a slide lies and whether it is missing: the old place first, then beside the project as before."""
    candidates = [absolute]
    if relative:
        candidates.append(Path(os.path.normpath(folder / relative)))
    for candidate in candidates:
        try:
            if candidate.exists():
                return candidate, False
        except (OSError, ValueError):  # a path of another system, or a drive that does not answer
            continue
    return absolute, True


def classes(connection: Connection) -> list[DefectClass]:
    """Return the classes by position."""
    order = (schema.classes.c.position, schema.classes.c.id)
    return [
        DefectClass(
            code=row.code,
            name=row.name,
            colour=row.colour,
            key=row.key,
            description=row.description,
            weight=row.weight,
            id=row.id,
            position=row.position,
        )
        for row in connection.execute(select(schema.classes).order_by(*order))
    ]


def boxes(connection: Connection, slide_id: int) -> np.ndarray:
    """Return the box rows of a slide, sorted by id."""
    columns = [schema.boxes.c[name] for name in BOX_DTYPE.names or ()]
    statement = select(*columns).where(schema.boxes.c.slide_id == slide_id).order_by(schema.boxes.c.id)
    # the driver's own tuples: rows of SQLAlchemy take four times as long, and there may be hundreds of thousands
    sql = str(statement.compile(dialect=connection.dialect))
    cursor = connection.exec_driver_sql(sql, (slide_id,)).cursor
    found = cursor.fetchall() if cursor is not None else []
    rows = np.zeros(len(found), BOX_DTYPE)
    for place, name in enumerate(BOX_DTYPE.names or ()):
        values = [row[place] for row in found]
        rows[name] = np.array(values, float) if name == "confidence" else values  # NULL becomes NaN
    return rows


def marks(connection: Connection) -> list[Mark]:
    """Return all marks in the order they were placed."""
    return [
        Mark(r.id, r.slide_id, r.name, r.y_px, r.x_px, r.stage_x_mm, r.stage_y_mm)
        for r in connection.execute(select(schema.marks).order_by(schema.marks.c.id))
    ]


def runs(connection: Connection, folder: Path) -> list[RunRecord]:
    """Return all runs, oldest first."""
    return [
        RunRecord(
            id=r.id,
            slide_id=r.slide_id,
            folder=folder / "runs" / str(r.id),
            card=json.loads(r.card),
            settings=json.loads(r.settings),
            state=r.state,
            started=r.started,
            finished=r.finished,
            shown=bool(r.shown),
            found=r.found,
        )
        for r in connection.execute(select(schema.runs).order_by(schema.runs.c.id))
    ]


def registrations(connection: Connection) -> list[RegistrationRecord]:
    """Return all stored alignments."""
    return [
        RegistrationRecord(r.id, r.slide_id, r.name, json.loads(r.data))
        for r in connection.execute(select(schema.registrations).order_by(schema.registrations.c.id))
    ]


def settings(connection: Connection) -> dict[str, Any]:
    """Return the settings; one that cannot be read counts as not set."""
    result = {}
    for key, value in connection.execute(select(schema.settings)):
        try:
            result[key] = json.loads(value)
        except ValueError:
            continue
    return result


def filter_to_json(box_filter: BoxFilter) -> dict[str, Any]:
    """Return a filter as JSON; which runs are shown is stored with the runs."""
    return {
        "min_confidence": box_filter.min_confidence,
        "class_ids": None if box_filter.class_ids is None else sorted(box_filter.class_ids),
        "states": None if box_filter.states is None else sorted(int(state) for state in box_filter.states),
        "only_chosen": box_filter.only_chosen,
        "text": box_filter.text,
    }


def filter_from_json(stored: Any) -> BoxFilter:
    """Return the stored filter; show everything when it cannot be read."""
    if not isinstance(stored, dict):
        return BoxFilter()
    try:
        class_ids, states = stored.get("class_ids"), stored.get("states")
        return BoxFilter(
            min_confidence=float(stored.get("min_confidence", 0.0)),
            class_ids=None if class_ids is None else frozenset(int(number) for number in class_ids),
            states=None if states is None else frozenset(ReviewState(number) for number in states),
            only_chosen=bool(stored.get("only_chosen", False)),
            text=str(stored.get("text", "")),
        )
    except (TypeError, ValueError):
        return BoxFilter()
