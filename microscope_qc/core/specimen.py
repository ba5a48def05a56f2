"""What is said about the specimen on a slide: fields with a type, and values as people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache

from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import exact_text, parse_number, unit_factor

Value = str | float
"""Of a field: text, date (ISO) and choice as text, a number in the field's unit."""

LONGEST_TEXT = 1000
LONGEST_NAME = 100
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


class FieldKind(StrEnum):
    """What a field takes."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class SpecimenField:
    """One thing to say about the specimen on a slide.

    ``name`` is the key under which slides store it and by which commands and patterns call it, ``title`` what is shown.
    ``id`` is that of a field which users added to their project (0 for the standard ones); ``section`` groups fields in
    a form, ``also`` are other headings by which tables call it.
    """

    name: str
    title: str = ""
    kind: FieldKind = FieldKind.TEXT
    unit: str = ""
    choices: tuple[str, ...] = ()
    section: str = "More"
    also: tuple[str, ...] = ()
    id: int = 0

    @property
    def heading(self) -> str:
        """Title with the unit: ``Capacity (Ah)``."""
        words = self.title or self.name
        return f"{words} ({self.unit})" if self.unit else words

    def parse(self, given: object, *, unit: str = "") -> Value | None:
        """Return the value that someone wrote, None for nothing.

        Parameters
        ----------
        unit
            Of a number without one; "" is the field's own.

        Raises
        ------
        InputError
            When it is no such value.
        """
        text = " ".join(unicodedata.normalize("NFC", _plain(given)).split())
        if not text:
            return None
        if self.kind is FieldKind.NUMBER:
            return parse_number(text, unit=self.unit, given_unit=unit, what=self.title or self.name)
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise InputError(
                f"{self.title or self.name} cannot take this text.",
                hint=f"It may have {LONGEST_TEXT} characters that can be printed.",
            )
        if self.kind is FieldKind.DATE:
            return _date(text)
        return self._choice(text) if self.kind is FieldKind.CHOICE else text

    def text(self, value: object) -> str:
        """Return a value as it is shown and written into tables, a number without its unit; "" for None."""
        if value is None:
            return ""
        if isinstance(value, float) and not isinstance(value, bool):
            return exact_text(value)
        return str(value)

    def shown(self, value: object) -> str:
        """Return a value with its unit: ``2.85 Ah``."""
        text = self.text(value)
        return f"{text} {self.unit}" if text and self.unit else text

    def _choice(self, text: str) -> str:
        for choice in self.choices:
            if choice.casefold() == text.casefold():
                return choice
        raise InputError(
            f"{self.title or self.name} cannot be “{text[:60]}”.", hint=f"It is one of {', '.join(self.choices)}."
        )


def _plain(given: object) -> str:
    if given is None:
        return ""
    return exact_text(given) or str(given) if isinstance(given, float) else str(given)


def _date(text: str) -> str:
    found = _DATE.fullmatch(text.removesuffix(" 00:00:00"))  # a date cell of a workbook has a time
    if found is not None:
        year, month, day = found.groups()
        try:
            date(int(year), int(month or 1), int(day or 1))
        except ValueError:
            found = None
    if found is None:
        raise InputError(
            f"“{text[:60]}” is not a date.", hint="Write year, month and day as 2018-02-08; 2018-02 or 2018 will do."
        )
    return found.group()


_S, _M, _P = "Specimen", "Magnet", "Picture"

STANDARD_FIELDS = (
    SpecimenField("specimen", "Specimen", section=_S, also=("sample", "sample designation", "designation")),
    SpecimenField("batch", "Batch", section=_S),
    SpecimenField("producer", "Producer", section=_S, also=("manufacturer",)),
    SpecimenField("model", "Model", section=_S),
    SpecimenField("chemistry", "Chemistry", section=_S),
    SpecimenField("production_date", "Production date", FieldKind.DATE, section=_S),
    SpecimenField("label", "Cross-section label", section=_S, also=("cross-section",)),
    SpecimenField("capacity", "Capacity", FieldKind.NUMBER, "Ah", section=_S, also=("nominal capacity",)),
    SpecimenField("br", "Br", FieldKind.NUMBER, "T", section=_M, also=("remanence", "remanence br")),
    SpecimenField("hcj", "HcJ", FieldKind.NUMBER, "kA/m", section=_M, also=("coercivity", "coercivity hcj")),
    SpecimenField("bhmax", "(BH)max", FieldKind.NUMBER, "kJ/m³", section=_M, also=("max. energy product",)),
    SpecimenField("composition", "Composition", section=_M, also=("chemical composition",)),
    SpecimenField("part", "Part", section=_P),
    SpecimenField("view", "View", section=_P),
)
"""The fields that every project has: cells, magnets, and which part or view of them the picture shows."""


@lru_cache(maxsize=4096)
def field_key(text: str) -> str:
    """Return a name as names are compared: without case, spaces and punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in plain if c.isalnum()) or plain.strip()


def find_field(fields: Iterable[SpecimenField], text: str) -> SpecimenField | None:
    """Return the field with this name, title or other heading."""
    key = field_key(text)
    for field in fields:
        if key in map(field_key, (field.name, field.title or field.name, *field.also)):
            return field
    return None


_WITH_UNIT = (
    re.compile(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]"),  # Capacity (Ah)
    re.compile(r"(.+?)\s*,\s*([^,]+)"),  # Capacity, Ah
    re.compile(r"(.+?)\s+/\s+(.+)"),  # Capacity / Ah
    re.compile(r"(.+)_([^_]+)"),  # capacity_Ah
    re.compile(r"(.+)\s+(\S+)"),  # Nominal capacity mAh
)


def field_of_heading(fields: Iterable[SpecimenField], heading: str) -> tuple[SpecimenField, str] | None:
    """Return the field that a column of a table is about, and the unit in its heading ("" for none).

    Raises
    ------
    InputError
        When the unit is not one of the field's.
    """
    known = list(fields)
    words = " ".join(heading.split())
    found = find_field(known, words)
    if found is not None:
        return found, ""
    for place, pattern in enumerate(_WITH_UNIT):
        match = pattern.fullmatch(words)
        field = find_field(known, match.group(1)) if match else None
        if match is None or field is None or field.kind is not FieldKind.NUMBER:
            continue
        unit = match.group(2).strip()
        if unit_factor(unit, field.unit) is not None:
            return field, unit
        if place == 0:  # in brackets it can be nothing else
            raise InputError(
                f"The column “{words[:60]}” is not in {field.unit}, as {field.title or field.name} is.",
                hint=f"Give it in {field.unit}.",
            )
    return None
