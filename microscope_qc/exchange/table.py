"""Boxes as a CSV table: one line per box, edges in full-resolution pixels, sizes also in um."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import escape_cell, unescape_cell
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.plugins import Match
from microscope_qc.core.wording import plural
from microscope_qc.exchange.document import Document, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.loading import files_of, read_table, size_of
from microscope_qc.exchange.pictures import folder_of
from microscope_qc.exchange.shapes import Sides, attributes_from, attributes_text, extension, from_extension

COLUMNS = (
    "slide", "slide_width_px", "slide_height_px", "defect_id", "class", "class_name",
    "x0_px", "y0_px", "x1_px", "y1_px", "width_um", "height_um", "confidence", "state", "reason", "note", "chosen",
    "attributes", "outline",
)  # fmt: skip
NEEDED = ("class", "x0_px", "y0_px", "x1_px", "y1_px")


def write(path: Path, document: Document) -> list[Path]:
    """Write the table (UTF-8, comma, point); text that looks like a formula gets an apostrophe before it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
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
            writer.writerow(row)
    atomic_write(path, out.getvalue().encode("utf-8", "replace"))
    return [path]


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read tables with at least the columns class, x0_px, y0_px, x1_px, y1_px."""
    document = Document()
    for file in files_of(path, ".csv"):
        rows = read_table(file)
        missing = [name for name in NEEDED if rows and name not in rows[0]]
        if missing:
            raise ExchangeError(
                f"{file.name} lacks the {plural(len(missing), 'column')} {', '.join(missing)}.",
                hint=f"A table of boxes has the columns {', '.join(NEEDED)}, and slide for several slides.",
            )
        for row in rows:
            image = document.image(
                unescape_cell(row.get("slide", "")) or file.stem,
                size_of(row.get("slide_width_px"), row.get("slide_height_px")),
                folder=folder_of(file, path),
            )
            image.named = bool(row.get("slide"))
            number = row.get("defect_id", "")
            sides: Sides = (row["y0_px"], row["x0_px"], row["y1_px"], row["x1_px"])
            sides, outline = from_extension(row.get("outline"), sides)
            document.take(
                image,
                unescape_cell(row["class"]),
                sides,
                score=row.get("confidence") or None,
                state=state_of(row.get("state")),
                reason=unescape_cell(row.get("reason", "")),
                note=unescape_cell(row.get("note", "")),
                chosen=row.get("chosen", "").strip().lower() in ("yes", "true", "1"),
                id=int(number) if number.isdecimal() and len(number) < 18 else 0,
                attributes=attributes_from(unescape_cell(row.get("attributes", ""))),
                outline=outline,
            )
    return document


TABLE = AnnotationFormat("csv", "CSV table", ".csv", read, write, lambda file: Match.POSSIBLE)
