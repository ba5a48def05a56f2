"""What the columns of a table of compositions hold, as a user says it: for tables that are read in no other way.

A table is rewritten into one that :mod:`microscope_qc.correlation.edx_tables` reads, line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.core.elements import ATOMIC_WEIGHT, element_in
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.numbers import number_in
from microscope_qc.core.sheets import column_key
from microscope_qc.correlation.edx_headings import LABEL_HEADS, element_heading

LABEL, ELEMENT = "label", "element"
SINGLE = (LABEL, ELEMENT, "at%", "wt%", "x_mm", "y_mm", "x_um", "y_um", "kv")
"""What one column of a table can hold; besides these, the amount of an element such as ``Ni at%``."""
_AMOUNT = re.compile(r"([A-Z][a-z]?) ?(at|wt)%")
_HEADS = {"x_mm": "stage_x_mm", "y_mm": "stage_y_mm", "x_um": "stage_x_um", "y_um": "stage_y_um"}
HEADER_WITHIN = 50
HOW = f"A column holds {', '.join(SINGLE)} or the amount of an element, such as “Ni at%”."


@dataclass(frozen=True, slots=True)
class EdxColumns:
    """What columns hold, by their headings in ``line`` (from 1).

    A table has a line for each spectrum and a column for each element ("Ni at%"), or a line for each element with its
    name ("element") and amount ("at%" or "wt%").

    Raises
    ------
    InputError
        When a column cannot hold that, or something that is needed is missing.
    """

    line: int
    holds: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        """Check it."""
        what = [held for _, held in self.holds]
        bare = next((held for held in what if held in ATOMIC_WEIGHT), None)
        if bare is not None:
            raise InputError(
                f"Nothing says whether the amounts of {bare} are atom % or weight %.",
                hint=f"Write “{bare} at%” or “{bare} wt%”.",
            )
        strange = next((held for held in what if held not in SINGLE and not _element_of(held)), None)
        if strange is not None:
            raise InputError(f"No column can hold “{strange[:30]}”.", hint=HOW)
        twice = next((held for held in what if what.count(held) > 1), None)
        if twice is not None:
            raise InputError(f"Two columns hold {twice}.", hint="Leave one of them out.")
        amounts = [held for held in what if _element_of(held)]
        plain = [held for held in what if held in ("at%", "wt%")]
        if ELEMENT in what and not plain:
            raise InputError("No column holds the amounts of the elements.", hint="Say which one: at% or wt%.")
        if ELEMENT not in what and (plain or not amounts):
            raise InputError("No column holds the amount of an element.", hint=HOW)
        if ELEMENT in what and amounts:
            raise InputError("A table has lines or columns of elements, not both.", hint=HOW)
        for axis, other in (("x", "y"), ("y", "x")):
            if any(held.startswith(f"{axis}_") for held in what) and f"{other}_{_unit_of(axis, what)}" not in what:
                raise InputError("A stage position needs x and y in one unit.", hint=HOW)
        if not 1 <= self.line <= HEADER_WITHIN:
            raise InputError(
                f"The headings cannot stand in line {self.line}.", hint=f"At most in line {HEADER_WITHIN}."
            )

    def to_json(self) -> dict[str, Any]:
        """JSON values of it."""
        return {"line": self.line, "columns": dict(self.holds)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> EdxColumns:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        line, columns = stored.get("line"), stored.get("columns")
        if not isinstance(line, int) or not isinstance(columns, Mapping):
            raise InputError("What was remembered of the columns cannot be read.", hint="Say again what they hold.")
        return cls(line, tuple((str(heading), str(held)) for heading, held in columns.items()))


def _element_of(held: str) -> str:
    match = _AMOUNT.fullmatch(held)
    return match.group(1) if match and match.group(1) in ATOMIC_WEIGHT else ""


def _unit_of(axis: str, what: Iterable[str]) -> str:
    return next(held.removeprefix(f"{axis}_") for held in what if held.startswith(f"{axis}_"))


def columns_of(words: Sequence[str], *, line: int = 1) -> EdxColumns:
    """What columns hold as the command line says it: ``Probe=label``, ``Nickel=Ni at%``.

    Raises
    ------
    InputError
        When a word is none of these.
    """
    pairs = [word.rpartition("=") for word in words]
    strange = next((word for word, (heading, _, _) in zip(words, pairs, strict=True) if not heading.strip()), None)
    if strange is not None:
        raise InputError(f"“{strange[:40]}” does not say which column holds what.", hint='Such as "Nickel=Ni at%".')
    return EdxColumns(line, tuple((heading.strip(), held.strip()) for heading, _, held in pairs))


def layout_key(headings: Sequence[str]) -> str:
    """By which a layout is recognised: its headings, whatever signs are in them."""
    return "|".join(column_key(heading) for heading in headings).rstrip("|")


def heading_line(rows: Sequence[Sequence[str]]) -> int:
    """Line (from 1) in which headings seem to stand: the first above more numbers than it has itself."""
    candidates = [n for n, row in enumerate(rows[:HEADER_WITHIN]) if sum(1 for cell in row if cell) > 1]
    starts = [n for n in candidates if n + 1 < len(rows) and _numbers(rows[n]) < _numbers(rows[n + 1])]
    return (starts or candidates or [0])[0] + 1


def guessed(headings: Sequence[str]) -> dict[int, str]:
    """What columns seem to hold by their headings, by their places.

    A heading that names an element without a unit gives its symbol alone: which unit it is must be asked.
    """
    found: dict[int, str] = {}
    for place, heading in enumerate(headings):
        symbol, unit = element_heading(heading)
        held = f"{symbol} {unit}%" if symbol and unit else symbol
        word = column_key(heading).removeprefix("stage_")
        if not held:
            held = LABEL if heading.casefold().strip() in LABEL_HEADS else word if word in SINGLE else ""
        if held and held not in found.values():
            found[place] = held
    return found


def remembered(rows: Sequence[Sequence[str]], layouts: Mapping[str, Mapping[str, Any]]) -> EdxColumns | None:
    """What a user said of the columns of such a table before; ``layouts`` are kept by :func:`layout_key`."""
    for row in rows[:HEADER_WITHIN]:
        if (stored := layouts.get(layout_key(row))) is not None:
            return EdxColumns.from_json(stored)
    return None


def _numbers(row: Sequence[str]) -> int:
    return sum(1 for cell in row if number_in(cell, unit="%") == number_in(cell, unit="%"))


def rewritten_sheets(sheets: Sequence[Sequence[Sequence[str]]], columns: EdxColumns) -> list[list[list[str]]]:
    """Rewrite those of several tables that have the headings, see :func:`rewritten`.

    Raises
    ------
    ExchangeError
        When none of them has.
    """
    fitting = [rows for rows in sheets if not _lacking(rows, columns)]
    return [rewritten(rows, columns) for rows in fitting or sheets[:1]]


def rewritten(rows: Sequence[Sequence[str]], columns: EdxColumns) -> list[list[str]]:
    """Return a table of one line for each spectrum, each in the line where it was; the other lines are empty.

    Raises
    ------
    ExchangeError
        When the table lacks one of the headings.
    """
    if lacking := _lacking(rows, columns):
        raise ExchangeError(
            f"The table has no column “{lacking[:40]}” in line {columns.line}.", hint="Say again what the columns hold."
        )
    keys = [column_key(heading) for heading in rows[columns.line - 1]]
    place_of = {held: keys.index(column_key(heading)) for heading, held in columns.holds}
    lines = _long(rows, columns, place_of) if ELEMENT in place_of else _wide(rows, columns, place_of)
    head, cells = lines
    empty: list[list[str]] = [[] for _ in range(len(rows))]
    empty[columns.line - 1] = head
    for number, line in cells.items():
        empty[number] = line
    return empty


def _lacking(rows: Sequence[Sequence[str]], columns: EdxColumns) -> str:
    """The first heading that a table lacks; "" for none."""
    keys = [column_key(heading) for heading in rows[columns.line - 1]] if columns.line <= len(rows) else []
    return next((heading for heading, _ in columns.holds if column_key(heading) not in keys), "")


Lines = tuple[list[str], dict[int, list[str]]]


def _wide(rows: Sequence[Sequence[str]], columns: EdxColumns, place_of: Mapping[str, int]) -> Lines:
    names = [LABEL, *(held for held in place_of if held != LABEL)]
    cells = {n: [_at(rows[n], place_of.get(name, -1)) for name in names] for n in range(columns.line, len(rows))}
    return [_HEADS.get(name, name) for name in names], cells


def _long(rows: Sequence[Sequence[str]], columns: EdxColumns, place_of: Mapping[str, int]) -> Lines:
    """Lines of elements as lines of spectra: those of one label one after the other are one spectrum."""
    units = [unit for unit in ("at%", "wt%") if unit in place_of]
    others = [name for name in SINGLE if name in place_of and name not in (LABEL, ELEMENT, "at%", "wt%")]
    spectra: dict[int, dict[str, str]] = {}
    label, start = "", -1
    for number in range(columns.line, len(rows)):
        row = rows[number]
        said = _at(row, place_of[LABEL]) if LABEL in place_of else ""
        symbol = element_in(_at(row, place_of[ELEMENT]))
        if symbol is None:
            continue
        amounts = {f"{symbol} {unit}": _at(row, place_of[unit]) for unit in units}
        if start < 0 or (said and said != label) or amounts.keys() & spectra[start].keys():
            label, start = said or label, number
            spectra[start] = {LABEL: label} | {name: _at(row, place_of[name]) for name in others}
        spectra[start] |= amounts
    names = list(dict.fromkeys(name for found in spectra.values() for name in found))
    head = [_HEADS.get(name, name) for name in names]
    return head, {number: [found.get(name, "") for name in names] for number, found in spectra.items()}


def _at(row: Sequence[str], place: int) -> str:
    return row[place] if 0 <= place < len(row) else ""
