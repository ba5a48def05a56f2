"""Stage coordinates as CSV, XLSX and JSON sidecar, for any instrument and to be read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from microscope_qc import __version__
from microscope_qc.core.cells import escape_cell, printable
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.numbers import rounded
from microscope_qc.correlation.stage_format import StageFormat, unit_of_its_own
from microscope_qc.correlation.targets import Target, TargetList

NOT_ESTIMABLE = "not estimable (no check possible)"
PER_MM = {"mm": 1.0, "um": 1000.0}


def columns(unit: str = "mm") -> list[str]:
    """Column names; those of the stage carry its unit."""
    stage = [f"stage_{axis}_{unit}" for axis in "xyz"]
    rest = ["r95_um", "box_w_um", "box_h_um", "px_x", "px_y", "specimen_x_um", "specimen_y_um"]
    return ["defect_id", "class", *stage, *rest, "registration_id", "outside_marks"]


def values(target: Target, targets: TargetList, unit: str = "mm") -> list[Any]:
    """Values of one row in the order of :func:`columns`; None where a value is not known."""
    factor = PER_MM[unit]
    digits = 6 if unit == "mm" else 3  # a nanometre
    z = targets.stage_z_mm
    return [
        target.finding_id,
        target.class_code,
        round(target.stage_x_mm * factor, digits),
        round(target.stage_y_mm * factor, digits),
        None if z is None else round(z * factor, digits),
        None if target.r95_um is None else rounded(target.r95_um, 2, digits=3),
        rounded(target.width_um, 3),
        rounded(target.height_um, 3),
        round(target.x_px, 3),
        round(target.y_px, 3),
        rounded(target.specimen_x_um, 3),
        rounded(target.specimen_y_um, 3),
        targets.registration_name,
        "yes" if target.outside_marks else "no",
    ]


def write_csv(path: Path | str, targets: TargetList, *, unit: str = "mm") -> Path:
    """Write a CSV (UTF-8, decimal point, comma)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns(unit))
    for target in targets.targets:
        cells = values(target, targets, unit)
        writer.writerow(["" if c is None else escape_cell(c) if isinstance(c, str) else c for c in cells])
    atomic_write(path, out.getvalue())
    return Path(path)


def write_xlsx(path: Path | str, targets: TargetList, *, unit: str = "mm") -> Path:
    """Write a workbook: a sheet of coordinates and a sheet about the alignment."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Coordinates"
    names = columns(unit)
    lines = [values(target, targets, unit) for target in targets.targets]
    digits = "0.0000" if unit == "mm" else "0.0"
    formats = {f"stage_{axis}_{unit}": digits for axis in "xyz"}
    formats |= dict.fromkeys(
        ("r95_um", "box_w_um", "box_h_um", "px_x", "px_y", "specimen_x_um", "specimen_y_um"), "0.0"
    )
    _fill(sheet, names, lines, formats)
    about = book.create_sheet("Alignment")
    _fill(about, ["what", "value"], [[key, value] for key, value in alignment_facts(targets)], {})
    marks = book.create_sheet("Marks")
    registration = targets.registration.to_dict()
    mark_names = list(registration["marks"][0])
    mark_formats = {name: "0.0000" if name.endswith("_mm") else "0.0" for name in mark_names if name != "name"}
    _fill(marks, mark_names, [[mark[name] for name in mark_names] for mark in registration["marks"]], mark_formats)
    with atomic_path(path) as temporary:
        book.save(temporary)
    return Path(path)


def _fill(sheet: Any, names: list[str], lines: list[list[Any]], formats: dict[str, str]) -> None:
    """Header in bold and frozen, columns as wide as their content, text kept text."""
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sheet.append(names)
    for line in lines:
        sheet.append([escape_cell(printable(cell)) if isinstance(cell, str) else cell for cell in line])
    for number, name in enumerate(names, start=1):
        head = sheet.cell(1, number)
        head.font = Font(bold=True)
        head.fill = PatternFill("solid", start_color="FFE7EDF3")
        head.alignment = Alignment(vertical="center")
        longest = max([len(name), *(len(str(line[number - 1] or "")) for line in lines)])
        sheet.column_dimensions[get_column_letter(number)].width = min(max(longest + 3, 9), 60)
        for row in range(2, len(lines) + 2):
            cell = sheet.cell(row, number)
            if isinstance(cell.value, str):
                cell.data_type = "s"
            elif name in formats:
                cell.number_format = formats[name]
    sheet.freeze_panes = "A2"
    if lines:
        sheet.auto_filter.ref = sheet.dimensions
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def alignment_facts(targets: TargetList) -> list[tuple[str, Any]]:
    """What a user needs to judge the coordinates, as pairs of title and value."""
    fitted = targets.registration
    facts: list[tuple[str, Any]] = [
        ("Slide", targets.slide_name),
        ("Alignment", targets.registration_name),
        ("Model", f"{fitted.model}, {fitted.n} marks, {fitted.degrees_of_freedom} degrees of freedom"),
        ("Orientation", fitted.handedness),
        ("Rotation", f"{fitted.rotation_deg:.2f} deg"),
        ("Scale against the pixel size", f"{(fitted.observed_scale - 1) * 100:+.2f} %"),
        ("Shear", f"{fitted.shear_deg:.3f} deg"),
        (
            "Error of locating a mark (1 sigma)",
            fitted.sigma_text or NOT_ESTIMABLE,
        ),
        ("Findings outside the marks", sum(target.outside_marks for target in targets.targets)),
    ]
    return facts + [("Note", warning) for warning in fitted.warnings]


def write_sidecar(path: Path | str, targets: TargetList) -> Path:
    """Write everything needed to repeat and judge the export as JSON."""
    root = {
        "software": f"microscope-qc {__version__}",
        "slide": {"name": targets.slide_name, "fingerprint": targets.slide_fingerprint},
        "registration_id": targets.registration_name,
        "units": {"stage": "mm", "specimen": "um", "slide": "px", "r95": "um"},
        "registration": targets.registration.to_dict(),
        "defects": [
            dict(zip(columns(), values(target, targets), strict=True)) | {"outside_marks": target.outside_marks}
            for target in targets.targets
        ],
    }
    atomic_write(path, json.dumps(root, ensure_ascii=False, allow_nan=False, indent=1))
    return Path(path)


CSV = StageFormat(
    "csv", "CSV table", ".csv", lambda path, targets, unit: write_csv(path, targets, unit=unit), takes_unit=True
)
XLSX = StageFormat(
    "xlsx", "Excel table", ".xlsx", lambda path, targets, unit: write_xlsx(path, targets, unit=unit), takes_unit=True
)
SIDECAR = StageFormat("json", "JSON with the alignment", ".json", unit_of_its_own(write_sidecar))
