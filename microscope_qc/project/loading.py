"""Reading the tables into records."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from microscope_qc.core.boxes import BoxFilter, ReviewState
from microscope_qc.core.composition import amounts_from_json, amounts_to_json
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.core.orientation import checked_orientation
from microscope_qc.core.outline import Outline
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.project import schema
from microscope_qc.project.database import driver
from microscope_qc.project.records import (
    AreaRecord,
    EdxMeasurement,
    Mark,
    MeasurementLink,
    ModelInUse,
    RegistrationRecord,
    RunClass,
    RunRecord,
    SlideRecord,
    Standard,
    StoredSpectrum,
)
from microscope_qc.project.runs.plan import plan_of

MANY_SLIDES = 64
"""From so many slides on their folders are listed."""


def _rows(connection: Connection, table: Table, ids: Collection[int] | None) -> Iterable[Row[Any]]:
    """Rows of a table by id: those with ``ids``, or all."""
    statement = select(table).order_by(table.c.id)
    return connection.execute(statement if ids is None else statement.where(table.c.id.in_(ids)))


def slides(connection: Connection, ids: Collection[int] | None = None, *, folder: Path) -> list[SlideRecord]:
    """Return slides in the order they were added, each with its present path: all, or those with ``ids``."""
    records = []
    rows = list(_rows(connection, schema.slides, ids))
    # os.path: a tenth of what making a Path of each costs
    folders = {os.path.dirname(row.path) for row in rows} if len(rows) >= MANY_SLIDES else ()  # noqa: PTH120
    there = listed_files(folders)
    for row in rows:
        path, missing = Path(row.path), False
        if row.path not in there or _lies_elsewhere(row, folder):
            path, missing = find_slide(path, row.relative_path, folder)
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
                content=row.content,
                fields=fields_from_json(row.fields),
                orientation=checked_orientation(row.orientation),
            )
        )
    return records


def listed_files(folders: Iterable[str]) -> frozenset[str]:
    """Paths of everything in some folders but links: a folder is listed faster than each of its files is asked for."""
    found: list[str] = []
    for folder in folders:
        # a folder that is not there holds no slide
        with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
            found += [entry.path for entry in entries if not entry.is_symlink()]
    return frozenset(found)


def fields_from_json(stored: str) -> dict[str, Any]:
    """Return the specimen fields of a slide, or the attributes of a box, by name; none where they cannot be read."""
    try:
        fields = json.loads(stored)
    except (TypeError, ValueError, RecursionError):  # “check” says it
        return {}
    return fields if isinstance(fields, dict) else {}


def fields(connection: Connection, ids: Collection[int] | None = None) -> list[SpecimenField]:
    """Return the fields that users added, oldest first: all, or those with ``ids``; unreadable ones are left out."""
    found = []
    for row in _rows(connection, schema.fields, ids):
        with contextlib.suppress(ValueError, RecursionError):
            choices = json.loads(row.choices)
            kept = tuple(choice for choice in choices if isinstance(choice, str)) if isinstance(choices, list) else ()
            found.append(SpecimenField(row.name, row.name, FieldKind(row.kind), row.unit, kept, id=row.id))
    return found


def _lies_elsewhere(row: Row[Any], folder: Path) -> bool:
    """Whether the path of a slide relative to the project leads to another place than the absolute one."""
    return bool(row.relative_path) and os.path.normpath(os.path.join(folder, row.relative_path)) != row.path  # noqa: PTH118


def find_slide(absolute: Path, relative: str, folder: Path) -> tuple[Path, bool]:
    """Return a slide's path and whether it is missing: the path relative to the project first, then the old one.

    A folder that was copied with its slides must not open those it was copied from.
    """
    candidates = [Path(os.path.normpath(folder / relative))] if relative else []
    candidates.append(absolute)
    for candidate in candidates:
        try:
            if candidate.exists():
                return candidate, False
        except (OSError, ValueError):  # a path of another system, or a drive that does not respond
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
            box_size_um=row.box_size_um,
            example_box=row.example_box,
            example_picture=row.example_picture,
            group=row.group,
        )
        for row in connection.execute(select(schema.classes).order_by(*order))
    ]


def details(connection: Connection, table: str, slide_id: int) -> dict[int, str]:
    """Return what is stored beside the boxes of a slide in "attributes" or "outlines", as JSON text by box id."""
    column = schema.metadata.tables[table].c
    sql = str(select(column.id, column.data).where(column.slide_id == slide_id).compile(dialect=connection.dialect))
    # tuples of the driver: rows of SQLAlchemy take four times as long
    return dict(driver(connection).execute(sql, (slide_id,)))


def marks(connection: Connection, ids: Collection[int] | None = None) -> list[Mark]:
    """Return marks in the order they were placed: all, or those with ``ids``."""
    return [
        Mark(r.id, r.slide_id, r.name, r.y_px, r.x_px, r.stage_x_mm, r.stage_y_mm, bool(r.is_check))
        for r in _rows(connection, schema.marks, ids)
    ]


def runs(connection: Connection, ids: Collection[int] | None = None, *, folder: Path) -> list[RunRecord]:
    """Return runs, oldest first: all, or those with ``ids``."""
    return [
        RunRecord(
            id=r.id,
            slide_id=r.slide_id,
            folder=folder / "runs" / str(r.id),
            plan=plan_of(r.card),
            settings=json.loads(r.settings),
            state=r.state,
            started=r.started,
            finished=r.finished,
            shown=bool(r.shown),
            found=r.found,
            name=r.name,
        )
        for r in _rows(connection, schema.runs, ids)
    ]


def registrations(connection: Connection, ids: Collection[int] | None = None) -> list[RegistrationRecord]:
    """Return stored alignments, oldest first: all, or those with ``ids``."""
    return [
        RegistrationRecord(r.id, r.slide_id, r.name, json.loads(r.data))
        for r in _rows(connection, schema.registrations, ids)
    ]


def measurements(connection: Connection, ids: Collection[int] | None = None) -> list[EdxMeasurement]:
    """Return measurements, oldest first: all, or those with ``ids``; amounts that cannot be read are left out."""
    found = []
    for r in _rows(connection, schema.measurements, ids):
        try:
            amounts = amounts_from_json(r.amounts)
        except ValueError:  # “check” reports it
            amounts = ()
        found.append(
            EdxMeasurement(
                id=r.id,
                import_id=r.import_id,
                source=r.source,
                file_hash=r.file_hash,
                row=r.row,
                label=r.label,
                kind=r.kind,
                stage_mm=_pair(r.stage_x_mm, r.stage_y_mm),
                on_slide=r.on_slide,
                place_px=_pair(r.y_px, r.x_px),
                kv=r.kv,
                amounts=amounts,
                note=r.note,
            )
        )
    return found


def measurement_row(known: EdxMeasurement) -> dict[str, Any]:
    """Return the table row of a measurement."""
    x_mm, y_mm = known.stage_mm or (None, None)
    y_px, x_px = known.place_px or (None, None)
    return {
        "id": known.id,
        "import_id": known.import_id,
        "source": known.source,
        "file_hash": known.file_hash,
        "row": known.row,
        "label": known.label,
        "kind": known.kind,
        "stage_x_mm": x_mm,
        "stage_y_mm": y_mm,
        "on_slide": known.on_slide,
        "y_px": y_px,
        "x_px": x_px,
        "kv": known.kv,
        "amounts": amounts_to_json(known.amounts),
        "note": known.note,
    }


def _pair(first: float | None, second: float | None) -> tuple[float, float] | None:
    return None if first is None or second is None else (first, second)


def measurement_links(connection: Connection, ids: Collection[int] | None = None) -> list[MeasurementLink]:
    """Return which findings measurements belong to: all links, or those with ``ids``."""
    return [
        MeasurementLink(r.id, r.slide_id, r.measurement_id, r.finding_id, r.matched_by)
        for r in _rows(connection, schema.measurement_links, ids)
    ]


def spectra(connection: Connection, ids: Collection[int] | None = None) -> list[StoredSpectrum]:
    """Return the counts behind measurements, as they are stored: all, or those with ``ids``."""
    return [StoredSpectrum(r.id, r.measurement_id, r.data) for r in _rows(connection, schema.spectra, ids)]


def areas(connection: Connection, ids: Collection[int] | None = None) -> list[AreaRecord]:
    """Return areas declared complete, oldest first: all, or those with ``ids``; unreadable ones are left out."""
    found = []
    for r in _rows(connection, schema.areas, ids):
        with contextlib.suppress(ValueError, RecursionError):  # “check” reports it
            found.append(AreaRecord(r.id, r.slide_id, *area_content(r.outline, r.classes), r.user, r.declared, r.drawn))
    return found


def area_content(outline: str, classes: str) -> tuple[Outline, frozenset[int]]:
    """Outline and class ids of an area as they are stored.

    Raises
    ------
    ValueError
        When they cannot be read.
    """
    numbers = json.loads(classes)
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise ValueError("no list of classes")
    shape = Outline.from_json(outline)
    if shape.kind != "polygon":
        raise ValueError("no polygon")
    return shape, frozenset(numbers)


def run_classes(connection: Connection, ids: Collection[int] | None = None) -> list[RunClass]:
    """Return the class of each label of each run's model: all, or those with ``ids``."""
    return [
        RunClass(r.id, r.slide_id, r.run_id, r.label, r.class_id) for r in _rows(connection, schema.run_classes, ids)
    ]


def standards(connection: Connection, ids: Collection[int] | None = None) -> list[Standard]:
    """Return what numbers are held against, oldest first: all, or those with ``ids``; unreadable ones are left out."""
    found = []
    for r in _rows(connection, schema.standards, ids):
        with contextlib.suppress(ValueError, RecursionError):  # “check” reports it
            found.append(Standard(r.id, r.kind, r.name, standard_content(r.data), r.user, r.kept))
    return found


def standard_content(data: str) -> dict[str, Any]:
    """What is stored of a standard.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def models_in_use(connection: Connection, ids: Collection[int] | None = None) -> list[ModelInUse]:
    """Return the model in use, at most one."""
    return [
        ModelInUse(row.id, row.model, row.name, bool(row.inside_project))
        for row in _rows(connection, schema.model_in_use, ids)
    ]


def hidden_runs(connection: Connection) -> frozenset[int]:
    """Read which runs are switched off."""
    statement = select(schema.runs.c.id).where(schema.runs.c.shown.is_(False))
    return frozenset(connection.execute(statement).scalars())


def confidence_limit(connection: Connection) -> float:
    """Return the confidence from which findings count; 0 where it is missing or damaged."""
    stored = connection.execute(select(schema.inclusion.c.confidence_limit)).scalar()
    try:
        return Inclusion(float(stored or 0.0)).confidence_limit
    except (TypeError, ValueError):
        return 0.0


def settings(connection: Connection) -> dict[str, Any]:
    """Return the settings; one that cannot be read is taken as not set."""
    result = {}
    for key, value in connection.execute(select(schema.settings)):
        try:
            result[key] = json.loads(value)
        except ValueError:
            continue
    return result


def filter_to_json(box_filter: BoxFilter) -> dict[str, Any]:
    """Return the plain values that the project stores for a filter."""

    def listed(values: Iterable[int] | None) -> list[int] | None:
        return None if values is None else sorted(int(value) for value in values)

    return {
        "min_confidence": box_filter.min_confidence,
        "max_confidence": box_filter.max_confidence,
        "class_ids": listed(box_filter.class_ids),
        "states": listed(box_filter.states),
        "found_by": listed(box_filter.found_by),
        "only_chosen": box_filter.only_chosen,
        "only_disputed": box_filter.only_disputed,
        "only_again": box_filter.only_again,
        "numbers": listed(box_filter.numbers),
        "size_um": None if box_filter.size_um is None else [_or_none(limit) for limit in box_filter.size_um],
        "text": box_filter.text,
    }


def filter_from_json(stored: Any) -> BoxFilter:
    """Return the stored filter; one that shows everything where it cannot be read."""
    if not isinstance(stored, dict):
        return BoxFilter()
    try:
        class_ids, states, found_by, numbers = (
            stored.get(name) for name in ("class_ids", "states", "found_by", "numbers")
        )
        size = stored.get("size_um")
        low, high = (0.0, None) if size is None else size
        return BoxFilter(
            min_confidence=float(stored.get("min_confidence", 0.0)),
            max_confidence=float(stored.get("max_confidence", 1.0)),
            class_ids=None if class_ids is None else frozenset(int(number) for number in class_ids),
            states=None if states is None else frozenset(ReviewState(number) for number in states),
            found_by=None if found_by is None else frozenset(int(number) for number in found_by),
            only_chosen=bool(stored.get("only_chosen", False)),
            only_disputed=bool(stored.get("only_disputed", False)),
            only_again=bool(stored.get("only_again", False)),
            numbers=None if numbers is None else frozenset(int(number) for number in numbers),
            size_um=None if size is None else (float(low), math.inf if high is None else float(high)),
            text=str(stored.get("text", "")),
        )
    except (TypeError, ValueError):
        return BoxFilter()


def _or_none(limit: float) -> float | None:
    return float(limit) if math.isfinite(limit) else None  # JSON has no infinity
