"""Values that their columns cannot hold: text for numbers, unknown states, no JSON. A sentence each, and its repair."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String

from microscope_qc.project import schema
from microscope_qc.project.records import MEASUREMENT_KINDS, RUN_STATES

_NUMBER = "typeof({0}) IN ('integer', 'real') AND abs({0}) < 1e15"
_WHOLE = "typeof({0}) = 'integer'"
_STATES = ", ".join(f"'{state}'" for state in RUN_STATES)
_KINDS = ", ".join(f"'{kind}'" for kind in MEASUREMENT_KINDS)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the values of a column must be, and what takes the place of one that is not (SQL; "" removes its row)."""

    table: str
    column: str
    good: str
    instead: str
    sentence: str


def _yes_or_no(table: str, column: str, instead: int, what: str) -> _Rule:
    return _Rule(table, column, f"{_WHOLE} AND {{0}} IN (0, 1)", str(instead), what)


_RULES = (
    *(_Rule("slides", side, f"{_WHOLE} AND {{0}} > 0", "1", "{} slides have no size: locate their files.")
      for side in ("height_px", "width_px")),
    *(_Rule("slides", size, "{0} IS NULL OR " + _NUMBER + " AND {0} > 0", "NULL",
            "{} pixel sizes are no positive numbers: they are not known now, set them again.")
      for size in ("pixel_size_y_um", "pixel_size_x_um")),
    _Rule("slides", "orientation", _WHOLE + " AND {0} BETWEEN 1 AND 8", "1", "{} slides are turned in an unknown way."),
    _Rule("boxes", "slide_id", _WHOLE, "0", "{} findings do not say which slide they are on."),
    *(_Rule(table, column, _WHOLE, "", f"{{}} rows of {table} belong to nothing: they were removed.")
      for table, column in (
          ("opinions", "slide_id"), ("opinions", "finding_id"), ("opinions", "run_id"), ("opinions", "class_id"),
          ("attributes", "slide_id"), ("outlines", "slide_id"), ("marks", "slide_id"), ("registrations", "slide_id"),
          ("measurement_links", "slide_id"), ("measurement_links", "measurement_id"),
          ("measurement_links", "finding_id"), ("spectra", "measurement_id"),
          ("areas", "slide_id"), ("run_classes", "slide_id"), ("run_classes", "run_id"), ("run_classes", "class_id"),
          ("run_classes", "label"), ("runs", "slide_id"), ("trail", "log_id"),
      )),
    *(_Rule("log", column, "{0} IS NULL OR " + _WHOLE, "NULL", "{} steps of the history name no slide or detection.")
      for column in ("slide_id", "run_id")),
    _Rule("classes", "weight", _NUMBER, "1.0", "{} classes have no weight: it is 1 now."),
    _Rule("classes", "position", _WHOLE, "id", "{} classes have no place in the order."),
    _Rule("classes", "box_size_um", "{0} IS NULL OR " + _NUMBER + " AND {0} > 0", "NULL",
          "{} sizes of boxes of classes are no positive numbers: they are not set now."),
    _Rule("classes", "example_box", _WHOLE, "0", "{} examples of classes name no finding."),
    _Rule("classes", "colour", "{0} GLOB '#[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]'",
          "'#999999'", "{} classes have no colour: they are grey now."),
    *(_Rule("boxes", side, _NUMBER, "", "{} boxes have no place: they were removed.")
      for side in ("y0", "x0", "y1", "x1")),
    _Rule("boxes", "class_id", "{0} IS NULL OR " + _WHOLE, "NULL", "{} findings name no class."),
    _Rule("boxes", "confidence", "{0} IS NULL OR " + _NUMBER + " AND {0} BETWEEN 0 AND 1", "NULL",
          "{} confidences are not from 0 to 1: they are not known now."),
    _Rule("boxes", "state", _WHOLE + " AND {0} BETWEEN 0 AND 2", "0",
          "{} findings have an unknown state: they are unreviewed now."),
    _yes_or_no("boxes", "chosen", 0, "{} findings are neither chosen nor not: they are not chosen now."),
    _Rule("boxes", "flags", _WHOLE + " AND {0} BETWEEN 0 AND 255", "1",
          "{} findings do not say who made them: they count as drawn by a user now."),
    *(_Rule("opinions", side, _NUMBER, "", "{} results of detections have no place: they were removed.")
      for side in ("y0", "x0", "y1", "x1")),
    _Rule("opinions", "confidence", _NUMBER + " AND {0} BETWEEN 0 AND 1", "0.0",
          "{} confidences of detections are not from 0 to 1: they are 0 now."),
    _yes_or_no("opinions", "made", 1, "{} results of detections do not say whether they were new."),
    _yes_or_no("opinions", "again", 0, "{} results of detections do not say whether they came again."),
    _Rule("runs", "state", f"{{0}} IN ({_STATES})", "'stopped'", "{} detections have an unknown state."),
    _yes_or_no("runs", "shown", 1, "{} detections are neither on nor off: they are on now."),
    _Rule("runs", "found", _WHOLE, "0", "{} detections do not say how much they found."),
    *(_Rule("marks", place, _NUMBER, "", "{} marks have no place: they were removed.") for place in ("y_px", "x_px")),
    *(_Rule("marks", place, "{0} IS NULL OR " + _NUMBER, "NULL", "{} stage positions of marks are no numbers.")
      for place in ("stage_x_mm", "stage_y_mm")),
    _yes_or_no("marks", "is_check", 0, "{} marks are neither a check nor not: they count in the fit now."),
    _Rule("measurements", "import_id", _WHOLE, "id", "{} measurements do not say which import they came with."),
    _Rule("measurements", "row", _WHOLE, "0", "{} measurements do not say their line of the file."),
    _Rule("measurements", "kind", f"{{0}} IN ({_KINDS})", "'point'", "{} measurements are of an unknown kind."),
    _Rule("measurements", "on_slide", "{0} IS NULL OR " + _WHOLE, "NULL", "{} measurements name no slide."),
    *(_Rule("measurements", column, "{0} IS NULL OR " + _NUMBER, "NULL", "{} positions of measurements are no numbers.")
      for column in ("stage_x_mm", "stage_y_mm", "y_px", "x_px")),
    _Rule("measurements", "kv", "{0} IS NULL OR " + _NUMBER, "NULL", "{} voltages of measurements are no numbers."),
    _yes_or_no("model_in_use", "inside_project", 0, "{} models in use do not say where they are."),
    _yes_or_no("log", "undone", 0, "{} steps of the history are neither undone nor not."),
    _Rule("log", "box_count", _WHOLE, "0", "{} steps of the history do not count their findings."),
)  # fmt: skip

_JSON: dict[tuple[str, str], tuple[type, str, str]] = {
    ("slides", "fields"): (dict, "{}", "The specimens of {} slides cannot be read: they are empty now."),
    ("fields", "choices"): (list, "[]", "The choices of {} fields cannot be read."),
    ("runs", "card"): (dict, "{}", "The plans of {} detections cannot be read."),
    ("runs", "settings"): (dict, "{}", "The settings of {} detections cannot be read."),
    ("registrations", "data"): (dict, "", "{} alignments cannot be read: they were removed."),
    ("log", "box_ids"): (list, "[]", "{} steps of the history do not name their findings."),
}

_ONE_LINE = {"name", "code", "colour", "key", "title", "user", "reason", "unit", "kind", "path", "relative_path"}
"""Columns whose texts hold no control characters; notes and descriptions may have lines and tabs."""


def value_problems(connection: sqlite3.Connection, *, repair: bool) -> list[str]:
    """Return a sentence for each kind of wrong value, after its repair; in a transaction of the caller's."""
    known = {
        name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in schema.metadata.tables
    }
    there = [table for table, columns in known.items() if columns]
    found = list(_texts(connection, known, repair=repair))
    for rule in _RULES:
        if rule.table in there and rule.column in known[rule.table]:
            found += _apply(connection, rule, repair=repair)
    for (table, column), (kind, instead, sentence) in _JSON.items():
        if column in known[table]:
            found += _json(connection, table, column, kind, instead, sentence, repair=repair)
    return found


def outside_slides(connection: sqlite3.Connection) -> list[str]:
    """Return a sentence about findings that lie wholly outside their slides; nobody knows where they belong."""
    sql = (
        "SELECT count(*) FROM boxes JOIN slides ON slides.id = boxes.slide_id WHERE boxes.flags & 8 = 0"
        " AND (y1 < 0 OR x1 < 0 OR y0 > height_px OR x0 > width_px)"
    )
    count = int(connection.execute(sql).fetchone()[0])
    return [f"{count} findings lie outside their slides: look at them."] if count else []


def _apply(connection: sqlite3.Connection, rule: _Rule, *, repair: bool) -> Iterator[str]:
    bad = f"({rule.good.format(_quoted(rule.column))}) IS NOT 1"
    count = int(connection.execute(f"SELECT count(*) FROM {rule.table} WHERE {bad}").fetchone()[0])  # noqa: S608
    if not count:
        return
    if repair and rule.instead:
        connection.execute(f"UPDATE {rule.table} SET {_quoted(rule.column)} = {rule.instead} WHERE {bad}")  # noqa: S608
    elif repair:
        if rule.table == "boxes":
            for table, owner in (("opinions", "finding_id"), ("attributes", "id"), ("outlines", "id")):
                connection.execute(f"DELETE FROM {table} WHERE {owner} IN (SELECT id FROM boxes WHERE {bad})")  # noqa: S608
        connection.execute(f"DELETE FROM {rule.table} WHERE {bad}")  # noqa: S608
    yield rule.sentence.format(count)


def _json(
    connection: sqlite3.Connection, table: str, column: str, kind: type, instead: str, sentence: str, *, repair: bool
) -> list[str]:
    bad = [
        row_id
        for row_id, stored in connection.execute(f"SELECT id, {_quoted(column)} FROM {table}")  # noqa: S608
        if not _holds(stored, kind)
    ]
    if bad and repair and instead:
        connection.executemany(
            f"UPDATE {table} SET {_quoted(column)} = ? WHERE id = ?",  # noqa: S608
            [(instead, n) for n in bad],
        )
    elif bad and repair:
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(n,) for n in bad])  # noqa: S608
    return [sentence.format(len(bad))] if bad else []


def _holds(stored: object, kind: type) -> bool:
    try:
        return isinstance(json.loads(str(stored)), kind)
    except (ValueError, RecursionError):
        return False


def _texts(connection: sqlite3.Connection, known: dict[str, set[str]], *, repair: bool) -> Iterator[str]:
    """Texts that are numbers or bytes, are no UTF-8, or hold control characters."""
    before = connection.text_factory
    connection.text_factory = bytes
    try:
        for name, table in schema.metadata.tables.items():
            for column in table.columns:
                if isinstance(column.type, String) and column.name in known[name]:
                    yield from _text_column(
                        connection, name, column.name, nullable=bool(column.nullable), repair=repair
                    )
    finally:
        connection.text_factory = before


def _text_column(
    connection: sqlite3.Connection, table: str, column: str, *, nullable: bool, repair: bool
) -> Iterator[str]:
    clean = _clean_line if column in _ONE_LINE else _clean_text
    better: list[tuple[str, int]] = []
    quoted = _quoted(column)
    sql = f"SELECT rowid, {quoted}, typeof({quoted}) = 'text' FROM {table} WHERE {quoted} IS NOT ''"  # noqa: S608
    for row_id, stored, said_text in connection.execute(sql):
        if stored is None and nullable:
            continue
        text, is_text = _decoded(stored)
        cleaned = clean(text)
        if not (is_text and said_text) or cleaned != text:
            better.append((cleaned, row_id))
    if not better:
        return
    if repair:
        for text, row_id in better:
            try:
                connection.execute(f"UPDATE {table} SET {quoted} = ? WHERE rowid = ?", (text, row_id))  # noqa: S608
            except sqlite3.IntegrityError:  # a code that another class has
                changed = f"{text} {row_id}"
                connection.execute(f"UPDATE {table} SET {quoted} = ? WHERE rowid = ?", (changed, row_id))  # noqa: S608
    yield f"{len(better)} texts in {table}.{column} are not readable text: what can be read of them is kept."


def _decoded(stored: Any) -> tuple[str, bool]:
    """A stored value as text, and whether it was text."""
    if isinstance(stored, bytes):
        try:
            return stored.decode(), True
        except UnicodeDecodeError:
            return stored.decode(errors="replace"), False
    return "" if stored is None else str(stored), False


def _clean_line(text: str) -> str:
    return text if text.isprintable() else "".join(c for c in text if c.isprintable() or ord(c) >= 160)


def _clean_text(text: str) -> str:
    return text if text.isprintable() else "".join(c for c in text if c in "\n\r\t" or ord(c) >= 32)


def _quoted(column: str) -> str:
    return f'"{column}"'
