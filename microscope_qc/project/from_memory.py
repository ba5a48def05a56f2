"""Writes what an open project has in memory into a new database: for when its own can no longer be read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, update

from microscope_qc.core.boxes import BOX_DTYPE, FindingFlag, has_flag
from microscope_qc.project import schema
from microscope_qc.project.database import Database
from microscope_qc.project.deltas import (
    BOX_COLUMNS,
    OPINION_COLUMNS,
    Columns,
    Delta,
    box_columns,
    columns_of,
    row_columns,
)
from microscope_qc.project.loading import measurement_row
from microscope_qc.project.log import IDS_KEPT
from microscope_qc.project.memory import Memory
from microscope_qc.project.migrations import class_row, make_tables
from microscope_qc.project.records import LogEntry, SlideRecord

Row = Mapping[str, Any]


def write_memory(database: Database, memory: Memory, entries: Iterable[LogEntry]) -> list[str]:
    """Fill a new database with everything that is in memory, and the steps of the history that are.

    These steps are kept for the record; none of them can be undone.

    Returns
    -------
    list of str
        Names of the slides whose findings were not in memory.
    """
    make_tables(database, [])
    with database.begin() as connection:
        for table, rows in _records(memory):
            _insert(connection, table, rows)
        known = {slide.id for slide in memory.slides}
        for slide_id in sorted(known & memory.tables.keys()):
            _write_findings(connection, memory, slide_id)
        for table, by_slide in memory.details.items():
            for slide_id, texts in by_slide.items():
                _insert(connection, table, [{"id": n, "slide_id": slide_id, "data": data} for n, data in texts.items()])
        limit = memory.inclusion.confidence_limit
        connection.execute(update(schema.inclusion).values(confidence_limit=limit))
        values = [{"key": key, "value": json.dumps(value)} for key, value in memory.settings.items()]
        if values:
            connection.execute(insert(schema.settings), values)
        _insert(connection, "log", [_log_row(entry) for entry in sorted(entries, key=lambda entry: entry.id)])
    return [slide.name for slide in memory.slides if slide.id not in memory.tables]


def _records(memory: Memory) -> Iterable[tuple[str, list[Row]]]:
    """Rows of the tables of which every row is in memory, a table before those that refer to it."""
    yield "slides", [_slide_row(slide) for slide in memory.slides]
    yield (
        "fields",
        [
            {"id": f.id, "name": f.name, "kind": f.kind.value, "unit": f.unit, "choices": json.dumps(list(f.choices))}
            for f in memory.fields
        ],
    )
    yield (
        "classes",
        [
            {
                **class_row(defect, position=defect.position),
                "id": defect.id,
                "example_box": defect.example_box,
                "example_picture": defect.example_picture,
            }
            for defect in memory.classes
        ],
    )
    yield "runs", [
        {
            "id": run.id, "slide_id": run.slide_id, "card": json.dumps(run.plan.document()),
            "settings": json.dumps(run.settings), "state": run.state, "started": run.started, "finished": run.finished,
            "shown": run.shown, "found": run.found, "name": run.name,
        }
        for run in memory.runs
    ]  # fmt: skip
    yield "run_classes", [asdict(known) for known in memory.run_classes]
    yield "marks", [asdict(mark) for mark in memory.marks]
    yield (
        "registrations",
        [
            {"id": record.id, "slide_id": record.slide_id, "name": record.name, "data": json.dumps(record.data)}
            for record in memory.registrations
        ],
    )
    yield "measurements", [measurement_row(known) for known in memory.measurements]
    yield "measurement_links", [asdict(known) for known in memory.measurement_links]
    yield "spectra", [asdict(known) for known in memory.spectra]
    yield "model_in_use", [asdict(model) for model in memory.models]
    yield (
        "standards",
        [
            {**asdict(known), "data": json.dumps(known.data, allow_nan=False, sort_keys=True)}
            for known in memory.standards
        ],
    )
    yield "areas", [
        {
            "id": area.id, "slide_id": area.slide_id, "outline": area.outline.to_json(),
            "classes": json.dumps(sorted(area.class_ids)), "user": area.user, "declared": area.declared,
            "drawn": area.drawn,
        }
        for area in memory.areas
    ]  # fmt: skip


def _slide_row(slide: SlideRecord) -> Row:
    y, x = slide.pixel_size_um or (None, None)
    return {
        "id": slide.id,
        "name": slide.name,
        "path": str(slide.path),
        "relative_path": slide.relative_path,
        "scene": slide.scene,
        "fingerprint": slide.fingerprint,
        "height_px": slide.shape_px[0],
        "width_px": slide.shape_px[1],
        "pixel_size_y_um": y,
        "pixel_size_x_um": x,
        "content": slide.content,
        "fields": json.dumps(slide.fields),
        "orientation": slide.orientation,
    }


def _log_row(entry: LogEntry) -> Row:
    kind = {"command": "dropped" if entry.undone else "kept"}.get(entry.kind, entry.kind)
    return {
        "id": entry.id, "time": entry.time, "user": entry.user, "title": entry.title, "kind": kind,
        "undone": entry.undone, "slide_id": entry.slide_id, "run_id": entry.run_id, "box_count": entry.box_count,
        "box_ids": json.dumps(list(entry.box_ids[:IDS_KEPT])),
    }  # fmt: skip


def _insert(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    Delta.inserted(table, rows).apply(connection)


def _write_findings(connection: Connection, memory: Memory, slide_id: int) -> None:
    rows = memory.tables[slide_id].rows.copy()
    deleted = has_flag(rows, FindingFlag.DELETED)  # found again: in memory they are rejected
    rows["state"][deleted] = 0
    rows["reason"][deleted] = ""
    opinions = memory.opinions[slide_id].rows
    absent = memory.absent.get(slide_id, np.zeros(0, BOX_DTYPE))
    rows = np.concatenate([rows, absent[~np.isin(absent["id"], rows["id"])]])
    lost = opinions[~np.isin(opinions["finding_id"], rows["id"])]
    rows = np.concatenate([rows, _deleted_findings(lost)])
    rows = rows[np.argsort(rows["id"], kind="stable")]
    columns = box_columns(rows, slide_id, names=BOX_COLUMNS)
    columns["confidence"] = _or_none(columns["confidence"])
    none: Columns = columns_of([])
    Delta("boxes", none, columns).apply(connection)
    Delta("opinions", none, row_columns(opinions, slide_id, names=OPINION_COLUMNS)).apply(connection)


def _deleted_findings(opinions: np.ndarray) -> np.ndarray:
    """Findings with opinions that are not in memory: those that a user deleted."""
    ids, first = np.unique(opinions["finding_id"], return_index=True)
    rows = np.zeros(len(ids), BOX_DTYPE)
    rows["id"], rows["confidence"], rows["reason"], rows["note"] = ids, np.nan, "", ""
    rows["flags"] = np.uint8(FindingFlag.DELETED)
    for name in ("class_id", "y0", "x0", "y1", "x1"):
        rows[name] = opinions[name][first]
    return rows


def _or_none(values: np.ndarray) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = [None if math.isnan(value) else value for value in values.tolist()]
    return column
