"""Compositions that used to be a setting of the project: they become measurements with links."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from microscope_qc.core.composition import Amount, amounts_to_json, in_both_units
from microscope_qc.core.elements import ATOMIC_WEIGHT

_MEASUREMENT = (
    'INSERT INTO measurements (id, import_id, source, file_hash, "row", label, kind, stage_x_mm, stage_y_mm, amounts, '
    "note) VALUES (?, ?, ?, '', 0, ?, 'point', ?, ?, ?, '')"
)
_LINK = "INSERT INTO measurement_links (slide_id, measurement_id, finding_id, matched_by) VALUES (?, ?, ?, ?)"
_LARGEST = 1e15


def compositions_to_measurements(connection: Connection) -> None:
    """Take the compositions over, those of findings that are gone without a link."""
    stored = connection.exec_driver_sql("SELECT value FROM settings WHERE key = 'edx'").scalar()
    imports: dict[str, int] = {}
    for number, (finding_id, entry) in enumerate(_entries(stored), start=1):
        source = str(entry.get("source", ""))
        x_mm, y_mm = _pair(entry.get("stage_mm"))
        values = (number, imports.setdefault(source, number), source, str(entry.get("label", "")), x_mm, y_mm)
        connection.exec_driver_sql(_MEASUREMENT, (*values, amounts_to_json(in_both_units(_amounts(entry)))))
        # deleted findings have the flag 8; one without flags, state and opinions is only a place
        slide_id = connection.exec_driver_sql(
            "SELECT slide_id FROM boxes WHERE id = ? AND flags & 8 = 0 AND "
            "(flags <> 0 OR state <> 0 OR id IN (SELECT finding_id FROM opinions))",
            (finding_id,),
        ).scalar()
        if slide_id is not None:
            matched_by = entry["matched_by"] if entry.get("matched_by") in ("label", "position") else "user"
            connection.exec_driver_sql(_LINK, (slide_id, number, finding_id, matched_by))
    connection.exec_driver_sql("DELETE FROM settings WHERE key = 'edx'")


def _entries(stored: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The finding and what is stored of each composition; what cannot be read is left out."""
    try:
        known = json.loads(stored or "{}")
    except ValueError:
        return
    for key, entries in known.items() if isinstance(known, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and str(key).isdecimal() and int(key) < 2**63:
                yield int(key), entry


def _amounts(entry: dict[str, Any]) -> list[Amount]:
    # weight % without a word about computing: both were in the table
    measured = {"at": not entry.get("computed_from_wt"), "wt": True}
    return [
        Amount(symbol, unit, float(percent), None, measured[unit])
        for unit, name in (("at", "at_percent"), ("wt", "wt_percent"))
        if isinstance(found := entry.get(name), dict)
        for symbol, percent in found.items()
        if symbol in ATOMIC_WEIGHT and _is_number(percent)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST


def _pair(value: Any) -> tuple[float | None, float | None]:
    good = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return (float(value[0]), float(value[1])) if good else (None, None)
