"""Tables from spreadsheets and for them: CSV as programs and languages write it, and XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import escape_cell, printable, unescape_cell
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_path, atomic_write

LARGEST_BYTES = 64 * 1024 * 1024
LARGEST_UNPACKED = 512 * 1024 * 1024
LARGEST_ROWS = 100_000
LARGEST_COLUMNS = 500
_WORKBOOKS = (".xlsx", ".xlsm")


def read_sheet(path: Path | str, *, what: str = "table") -> list[list[str]]:
    """Return the cells of a CSV file, or of the first sheet of a workbook, as text without spaces around it.

    A CSV may be in UTF-8, UTF-16 or cp1252, with commas, semicolons or tabs; at most :data:`LARGEST_ROWS` lines of
    :data:`LARGEST_COLUMNS` cells are read. What protects a cell of a CSV from
    being a formula is taken off.

    Parameters
    ----------
    what
        Name of such a table in messages.

    Raises
    ------
    ExchangeError
        When it is missing, too large, or no such file.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ExchangeError(f"{path.name} is too large for a {what}.", hint="Choose another file.")
        is_workbook = path.suffix.lower() in _WORKBOOKS
        rows = _workbook(path) if is_workbook else _csv(path, _text(path.read_bytes()))
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the path."
        ) from error
    if len(rows) > LARGEST_ROWS:
        raise ExchangeError(f"{path.name} has more than {LARGEST_ROWS} lines.", hint="Split the file.")
    return [row[:LARGEST_COLUMNS] for row in rows]


def _text(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _csv(path: Path, text: str) -> list[list[str]]:
    if "\0" in text:
        raise ExchangeError(f"{path.name} is not a table.", hint="Choose a CSV or XLSX file.")
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) <= len("sep=;"):  # Excel writes and obeys it
        text = rest
    lines = text.splitlines()[:20]
    delimiter = max(",;\t", key=lambda mark: max((line.count(mark) for line in lines), default=0))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines_read = zip(reader, range(LARGEST_ROWS + 1), strict=False)
        return [[unescape_cell(cell.strip()) for cell in row] for row, _ in lines_read]
    except csv.Error as error:
        raise ExchangeError(f"{path.name} is not a CSV table ({error}).", hint="Save it again as CSV.") from error


def _workbook(path: Path) -> list[list[str]]:
    from xml.etree.ElementTree import ParseError
    from zipfile import BadZipFile, ZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > LARGEST_UNPACKED:
                raise ExchangeError(f"{path.name} is too large when unpacked.", hint="Save only the table.")
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            lines = book.worksheets[0].iter_rows(values_only=True)
            return [[_cell(value) for value in row] for row, _ in zip(lines, range(LARGEST_ROWS + 1), strict=False)]
        finally:
            book.close()
    except (BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, IndexError, TypeError) as error:
        raise ExchangeError(
            f"{path.name} is not an Excel table ({error}).", hint="Save it again as XLSX or CSV."
        ) from error


def _cell(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:.15g}"
    return "" if value is None else str(value).strip()


def write_sheet(
    path: Path | str, header: Sequence[str], rows: Sequence[Sequence[str | float | None]], *, title: str = "Table"
) -> Path:
    """Write a table, as XLSX where the name says so, otherwise as CSV (UTF-8, comma, decimal point).

    Text that a spreadsheet would take for a formula is kept from it.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    clean = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in (header, *rows)]
    if path.suffix.lower() == ".xlsx":
        _write_workbook(path, clean, title)
        return path
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for row in clean:
        writer.writerow([_csv_cell(cell) for cell in row])
    atomic_write(path, out.getvalue())
    return path


def _csv_cell(cell: str | float | None) -> str:
    if cell is None:
        return ""
    return escape_cell(cell) if isinstance(cell, str) else f"{cell:.15g}"


def _write_workbook(path: Path, rows: Sequence[Sequence[str | float | None]], title: str) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    sheet.title = title
    for line, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            if value is None or value == "":
                continue
            cell = sheet.cell(line, place, value)
            if isinstance(value, str):
                cell.data_type = "s"  # never a formula
            if line == 1:
                cell.font = Font(bold=True)
    for place in range(1, len(rows[0]) + 1):
        longest = max(len(str(row[place - 1] or "")) for row in rows)
        sheet.column_dimensions[get_column_letter(place)].width = min(max(longest + 3, 9), 60)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions
    with atomic_path(path) as temporary:
        book.save(temporary)
