"""A small language that says which findings are meant: ``class=CRK confidence<0.5 note~"near the tab"``.

Terms are joined by spaces and all of them must hold. A term is a field, an operator and a value; ``=``, ``!=`` and
``~`` (contains) take several values with commas between them, of which any may hold. A value with spaces, commas,
quotes or operators in it stands in quotes. The number of a finding may stand alone as it is printed, ``#460``. What is
not known of a finding (the confidence of a drawn one, its size in um where the pixel size is not known, its composition
where EDX did not measure it) fits no comparison with a number. Elements are fields, too: ``Ni > 20 at%``.

A typing mistake must never choose more than was meant: classes, slides, runs and words that do not exist are errors,
also after ``!=``, numbers that a field cannot have are, and so is an empty query.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.box_facts import Known
from microscope_qc.core.errors import InputError
from microscope_qc.core.query_fields import FIELDS, ElementField, Field, FieldRows, Unfit, Value, field_named

LONGEST_QUERY = 10_000
_NAME, _OPERATOR = re.compile(r"[^\W\d]\w*"), re.compile(r"!=|<=|>=|=|<|>|~")
_BARE, _BARE_ONE = re.compile(r"[^\s,\"'=<>~!]+"), re.compile(r"[^\s\"'=<>~!]+")
_PERCENT = re.compile(r"\s*(?:at|wt)\.?-?\s?%(?=\s|$)", re.IGNORECASE)
_SEVERAL = ("=", "!=", "~")


class QueryError(InputError):
    """A query that cannot be read; the sentence says where and why."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    field: Field
    operator: str
    values: tuple[Value, ...]

    def mask(self, rows: FieldRows) -> Flags:
        """Which of the findings fit."""
        return self.field.mask(rows, self.operator, self.values)


@dataclass(frozen=True, slots=True)
class Query:
    """Conditions that must all hold, and the text they were read from."""

    text: str
    terms: tuple[Term, ...]

    def mask(self, rows: FieldRows) -> Flags:
        """Which of the findings of a slide fit."""
        found: Flags = np.ones(len(rows.rows), bool)
        for term in self.terms:
            found &= term.mask(rows)
        return found


def parse(text: str, known: Known) -> Query:
    """Read a query.

    Parameters
    ----------
    known
        Classes, slides and runs there are.

    Raises
    ------
    QueryError
        When it is empty, cannot be read, or names what does not exist.
    """
    if len(text) > LONGEST_QUERY:
        raise QueryError(f"A query has at most {LONGEST_QUERY} characters.", hint="Ask for less at once.")
    reader = QueryReader(text)
    reader.skip()
    terms = []
    while not reader.at_end:
        terms.append(read_term(reader, known))
    if not terms:
        raise QueryError("The query is empty.", hint=f"Say which findings are meant, such as class=CRK. {_fields()}")
    return Query(text.strip(), tuple(terms))


def _fields() -> str:
    return f"Fields: {', '.join(FIELDS)}."


class QueryReader:
    """The text, and where reading has come to."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    @property
    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self) -> bool:
        """Skip spaces; whether there were any."""
        before = self.at
        while self.next.isspace():
            self.at += 1
        return self.at > before

    def take(self, pattern: re.Pattern[str]) -> str:
        """What fits here, "" for nothing."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def quoted(self) -> str:
        """Text in quotes; a backslash keeps a quote or a backslash."""
        start, quote = self.at, self.next
        characters: list[str] = []
        self.at += 1
        while not self.at_end:
            character = self.next
            self.at += 1
            if character == quote:
                return "".join(characters)
            if character == "\\" and self.next in ("\\", quote):
                character = self.next
                self.at += 1
            characters.append(character)
        self.wrong("the quote is not closed", at=start, hint=f"Write {quote} at the end of the text.")

    def wrong(self, why: str, *, at: int, hint: str) -> NoReturn:
        """Say what is wrong, and at which character."""
        here = self.text[at : at + 30].split()
        what = f"“{here[0]}”" if here else "the end"
        raise QueryError(f"The query cannot be read at character {at + 1}, {what}: {why}.", hint=hint)


def read_term(reader: QueryReader, known: Known) -> Term:
    """Read one condition, ``class=CRK``, or the number of a finding as it is printed, ``#460``.

    Raises
    ------
    QueryError
        When it cannot be read.
    """
    if reader.next == "#":
        return _number(reader, known)
    field = _field(reader)
    reader.skip()
    start = reader.at
    operator = reader.take(_OPERATOR)
    takes = f"{field.name} takes {' '.join(field.operators)}"
    if not operator:
        reader.wrong(
            f"an operator is expected after {field.name}", at=start,
            hint=f"{takes}; terms are joined by spaces, and all of them must hold.",
        )  # fmt: skip
    if operator not in field.operators:
        reader.wrong(f"{field.name} cannot be compared by {operator}", at=start, hint=f"{takes}.")
    reader.skip()
    values = [_value(reader, field, operator, known)]
    while reader.next == ",":
        if not field.several or operator not in _SEVERAL:
            reader.wrong(f"{field.name}{operator} takes one value", at=reader.at, hint="Leave the comma out.")
        reader.at += 1
        values.append(_value(reader, field, operator, known))
    _end(reader)
    return Term(field, operator, tuple(values))


def _number(reader: QueryReader, known: Known) -> Term:
    field = FIELDS["number"]
    value = _value(reader, field, "=", known)
    _end(reader)
    return Term(field, "=", (value,))


def _end(reader: QueryReader) -> None:
    start = reader.at
    if not reader.skip() and not reader.at_end:
        hint = "Text with spaces, commas, quotes or operators in it needs quotes around it."
        reader.wrong("a space is expected between terms", at=start, hint=hint)


def _field(reader: QueryReader) -> Field:
    start = reader.at
    name = reader.take(_NAME)
    if not name:
        reader.wrong("a field is expected", at=start, hint=_fields())
    field = field_named(name)
    if field is None:
        near = difflib.get_close_matches(name.casefold(), list(FIELDS), n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        reader.wrong(f"there is no field {name}", at=start, hint=meant + _fields())
    return field


def _value(reader: QueryReader, field: Field, operator: str, known: Known) -> Value:
    start = reader.at
    if reader.next and reader.next in "\"'":
        text = reader.quoted()
    else:
        text = reader.take(_BARE if field.several else _BARE_ONE)  # one number may have a decimal comma
        if not text:
            reader.wrong("a value is expected", at=start, hint=f'Nothing at all is written as {field.name}="".')
        if isinstance(field, ElementField):
            text += reader.take(_PERCENT)
    try:
        return field.value(text, operator, known)
    except Unfit as error:
        reader.wrong(error.message.rstrip("."), at=start, hint=error.hint)
