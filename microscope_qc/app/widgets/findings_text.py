"""Findings as text for a spreadsheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import SlideRecord


def as_text(session: Session, ids: np.ndarray) -> str:
    """Findings as tab-separated lines with a header line, for a spreadsheet.

    Of several slides with the name of the slide first, and with sizes in um only where all of them have a pixel size.
    """
    rows = session.rows_of(ids)
    slides = _slides_of(session, rows["id"])
    several = session.scoped.several
    sizes = [None if slide is None else slide.pixel_size_um for slide in slides]
    known = all(size is not None for size in sizes) and (bool(sizes) or session.pixel_size_um is not None)
    unit = "um" if known else "px"
    heads = ("number", "class", "name", "confidence", f"width_{unit}", f"height_{unit}", "x_px", "y_px", "state",
             "reason", "note")  # fmt: skip
    lines = ["\t".join(("slide", *heads) if several else heads)]
    for row, slide, size in zip(rows, slides, sizes, strict=True):
        scale = size if size is not None and known else (1.0, 1.0)
        item = session.class_of(int(row["class_id"]))
        confidence = "" if math.isnan(row["confidence"]) else f"{row['confidence']:.3f}"
        cells = (
            str(int(row["id"])), item.code, item.name, confidence,
            f"{(row['x1'] - row['x0']) * scale[1]:.4g}", f"{(row['y1'] - row['y0']) * scale[0]:.4g}",
            f"{(row['x0'] + row['x1']) / 2:.1f}", f"{(row['y0'] + row['y1']) / 2:.1f}",
            ("unreviewed", "confirmed", "rejected")[int(row["state"])], str(row["reason"]), str(row["note"]),
        )  # fmt: skip
        named = ("" if slide is None else slide.name, *cells) if several else cells
        lines.append("\t".join(" ".join(_harmless(cell).split()) for cell in named))
    return "\n".join(lines) + "\n"


def _slides_of(session: Session, ids: np.ndarray) -> list[SlideRecord | None]:
    """The slide of each finding."""
    if not session.scoped.several:
        return [session.slide] * len(ids)
    return [session.slide_of(number) for number in ids.tolist()]


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not interpret as a formula."""
    text = cell.strip()
    number = text.replace(".", "", 1).lstrip("-").replace("e", "").isdigit()
    return f"'{text}" if text[:1] in "=+-@" and not number else text
