"""EDX measurements as JSON values and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.composition import SHORT, of_unit
from microscope_qc.core.sheets import write_sheet
from microscope_qc.project import EdxMeasurement, Project

COLUMNS = (
    "measurement", "label", "kind", "defect_id", "class", "slide", "matched_by", "stage_x_mm", "stage_y_mm", "kv",
    "source", "row", "import", "computed", "note",
)  # fmt: skip


def compositions(project: Project, finding_id: int) -> list[dict[str, Any]]:
    """Measurements of a finding as JSON values."""
    return [measurement_json(project, known) for known in project.measurements.of_finding(finding_id)]


def measurement_json(project: Project, known: EdxMeasurement) -> dict[str, Any]:
    """A measurement as JSON values; ``computed`` is the unit that was computed from the other one, "" for none."""
    link = project.measurements.links.get(known.id)
    at, wt = of_unit(known.amounts, "at"), of_unit(known.amounts, "wt")
    return {
        "id": known.id,
        "label": known.label,
        "kind": known.kind,
        "finding": None if link is None else link.finding_id,
        "matched_by": None if link is None else link.matched_by,
        "at_percent": {symbol: round(amount.percent, 4) for symbol, amount in at.items()},
        "wt_percent": {symbol: round(amount.percent, 4) for symbol, amount in wt.items()},
        "at_sigma": {symbol: round(a.sigma, 4) for symbol, a in at.items() if a.sigma is not None},
        "wt_sigma": {symbol: round(a.sigma, 4) for symbol, a in wt.items() if a.sigma is not None},
        "computed": next((amount.unit for amount in known.amounts if not amount.measured), ""),
        "stage_mm": None if known.stage_mm is None else list(known.stage_mm),
        "kv": known.kv,
        "spectrum": known.id in project.measurements.spectra,
        "source": known.source,
        "row": known.row,
        "import": known.import_id,
        "note": known.note,
    }


def write_measurements(project: Project, path: Path | str) -> Path:
    """Write the table of measurements as CSV or XLSX.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    return write_sheet(path, *measurement_table(project), title="Measurements")


def measurement_table(project: Project) -> tuple[list[str], list[list[str | float | None]]]:
    """Header and lines of a table of every measurement, also those of no finding, with a column for each element.

    Percentages are as they were measured or computed, their errors are one standard deviation.
    """
    known = list(project.measurements)
    units = [(a.element, a.unit) for unit in SHORT for m in known for a in m.amounts if a.unit == unit]
    codes = {cls.id: cls.code for cls in project.classes}
    names = {slide.id: slide.name for slide in project.slides}
    columns = list(dict.fromkeys(units))
    errors = {(a.element, a.unit) for m in known for a in m.amounts if a.sigma is not None}
    head = [
        name
        for element, unit in columns
        for name in (f"{element} {SHORT[unit]}", *([f"{element} {SHORT[unit]} sigma"] * ((element, unit) in errors)))
    ]
    lines: list[list[str | float | None]] = []
    for one in known:
        said, link = measurement_json(project, one), project.measurements.links.get(one.id)
        row = None if link is None else project.boxes.table(link.slide_id).get([link.finding_id])[0]
        x_mm, y_mm = one.stage_mm or (None, None)
        line: list[str | float | None] = [
            one.id, one.label, one.kind, said["finding"], "" if row is None else codes.get(int(row["class_id"]), "?"),
            "" if link is None else names[link.slide_id], said["matched_by"], x_mm, y_mm, one.kv,
            one.source, one.row, one.import_id, said["computed"], one.note,
        ]  # fmt: skip
        amounts = {(a.element, a.unit): a for a in one.amounts}
        for column in columns:
            amount = amounts.get(column)
            line.append(None if amount is None else round(amount.percent, 4))
            if column in errors:
                line.append(None if amount is None or amount.sigma is None else round(amount.sigma, 4))
        lines.append(line)
    return [*COLUMNS, *head], lines
