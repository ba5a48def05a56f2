"""Numbers of groups as tables for a terminal, and as CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microscope_qc.core.numbers import rounded, short_text
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import listed, percent_text, plural
from microscope_qc.workflows.results.grouping import group_words

_NONE = "-"
_COLUMNS = ("raw", "reviewed", "corrected")


def grouped_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of grouped statistics: each group with its tables, and all slides where there are several."""
    lines = [f"{head['project']}  (counted: {head['included']})" for head in found["projects"]]
    for group in found["groups"]:
        lines += ["", *group_lines(group_words(group["group"]), group)]
    if len(found["groups"]) > 1:
        lines += ["", *group_lines("All slides", found["total"])]
    return lines


def group_lines(title: str, numbers: Mapping[str, Any]) -> Iterator[str]:
    """Tables of one group: densities in three columns, shares, what was judged, and sizes; then what is missing."""
    slides, specimens = numbers["slides"], numbers["specimens"]
    of = f" of {specimens} {plural(specimens, 'specimen')}" if specimens else ""
    area = "" if numbers["area_mm2"] is None else f", {short_text(numbers['area_mm2'], 4)} mm2"
    if numbers["area_share"] is not None:
        area += f", {percent_text(numbers['area_share'])} of the slides"
    kept = f"{numbers['kept']} {plural(numbers['kept'], 'finding')} without the rejected ones"
    yield f"{title}: {slides} {plural(slides, 'slide')}{of}{area}, {kept}"
    rows = _named_rows(numbers)
    yield from text_table(
        ["", *(head for name in _COLUMNS for head in (name, "per mm2", "95 %")), "mm2", "slides"],
        [[name, *_densities(row), _number(row["area_mm2"]), str(row["sections"])] for name, row in rows],
    )
    yield from text_table(
        ["", "share", "95 %", "judged", "rejected", "95 %", "median um", "95 %", "90 % below", "95 %", "largest"],
        [[name, *_shares(row), *_sizes(row["size_um"])] for name, row in rows if row["total"]],
    )
    for name, row in rows:
        given = [
            f"{one['reason_given']} {one['count']} ({_percent(one['value'])}, {_limits(one['interval'], percent_text)})"
            for one in row["rejections"]
        ]
        if given:
            yield f"  {name} rejected, of {row['rejected']['of']} judged: {', '.join(given)}"
    yield from _remarks(rows)


def _named_rows(numbers: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rows = [(row["code"], row) for row in numbers.get("classes", ())]
    return [*rows, *((row["name"], row) for row in numbers.get("class_groups", ())), ("all", numbers)]


def _densities(row: Mapping[str, Any]) -> Iterator[str]:
    for name in _COLUMNS:
        column = row[name]
        yield _number(column["count"])
        yield _number(column["per_mm2"])
        yield _limits(column["interval"], _number)


def _shares(row: Mapping[str, Any]) -> Iterator[str]:
    share, rejected = row["share"] or {"value": None, "interval": None}, row["rejected"]
    yield _percent(share["value"])
    yield _limits(share["interval"], percent_text)
    yield _percent(row["reviewed_share"])
    yield _percent(rejected["value"])
    yield _limits(rejected["interval"], percent_text)


def _sizes(sizes: Mapping[str, Any]) -> Iterator[str]:
    for name in ("median", "q90"):
        known = sizes[name] or {"value": None, "interval": None}
        yield _number(known["value"])
        yield _limits(known["interval"], _number)
    yield _number(sizes["largest"])


def _remarks(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Why something is not known; what is the same of several rows is said once."""
    said: dict[str, list[str]] = {}
    for name, row in rows:
        reasons = (
            (f"no density: {row['per_mm2_reason']}" if row["per_mm2_reason"] else None),
            row["spread_reason"],
            row["corrected"]["reason"] and f"corrected {row['corrected']['reason']}",
            row["size_um"]["reason"] and f"sizes: {row['size_um']['reason']}",
        )
        for reason in reasons:
            if reason and not (reason.startswith("corrected") and row["per_mm2_reason"] == row["corrected"]["reason"]):
                said.setdefault(reason, []).append(name)
    for reason, names in said.items():
        yield f"  {listed(names)}: {reason}"
    everything = rows[-1][1]
    if everything["without_area"]:
        yield f"  not in the density of all classes: {listed(everything['without_area'])}"
    if words := enough_words(everything):
        yield f"  {words}"
    if everything["corrected"]["count"] is not None:
        yield f"  {missed_words(everything['corrected'])}"


def enough_words(row: Mapping[str, Any]) -> str:
    """Say how much is enough for a density, "" where that is not known: sections first, then findings and area."""
    known = row["enough"]
    if known is None:
        return ""
    unit, there = row["spread_between"], row["spread_n"]
    sections = f"{known['sections']} {unit} like these ({there} there)" if known["sections"] else f"two {unit} or more"
    return (
        f"an upper limit {percent_text(known['precision'])} above the density needs {sections}, {known['findings']} "
        f"findings on {short_text(known['area_mm2'], 3)} mm2; one is seen on {short_text(known['to_see_mm2'], 3)} mm2 "
        "(95 %)"
    )


def missed_words(corrected: Mapping[str, Any]) -> str:
    """Say whether what models missed is in the corrected numbers, and by which recall, or why not."""
    known = corrected["recall"]
    if known is None:
        return f"corrected for what is false, not for what was missed: {corrected['recall_reason']}"
    low, high = map(percent_text, known["interval"])
    return (
        f"corrected for what is false and for what was missed: models found {percent_text(known['value'])} ({low} to "
        f"{high}) of {known['of']} defects in {known['areas']} {plural(known['areas'], 'area')} drawn at random"
    )


def _number(value: float | None) -> str:
    return _NONE if value is None else short_text(float(value), 3) if isinstance(value, float) else str(value)


def _percent(value: float | None) -> str:
    return _NONE if value is None else percent_text(value)


def _limits(interval: Sequence[float] | None, text: Any) -> str:
    return _NONE if interval is None else " to ".join(text(end) for end in interval)


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table: the first column to the left, all others to the right."""
    wide = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [row[0].ljust(wide[0]), *(cell.rjust(width) for cell, width in zip(row[1:], wide[1:], strict=True))]
        yield "  " + "  ".join(cells).rstrip()


CSV_HEAD = (
    "slides", "rows", "class", "name", "unreviewed", "confirmed", "rejected", "raw", "raw_per_mm2",
    "raw_per_mm2_low", "raw_per_mm2_high", "reviewed", "reviewed_per_mm2", "reviewed_per_mm2_low",
    "reviewed_per_mm2_high", "corrected", "corrected_low", "corrected_high", "corrected_per_mm2",
    "corrected_per_mm2_low", "corrected_per_mm2_high", "corrected_reason", "recall", "recall_low", "recall_high",
    "recall_of", "recall_reason", "in_area", "outside_area", "area_mm2", "area_share", "density_slides",
    "density_reason", "spread", "spread_between", "spread_n", "spread_reason", "share", "share_low", "share_high",
    "judged", "rejected_share", "rejected_share_low", "rejected_share_high", "sizes", "median_um", "median_um_low",
    "median_um_high", "q90_um", "q90_um_low", "q90_um_high", "largest_um", "size_reason",
)  # fmt: skip
"""Columns of a group's rows, after those of what it is grouped by."""


def group_records(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return one record for each group and class, class group, and all classes; what is not known is None.

    Its keys are the names of the fields that slides are grouped by ("field name" where a column has that name), then
    :data:`CSV_HEAD`.
    """
    for group in found["groups"]:
        values = {f"field {key}" if key in CSV_HEAD else key: value for key, value in group["group"].items()}
        for kind, key in (("class", "classes"), ("class group", "class_groups"), ("all", "")):
            for row in group.get(key, ()) if key else (group,):
                yield values | dict(zip(CSV_HEAD, _cells(group["slides"], kind, row), strict=True))


def _cells(slides: int, kind: str, row: Mapping[str, Any]) -> Iterator[Any]:
    none: tuple[None, None] = (None, None)
    raw, reviewed, corrected = (row[name] for name in _COLUMNS)
    share, rejected, sizes = row["share"] or {}, row["rejected"], row["size_um"]
    yield from (slides, kind, row.get("code", ""), row.get("name", ""), *row["states"].values())
    for column in (raw, reviewed):
        yield from (column["count"], column["per_mm2"], *(column["interval"] or none))
    yield from (corrected["count"], *(corrected["count_interval"] or none))
    yield from (corrected["per_mm2"], *(corrected["interval"] or none), corrected["reason"])
    recall = corrected["recall"] or {}
    yield from (recall.get("value"), *(recall.get("interval") or none), recall.get("of"), corrected["recall_reason"])
    yield from (row[name] for name in ("in_area", "outside_area", "area_mm2", "area_share", "sections"))
    yield from (row[name] for name in ("per_mm2_reason", "spread", "spread_between", "spread_n", "spread_reason"))
    yield from (share.get("value"), *(share.get("interval") or none))
    yield from (rejected["of"], rejected["value"], *(rejected["interval"] or none), sizes["n"])
    for name in ("median", "q90"):
        known = sizes[name] or {}
        yield from (known.get("value"), *(known.get("interval") or none))
    yield from (sizes["largest"], sizes["reason"])


def write_grouped_table(path: Path | str, found: Mapping[str, Any]) -> Path:
    """Write one line for each group and class, class group, and all classes, as XLSX or CSV.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    records = list(group_records(found))
    lines = [[rounded(cell, 0) if isinstance(cell, float) else cell for cell in record.values()] for record in records]
    return write_sheet(path, list(records[0]) if records else CSV_HEAD, lines, title="Statistics")
