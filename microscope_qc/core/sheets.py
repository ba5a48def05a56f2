"""Tables from spreadsheets and for them: CSV as programs and languages write it, and XLSX."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import escape_cell, printable, unescape_cell
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_path, atomic_write, special_kind
from microscope_qc.core.numbers import exact_text
from microscope_qc.core.wording import listed, plural

LARGEST_BYTES = 64 * 1024 * 1024
LARGEST_UNPACKED = 512 * 1024 * 1024
LARGEST_ROWS = 100_000
LARGEST_COLUMNS = 500
_WORKBOOKS = (".xlsx", ".xlsm")
_LONGEST_CELL = 2**31 - 1  # notes, attributes and outlines have no limit of their own
_SEPARATOR = re.compile(r"\s*\"?sep=([,;\t|]?)\"?[ ]*(?:\r\n|\r|\n|$)", re.IGNORECASE)
_LOOKED_AT, _LINES_LOOKED_AT = 65536, 200
_HEADER_WITHIN = 20


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a table by the names of its columns, as :func:`column_key` writes them; ``line`` is its number."""

    line: int
    cells: Mapping[str, str]

    def get(self, name: str) -> str:
        """Text of a cell, "" where the line has none."""
        return self.cells.get(name, "")


def read_sheet(
    path: Path | str, *, what: str = "table", largest_bytes: int = LARGEST_BYTES, most_rows: int = LARGEST_ROWS
) -> list[list[str]]:
    """Return the cells of a CSV file, or of the first sheet of a workbook; see :func:`read_sheets`."""
    return read_sheets(path, what=what, largest_bytes=largest_bytes, most_rows=most_rows, most_sheets=1)[0]


def read_sheets(
    path: Path | str,
    *,
    what: str = "table",
    largest_bytes: int = LARGEST_BYTES,
    most_rows: int = LARGEST_ROWS,
    most_sheets: int = 50,
) -> list[list[list[str]]]:
    """Return the cells of a CSV file, or of each sheet of a workbook, as text without spaces around it.

    A CSV may be in UTF-8, UTF-16 or cp1252; its cells are separated by the sign (comma, semicolon, tab) on which its
    lines agree, unless a first line ``sep=`` says it. At most :data:`LARGEST_COLUMNS` cells of a line are read. Of
    formulas in a workbook the stored results are read. What protects a cell of a CSV from being a formula is taken off.

    Parameters
    ----------
    what
        Name of such a table in messages.
    largest_bytes, most_rows
        Larger files are refused.
    most_sheets
        Further sheets of a workbook are not read.

    Raises
    ------
    ExchangeError
        When it is missing, too large, or no such file.
    """
    path = Path(path)
    kind = special_kind(path)
    if kind:
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a file.")
    try:
        if path.stat().st_size > largest_bytes:
            raise ExchangeError(f"{path.name} is too large for a {what}.", hint="Choose another file.")
        if path.suffix.lower() in _WORKBOOKS:
            sheets = _workbook(path, most_rows, most_sheets)
        else:
            sheets = [_csv(path, _text(path.read_bytes()), most_rows)]
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the path."
        ) from error
    if any(len(rows) > most_rows for rows in sheets):
        raise ExchangeError(f"{path.name} has more than {most_rows} lines.", hint="Split the file.")
    return sheets


def read_records(
    path: Path | str,
    *,
    needed: Sequence[str] = (),
    what: str = "table",
    largest_bytes: int = LARGEST_BYTES,
    most_rows: int = LARGEST_ROWS,
) -> list[Record]:
    """Return the lines below the header by the names of their columns; empty lines are left out.

    The header is the first line that has the needed columns, or the first that is not empty. Upper and lower case,
    spaces and brackets in it do not matter: "Stage X (mm)" is ``stage_x_mm``.

    Parameters
    ----------
    needed
        Columns that must be there, once.

    Raises
    ------
    ExchangeError
        When it cannot be read, is empty, or lacks a column.
    """
    path = Path(path)
    rows = read_sheet(path, what=what, largest_bytes=largest_bytes, most_rows=most_rows)
    filled = [number for number, row in enumerate(rows) if any(row)]
    if not filled:
        raise ExchangeError(f"{path.name} is empty.", hint="Choose a table with a header line.")
    wanted = set(needed)
    start = next((n for n in filled[:_HEADER_WITHIN] if wanted <= set(map(column_key, rows[n]))), filled[0])
    names = [column_key(cell) for cell in rows[start]]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ExchangeError(
            f"{path.name} lacks the {plural(len(missing), 'column')} {', '.join(missing)}.",
            hint=f"It needs the columns {', '.join(needed)}.",
        )
    twice = [name for name in needed if names.count(name) > 1]
    if twice:
        raise ExchangeError(f"{path.name} has two columns {listed(twice)}.", hint="Remove or rename one.")
    place_of = {name: names.index(name) for name in names if name}
    return [
        Record(number + 1, {name: rows[number][place] for name, place in place_of.items() if place < len(rows[number])})
        for number in filled
        if number > start
    ]


def column_key(heading: str) -> str:
    """Return the name of a column as columns are compared: ``Stage X (µm)`` and ``stage_x_um`` are the same."""
    words = re.findall(r"[^\W_]+|%", heading.casefold().replace("µ", "u").replace("μ", "u"))
    return "_".join(words)


def _text(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    start = raw[:_LOOKED_AT]
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):  # without a mark at its start
        if len(zeros) > 1 and zeros.count(0) > 0.8 * len(zeros) and start.count(0) < 0.6 * len(start):
            return raw.decode(encoding, "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _csv(path: Path, text: str, most_rows: int) -> list[list[str]]:
    if "\0" in text:
        raise ExchangeError(f"{path.name} is not a table.", hint="Choose a CSV or XLSX file.")
    csv.field_size_limit(_LONGEST_CELL)
    said = _SEPARATOR.match(text)  # Excel writes and obeys it
    text = text[said.end() :] if said else text
    delimiter = (said.group(1) if said else "") or separator_of(text)
    try:
        return [
            [unescape_cell(cell.strip()) for cell in row[:LARGEST_COLUMNS]]
            for row in islice(_lines(text, delimiter), most_rows + 1)
        ]
    except csv.Error as error:
        raise ExchangeError(f"{path.name} is not a CSV table ({error}).", hint="Save it again as CSV.") from error


def _lines(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != "\t")


def separator_of(text: str) -> str:
    """Return what separates the cells of a CSV: the sign at which most of its first lines fall into equally many cells.

    A semicolon or a tab wins against as many lines with commas, which are decimal signs there.
    """
    best, most = ",", 0
    for delimiter in "\t;,":
        try:
            widths = [len(row) for row in islice(_lines(text[:_LOOKED_AT], delimiter), _LINES_LOOKED_AT)]
        except csv.Error:
            continue
        agreeing = Counter(width for width in widths if width > 1).most_common(1)
        if agreeing and agreeing[0][1] > most:
            best, most = delimiter, agreeing[0][1]
    return best


def _workbook(path: Path, most_rows: int, most_sheets: int) -> list[list[list[str]]]:
    from xml.etree.ElementTree import ParseError
    from zipfile import BadZipFile, ZipFile

    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > LARGEST_UNPACKED:
                raise ExchangeError(f"{path.name} is too large when unpacked.", hint="Save only the table.")
        sheets = _workbook_cells(path, most_rows, most_sheets, results=False)
        if any(cell.data_type == "f" for rows in sheets for row in rows for cell in row):
            results = _workbook_cells(path, most_rows, most_sheets, results=True)
            for rows, known in zip(sheets, results, strict=True):
                _check_results(path, rows, known)
            sheets = results
        return [[[_cell(cell.value, str(cell.number_format)) for cell in row] for row in rows] for rows in sheets]
    except ExchangeError:
        raise
    except (BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, IndexError, TypeError) as error:
        raise ExchangeError(
            f"{path.name} is not an Excel table ({error}).", hint="Save it again as XLSX or CSV."
        ) from error


def _workbook_cells(path: Path, most_rows: int, most_sheets: int, *, results: bool) -> list[list[list[Any]]]:
    """Cells of each sheet, formulas as such or with their results."""
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=results)
    try:
        sheets = [book.worksheets[0], *book.worksheets[1:most_sheets]]
        for sheet in sheets:
            sheet.reset_dimensions()  # some programs store a wrong size, and cells beyond it would be left out
        return [[list(row[:LARGEST_COLUMNS]) for row in islice(sheet.iter_rows(), most_rows + 1)] for sheet in sheets]
    finally:
        book.close()


def _check_results(path: Path, formulas: list[list[Any]], results: list[list[Any]]) -> None:
    for row, known in zip(formulas, results, strict=True):
        for cell, result in zip(row, known, strict=True):
            if cell.data_type == "f" and result.value is None:
                raise ExchangeError(
                    f"{path.name}: the cell {cell.coordinate} is a formula without a stored result.",
                    hint="Open it in Excel and save it, or save it as CSV.",
                )


def _cell(value: Any, number_format: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "%" in number_format:  # 0.3 is 30% there
            return f"{exact_text(value * 100)}%"
        return str(value) if isinstance(value, int) else exact_text(value)
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
    return escape_cell(cell) if isinstance(cell, str) else exact_text(cell)


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
