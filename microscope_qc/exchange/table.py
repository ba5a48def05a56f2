"""Boxes as a CSV table: one line per box, edges in full-resolution pixels, sizes also in um."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import escape_cell
from microscope_qc.core.files import atomic_write
from microscope_qc.core.numbers import grouping_signs, number_in
from microscope_qc.core.plugins import Match
from microscope_qc.core.sheets import read_records
from microscope_qc.exchange.document import Document, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.loading import LARGEST_BYTES, LARGEST_ROWS, read_files, size_of
from microscope_qc.exchange.shapes import attributes_from, attributes_text, extension, from_extension

COLUMNS = (
    "slide", "slide_width_px", "slide_height_px", "defect_id", "class", "class_name",
    "x0_px", "y0_px", "x1_px", "y1_px", "width_um", "height_um", "confidence", "state", "reason", "note", "chosen",
    "attributes", "outline",
)  # fmt: skip
NUMBERS = ("x0_px", "y0_px", "x1_px", "y1_px")
NEEDED = ("class", *NUMBERS)


def write(path: Path, document: Document) -> list[Path]:
    """Write the table (UTF-8, comma, point); text that looks like a formula gets an apostrophe before it.

    What EDX measured stands in columns after the others, ``Ni at%``.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    measured = list(dict.fromkeys(name for image in document.images for box in image.boxes for name in box.measured))
    writer.writerow([*COLUMNS, *measured])
    names = {cls.code: cls.name for cls in document.classes}
    for image in document.images:
        height, width = image.shape_px or ("", "")
        for box in image.boxes:
            um_y, um_x = image.pixel_size_um or (None, None)
            row: list[Any] = [
                escape_cell(image.path), width, height, box.id, escape_cell(box.class_code),
                escape_cell(names.get(box.class_code, "")),
                *(plain_number(side) for side in (box.x0, box.y0, box.x1, box.y1)),
                "" if um_x is None else round((box.x1 - box.x0) * um_x, 4),
                "" if um_y is None else round((box.y1 - box.y0) * um_y, 4),
                "" if box.score is None else box.score,
                box.state.word, escape_cell(box.reason), escape_cell(box.note), "yes" if box.chosen else "no",
                escape_cell(attributes_text(box.attributes)), "" if box.outline is None else extension(box),
            ]  # fmt: skip
            amounts = box.measured
            writer.writerow([*row, *(amounts.get(name, "") for name in measured)])
    atomic_write(path, out.getvalue().encode("utf-8", "replace"))
    return [path]


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read tables with at least the columns class, x0_px, y0_px, x1_px, y1_px, as any program writes CSV."""
    return read_files(path, (".csv",), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    rows = read_records(file, needed=NEEDED, what="table of boxes", largest_bytes=LARGEST_BYTES, most_rows=LARGEST_ROWS)
    grouped = grouping_signs(row.get(name) for row in rows for name in NUMBERS)
    for row in rows:
        document.at(file.name, "line", row.line)
        image = document.image(
            row.get("slide") or file.stem,
            size_of(row.get("slide_width_px"), row.get("slide_height_px")),
            folder=folder,
        )
        image.named = bool(row.get("slide"))
        number = row.get("defect_id")
        y0, x0, y1, x1 = (number_in(row.get(name), grouped=grouped) for name in ("y0_px", "x0_px", "y1_px", "x1_px"))
        sides, outline = from_extension(row.get("outline"), (y0, x0, y1, x1))
        score = row.get("confidence")
        document.take(
            image,
            row.get("class"),
            sides,
            score=number_in(score, grouped=grouped) if score else None,
            state=state_of(row.get("state")),
            reason=row.get("reason"),
            note=row.get("note"),
            chosen=row.get("chosen").strip().lower() in ("yes", "true", "1"),
            id=int(number) if number.isdecimal() and len(number) < 18 else 0,
            attributes=attributes_from(row.get("attributes")),
            outline=outline,
        )


TABLE = AnnotationFormat("csv", "CSV table", ".csv", read, write, lambda file: Match.POSSIBLE)
