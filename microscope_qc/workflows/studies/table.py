"""The result of a study: a table whose figures have intervals, with charts; as HTML, CSV or XLSX, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import UNKNOWN, count_text, significant_text
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.reports.charts import COLOURS, share_text
from microscope_qc.reports.marked import drawn
from microscope_qc.reports.page import Page, Section, write_page
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape

_OF_TRUTH = ("recall", "f1", "map50", "map50_11", "map", "ap50")


class Kind(StrEnum):
    """How the numbers of a column are written."""

    TEXT = "text"
    SHARE = "share"
    """From 0 to 1, with an interval where one is known."""
    COUNT = "count"
    NUMBER = "number"
    RATE = "rate"
    """Of any size, with an exponent where it is very small."""


@dataclass(frozen=True, slots=True)
class StudyColumn:
    """A column: the key of its values in a row, its heading, and what they are."""

    key: str
    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class StudyTable:
    """What a study has found.

    Attributes
    ----------
    rows
        Values by the key of the column, None for what is not known. The interval of ``key``, [low, high], is in
        ``key_interval``: None where there is too little to estimate one.
    notes
        What a user should know: what was measured on, which hardware, what was left out.
    charts
        Below the table.
    """

    title: str
    subtitle: str
    columns: Sequence[StudyColumn]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    charts: Sequence[Plot] = ()

    @property
    def head(self) -> list[str]:
        """Headings."""
        return [column.title for column in self.columns]

    def cells(self) -> list[list[str]]:
        """The rows as text."""
        return [[_text(row, column) for column in self.columns] for row in self.rows]

    def document(self) -> dict[str, Any]:
        """Everything, as values that JSON can store."""
        return {
            "title": self.title, "subtitle": self.subtitle,
            "columns": [{"key": known.key, "title": known.title, "kind": str(known.kind)} for known in self.columns],
            "rows": [dict(row) for row in self.rows], "notes": list(self.notes),
            "charts": [chart.document() for chart in self.charts],
        }  # fmt: skip

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> StudyTable:
        """The table of :meth:`document`.

        Raises
        ------
        ModelError
            When it is not one.
        """
        try:
            columns = [
                StudyColumn(str(one["key"]), str(one["title"]), Kind(one["kind"])) for one in document["columns"]
            ]
            rows = [dict(row) for row in document["rows"]]
            notes = [str(note) for note in document["notes"]]
            charts = [Plot.of_document(chart) for chart in document.get("charts", ())]
            table = cls(str(document["title"]), str(document["subtitle"]), columns, rows, notes, charts)
            table.cells()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ModelError("The stored table is damaged.", hint="Make it again.") from error
        return table

    def write(self, path: Path | str) -> Path:
        """Write it as its name says: .html, .json, .xlsx, else CSV.

        Raises
        ------
        WriteError
            When the file cannot be written.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".html" | ".htm":
                return self._write_page(path)
            case ".json":
                atomic_write(path, json.dumps(self.document(), ensure_ascii=False, indent=1) + "\n")
                return path
        return self._write_sheet(path)

    def _write_page(self, path: Path) -> Path:
        sections = [Section("Figures", self.notes, self.head, self.cells())]
        sections += [Section("Charts", charts=[drawn(chart) for chart in self.charts])] if self.charts else []
        return write_page(path, Page(self.title, self.subtitle, sections))

    def _write_sheet(self, path: Path) -> Path:
        head: list[str] = []
        for column in self.columns:
            head += (
                [column.title, f"{column.title}, low", f"{column.title}, high"]
                if _has_sides(column)
                else [column.title]
            )
        lines = []
        for row in self.rows:
            line: list[str | float | None] = []
            for column in self.columns:
                value = row.get(column.key)
                line.append(value if value is None or isinstance(value, int | float) else str(value))
                if _has_sides(column):
                    line += row.get(f"{column.key}_interval") or (None, None)
            lines.append(line)
        return write_sheet(path, head, lines, title="Study")


def read_table(path: Path) -> StudyTable | None:
    """The table in a JSON file; None where there is none that can be read."""
    try:
        return StudyTable.of_document(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ModelError):
        return None


def line_of(name: str, rows: Sequence[Mapping[str, Any]], x: str, y: str, *, number: int = 0) -> Series:
    """A line through values of rows, with their intervals; ``number`` of the line says its colour."""
    marks = []
    known = [row for row in rows if row.get(y) is not None and math.isfinite(row[y])]
    for row in sorted(known, key=lambda row: float(row[x])):
        at, value, sides = f"{row[x]:g}", float(row[y]), row.get(f"{y}_interval")
        interval = None if sides is None else (float(sides[0]), float(sides[1]))
        said = significant_text(value) if interval is None else share_text(value, {y: interval}, y)
        marks.append(PlotMark(at, float(row[x]), value, interval=interval, tip=f"{name}, {at}: {said}"))
    return Series(name, COLOURS[number % len(COLOURS)], marks)


def lines_plot(
    name: str, title: str, x: str, y: str, lines: Sequence[Series], *, log_x: bool = False, pointer: float | None = None
) -> list[Plot]:
    """How something depends on something else, as the charts of a table: none without a point."""
    lines = [line for line in lines if line.marks]
    if not lines:
        return []
    return [Plot(name, title, Shape.LINES, x, y, lines, of_findings=False, log_x=log_x, pointer=pointer)]


def figures_of(report: Report, names: Sequence[str], *, code: str | None = None) -> dict[str, Any]:
    """Figures of a report, or of one of its classes, as values of a row: with their intervals, None if not known."""
    figures = report.figures if code is None else report.per_class.get(code, {})
    intervals = report.intervals if code is None else report.class_intervals.get(code, {})
    found: dict[str, Any] = {}
    for name in names:
        if name not in figures:
            continue
        value: float | None = float(figures[name])
        nothing = figures.get("truth") == 0 if name in _OF_TRUTH else name == "precision" and figures.get("finds") == 0
        if nothing or value is None or not math.isfinite(value):
            value = None
        found[name] = None if value is None else round(value, 4)
        if value is not None and name in intervals:
            sides = intervals[name]
            found[f"{name}_interval"] = None if sides is None else [round(side, 4) for side in sides]
    return found


def _has_sides(column: StudyColumn) -> bool:
    return column.kind is Kind.SHARE


def _text(row: Mapping[str, Any], column: StudyColumn) -> str:
    value = row.get(column.key)
    if value is None:
        return UNKNOWN
    match column.kind:
        case Kind.SHARE:
            side = f"{column.key}_interval"
            return share_text(float(value), {column.key: row[side]} if side in row else {}, column.key)
        case Kind.COUNT:
            return count_text(round(value))
        case Kind.NUMBER:
            return significant_text(float(value))
        case Kind.RATE:
            return f"{value:.3g}"
    return str(value)
