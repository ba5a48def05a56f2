"""Statistics as a table for a terminal, and as CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.numbers import rounded, short_text
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import percent_text, plural
from microscope_qc.workflows.detection.looked_at import SHARES, looked_words
from microscope_qc.workflows.results.grouping_text import group_lines

_DENSITY_HEADS = ("unrev.", "conf.", "rej.", "in area", "outside", "per mm2", "95 % interval", "area mm2", "of slide")


def statistics_lines(found: dict[str, Any]) -> list[str]:
    """Statistics of one project or of several; every density with its area and where that comes from."""
    heads = found.get("projects") or [found]
    lines = [f"{head['project']}  (counted: {head['included']})" for head in heads]
    for slide in found["slides"]:
        lines += ["", *_slide_lines(slide)]
    if len(found["slides"]) > 1:
        lines += ["", *group_lines("All slides", found["total"])]
    return lines


def _slide_lines(slide: dict[str, Any]) -> Iterator[str]:
    name = f"{slide['project']}, {slide['slide']}" if "project" in slide else slide["slide"]
    size = (
        "pixel size not known"
        if slide["slide_area_mm2"] is None
        else f"slide {short_text(slide['slide_area_mm2'], 4)} mm2"
    )
    reviewed = "" if slide["reviewed_share"] is None else f", {percent_text(slide['reviewed_share'])} reviewed"
    count = f"{slide['kept']} {plural(slide['kept'], 'finding')} without the rejected ones"
    yield f"{name}: {count}, {size}{reviewed}"
    rows = [*slide["classes"], {**slide, "code": "all"}]
    yield from _table(
        ["class", *_DENSITY_HEADS, "source"],
        [[row["code"], *_density_cells(row), row["area_source"] or row["per_mm2_reason"] or ""] for row in rows],
    )
    if slide["per_mm2_reason"] and slide["area_source"]:
        yield f"  no density of all classes: {slide['per_mm2_reason']}"
    yield f"  {looked_words(slide['looked_at'])}"
    yield from (f"  {warning}" for warning in slide["warnings"])
    if slide["kept"]:
        columns = list(STATISTICS.items())
        yield from _table(
            ["class", *(f"{known.heading.lower()} {known.unit}".strip() for _, known in columns)],
            [
                [row["code"], *(known.text(row["statistics"].get(n, {}).get("value")) for n, known in columns)]
                for row in rows
                if row["kept"]
            ],
        )


def _density_cells(row: dict[str, Any]) -> list[str]:
    cells = [str(row["states"][state.word]) for state in ReviewState]
    cells += [str(row["in_area"]), str(row["outside_area"])]
    known = row["per_mm2"] is not None
    cells.append(short_text(row["per_mm2"], 3) if known else "-")
    cells.append(" to ".join(short_text(end, 3) for end in row["per_mm2_interval"]) if known else "-")
    cells.append(short_text(row["area_mm2"], 3) if row["area_mm2"] else "-")
    return [*cells, percent_text(row["area_share"])]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table: the first column to the left, numbers to the right, a last column of words to the left."""
    words = heads[-1] == "source"
    wide = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, wide, strict=True)]
        cells[0] = row[0].ljust(wide[0])
        if words:
            cells[-1] = row[-1]
        yield "  " + "  ".join(cells).rstrip()


_CSV_HEAD = (
    "project", "slide", "class", "name", "unreviewed", "confirmed", "rejected", "kept", "in_area", "outside_area",
    "area_mm2", "area_share", "area_source", "per_mm2", "per_mm2_low", "per_mm2_high", "per_mm2_reason", "slides",
    *(f"{name}_share" for name in SHARES),
)  # fmt: skip


def write_statistics_table(path: Path | str, found: dict[str, Any]) -> Path:
    """Write one line for each slide and class, for all classes of a slide, and for all slides together.

    The table is XLSX where the name says so, otherwise CSV; what is not known is an empty cell.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    names = list(STATISTICS)
    lines = []
    for project, slide, row in _csv_rows(found):
        low, high = row["per_mm2_interval"] or (None, None)
        numbers = row.get("statistics", {})
        cells = [
            project, slide, row["code"], row.get("name", ""), *row["states"].values(), row["kept"], row["in_area"],
            row["outside_area"], row["area_mm2"], row.get("area_share"), row.get("area_source"), row["per_mm2"],
            low, high, row["per_mm2_reason"], row.get("sections"),
            *(row.get("looked_at", {}).get(name) for name in SHARES),
            *(numbers.get(n, {}).get("value") for n in names),
        ]  # fmt: skip
        lines.append([rounded(cell, 0) if isinstance(cell, float) else cell for cell in cells])
    return write_sheet(path, [*_CSV_HEAD, *names], lines, title="Statistics")


def _csv_rows(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for slide in found["slides"]:
        project = slide.get("project") or found["project"]
        for row in (*slide["classes"], {**slide, "code": "all", "name": ""}):
            yield project, slide["slide"], row
    total = found["total"]
    for row in (*total["classes"], {**total, "code": "all", "name": ""}):
        yield "", "all slides", row
