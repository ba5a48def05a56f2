"""Fields of slides in tables: one line for each slide, CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.sheets import read_sheet, write_sheet
from microscope_qc.core.specimen import SpecimenField, Value, field_key, field_of_heading
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import slide_stem
from microscope_qc.workflows.specimens.plan import FieldChange, FieldPlan, SlidesAndFields, changes_of

SLIDE_HEADINGS = ("slide", "slide name", "name", "file", "file name", "filename", "picture", "image")
_NAMED = 6


def write_fields(source: Project | SlidesAndFields, path: Path | str, *, slide_ids: Iterable[int] | None = None) -> int:
    """Write the fields of all slides, or of some, into a table that :func:`read_fields` takes; return its lines.

    Raises
    ------
    InputError
        When the name of the file is not that of a CSV or XLSX table.
    WriteError
        When it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise InputError(f"{path.name} is not the name of a table.", hint="End it with .csv or .xlsx.")
    wanted = None if slide_ids is None else set(slide_ids)
    known = SlidesAndFields.of(source)
    fields = known.fields
    rows: list[list[str | float | None]] = []
    for slide in known.slides:
        if wanted is None or slide.id in wanted:
            rows.append([slide.name, *(_cell(slide.fields.get(field.name)) for field in fields)])
    write_sheet(path, ["slide", *(field.heading for field in fields)], rows, title="Slides")
    return len(rows)


def _cell(value: object) -> str | float | None:
    return value if value is None or isinstance(value, str | float) else str(value)


def read_fields(
    source: Project | SlidesAndFields, path: Path | str, *, add_fields: bool = False, clear: bool = False
) -> FieldPlan:
    """Read a table of fields and say what would change; nothing is changed yet.

    The column ``slide`` names each slide, by its name in the project or by its file. A line whose name fits no slide,
    or more than one, or a slide that another line names too, is left out and listed.

    Parameters
    ----------
    add_fields
        Columns that are no field of the project become fields for text.
    clear
        An empty cell removes the value; otherwise it leaves it.

    Raises
    ------
    ExchangeError
        When it is no table, or has no column for the slides or for a field.
    """
    path, known = Path(path), SlidesAndFields.of(source)
    rows = read_sheet(path, what="table of specimens")
    start = next((n for n, row in enumerate(rows) if any(row)), len(rows))
    if start == len(rows):
        raise ExchangeError(f"{path.name} is empty.", hint="Choose a table with a header line.")
    head, lines = rows[start], rows[start + 1 :]
    place = _slide_column(head)
    if place is None:
        raise ExchangeError(
            f"{path.name} does not say which slides it is about.", hint="Call the column with their names “slide”."
        )
    columns, new, problems = _columns(known.fields, head, place, add_fields=add_fields)
    if not columns and not problems:
        raise ExchangeError(f"{path.name} says nothing about the slides.", hint="Add a column, such as “batch”.")
    line_of, told = _slides(known.slides, [(number, _at(row, place)) for number, row in enumerate(lines) if any(row)])
    problems += told
    changes: list[FieldChange] = []
    for slide in known.slides:
        number = line_of.get(slide.id)
        if number is None:
            continue
        values: dict[SpecimenField, Value | None] = {}
        for column, (field, unit) in columns.items():
            text = _at(lines[number], column)
            if not text and not clear:
                continue
            try:
                values[field] = field.parse(text, unit=unit)
            except InputError as error:
                problems.append(f"{slide.name}: {error.message}")
        changes += changes_of(slide, values)
    return FieldPlan(tuple(changes), tuple(new), tuple(problems), len(line_of))


def _at(row: Sequence[str], place: int) -> str:
    return row[place] if place < len(row) else ""


def _slide_column(head: Sequence[str]) -> int | None:
    keys = [field_key(cell) for cell in head]
    return next((keys.index(key) for key in map(field_key, SLIDE_HEADINGS) if key in keys), None)


def _columns(
    fields: Sequence[SpecimenField], head: Sequence[str], slide_place: int, *, add_fields: bool
) -> tuple[dict[int, tuple[SpecimenField, str]], list[SpecimenField], list[str]]:
    """Field and unit of each column, fields to be added, and sentences about columns that are left out."""
    columns: dict[int, tuple[SpecimenField, str]] = {}
    new: list[SpecimenField] = []
    problems: list[str] = []
    for place, cell in enumerate(head):
        if place == slide_place or not cell:
            continue
        try:
            found = field_of_heading([*fields, *new], cell)
        except InputError as error:
            problems.append(error.message)
            continue
        if found is None and add_fields:
            added = SpecimenField(" ".join(cell.split()), " ".join(cell.split()))
            new.append(added)
            found = added, ""
        if found is None:
            problems.append(f"The column “{cell[:60]}” is no field of this project.")
        elif found[0] in (field for field, _ in columns.values()):
            problems.append(f"The column “{cell[:60]}” is about {found[0].title}, as another column is.")
        else:
            columns[place] = found
    return columns, new, problems


def _slides(slides: Sequence[SlideRecord], named: Sequence[tuple[int, str]]) -> tuple[dict[int, int], list[str]]:
    """The line that is about each slide, by slide id; and sentences about lines that are about none."""
    by_name = {slide.name: slide for slide in slides}
    by_file = _by_file(slides)
    lines: dict[int, list[int]] = {}
    unknown: list[str] = []
    problems: list[str] = []
    for number, name in named:
        fitting = [by_name[name]] if name in by_name else by_file.get(name, [])
        if len(fitting) == 1:
            lines.setdefault(fitting[0].id, []).append(number)
        elif fitting:
            names = [slide.name for slide in fitting]
            problems.append(f"“{name[:60]}” fits {len(names)} slides: {_some(names)}.")
        else:
            unknown.append(name[:60] or "(empty)")
    if unknown:
        problems.append(f"There is no slide {_some(list(dict.fromkeys(unknown)))}.")
    twice = [slide.name for slide in slides if len(lines.get(slide.id, ())) > 1]
    if twice:
        problems.append(f"More than one line is about {_some(twice)}.")
    return {number: found[0] for number, found in lines.items() if len(found) == 1}, problems


def _by_file(slides: Iterable[SlideRecord]) -> Mapping[str, list[SlideRecord]]:
    """Slides by the name of their file, with its ending and without."""
    found: dict[str, list[SlideRecord]] = {}
    for slide in slides:
        for name in dict.fromkeys((slide.path.name, slide_stem(slide.path))):
            found.setdefault(name, []).append(slide)
    return found


def _some(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    return listed(shown) if len(names) <= _NAMED else f"{', '.join(shown)} and {len(names) - _NAMED} more"
