"""What a query may ask of a finding: for each field its values, its operators, and where it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.box_facts import BoxFacts, Known
from microscope_qc.core.box_rows import FindingFlag, ReviewState, has_flag
from microscope_qc.core.elements import ATOMIC_WEIGHT
from microscope_qc.core.errors import InputError
from microscope_qc.core.finding_texts import folded, saying
from microscope_qc.core.numbers import Quantity

Value = str | float

_NO_RUN = 0
_PERCENT = re.compile(r"(.*?)\s*(at|wt)\.?\s*-?%?")
_YES_NO = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}
_STATES = {state.word: float(state) for state in ReviewState}
_COMPARE: dict[str, Callable[[np.ndarray, np.ndarray], Flags]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


class Unfit(InputError):
    """A value that a field cannot have."""


@dataclass(frozen=True, slots=True)
class FieldRows:
    """Findings of one slide: their rows, the slide's name, and what else must be known of them."""

    rows: np.ndarray
    slide: str
    facts: BoxFacts


class Field(Protocol):
    """Something that a query may ask of a finding."""

    @property
    def name(self) -> str:
        """How it is written."""

    @property
    def operators(self) -> tuple[str, ...]:
        """How it can be compared."""

    @property
    def several(self) -> bool:
        """Whether there may be several values of which any may hold."""

    def value(self, text: str, operator: str, known: Known) -> Value:
        """Read a value.

        Raises
        ------
        Unfit
            When the field cannot have it.
        """

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """Which findings fit."""


@dataclass(frozen=True, slots=True)
class TextField:
    """Text, upper and lower case alike, or one of the names that ``names`` gives, letter by letter."""

    name: str
    of: Callable[[FieldRows], np.ndarray]
    names: Callable[[Known], tuple[str, ...]] | None = None
    operators: tuple[str, ...] = ("=", "!=", "~")
    several: bool = True

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`; every text contains an empty one, so that is not asked for."""
        if operator == "~":
            if not text:
                raise Unfit("every text contains an empty one", hint="Say which text is meant.")
        elif self.names is not None and text not in (there := self.names(known)):
            raise Unfit(f"there is no {self.name} {text}", hint=f"There are: {', '.join(there) or 'none yet'}.")
        return text

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        column = self.of(rows)
        wanted = [str(value) if self._exact(operator) else str(value).casefold() for value in values]
        fits = {text: self._fits(text, operator, wanted) for text in set(column.tolist())}
        return np.fromiter((fits[text] for text in column.tolist()), bool, len(column))

    def _exact(self, operator: str) -> bool:
        return self.names is not None and operator != "~"

    def _fits(self, text: str, operator: str, wanted: list[str]) -> bool:
        said = text if self._exact(operator) else text.casefold()
        if operator == "~":
            return any(part in said for part in wanted)
        return (said in wanted) == (operator == "=")


@dataclass(frozen=True, slots=True)
class AnyTextField:
    """Class, note, reason, attributes, slide and number at once, as a search looks into them."""

    name: str
    operators: tuple[str, ...] = ("~",)
    several: bool = True

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`."""
        return NOTE.value(text, operator, known)

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        found: Flags = np.zeros(len(rows.rows), bool)
        for value in values:
            found |= saying(rows.rows, [folded(str(value)) or str(value)], rows.facts)
        return found


@dataclass(frozen=True, slots=True)
class WordField:
    """One of a few words."""

    name: str
    words: dict[str, float]
    operators: tuple[str, ...] = ("=", "!=")
    several: bool = True

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`."""
        if text.casefold() not in self.words:
            raise Unfit(f"{self.name} cannot be {text or 'empty'}", hint=f"It is {' or '.join(self.words)}.")
        return self.words[text.casefold()]

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        return np.isin(rows.rows[self.name], values, invert=operator == "!=")


@dataclass(frozen=True, slots=True)
class FlagField:
    """Whether something holds: yes or no."""

    name: str
    flag: FindingFlag
    operators: tuple[str, ...] = ("=", "!=")
    several: bool = False

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`."""
        return WordField(self.name, _YES_NO).value(text, operator, known)

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        fit = has_flag(rows.rows, self.flag)
        return fit if (values[0] == 1) == (operator == "=") else ~fit


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number within limits; what is NaN is not known and fits nothing, unless ``unknown`` is a word for it."""

    name: str
    of: Callable[[FieldRows], np.ndarray]
    least: float = 0.0
    most: float = math.inf
    unknown: str = ""
    operators: tuple[str, ...] = ("=", "!=", "<", "<=", ">", ">=")
    several: bool = False

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`."""
        if self.unknown and text.casefold() == self.unknown:
            if operator not in ("=", "!="):
                raise Unfit(f"{text} is not a number", hint=f"Write {self.name}={self.unknown}, or a number.")
            return math.nan
        try:
            return Quantity(self.name, "", self.least, self.most).parse(text)
        except InputError as error:
            raise Unfit(error.message, hint=error.hint) from None

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        column = self.of(rows)
        wanted = column.dtype.type(values[0])
        known: Flags = ~np.isnan(column)
        if np.isnan(wanted):
            return known if operator == "!=" else ~known
        fits: Flags = _COMPARE[operator](column, wanted) if operator in _COMPARE else column == wanted
        return known & ~fits if operator == "!=" else known & fits


@dataclass(frozen=True, slots=True)
class ElementField:
    """How much of an element EDX measured: a percentage with ``at%`` or ``wt%`` after it, atom % without."""

    name: str
    operators: tuple[str, ...] = ("=", "!=", "<", "<=", ">", ">=")
    several: bool = False

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`; the value is the number, with its unit after it."""
        match = _PERCENT.fullmatch(text.casefold())
        number, unit = match.groups() if match is not None else (text, None)
        try:
            percent = Quantity(self.name, "", 0.0, 100.0).parse(number)
        except InputError as error:
            raise Unfit(error.message, hint=f"{error.hint} Such as {self.name}>20at%.".strip()) from None
        return f"{percent!r} {unit or 'at'}"

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`; an element that was not found where others were is 0 % there."""
        percent, unit = str(values[0]).split()
        found = np.full(len(rows.rows), math.nan)
        for place, number in enumerate(rows.rows["id"].tolist()):
            if (amounts := rows.facts.compositions.get(number)) is not None:
                found[place] = next((a.percent for a in amounts if (a.element, a.unit) == (self.name, unit)), 0.0)
        return NumberField(self.name, lambda _rows: found).mask(rows, operator, (float(percent),))


@dataclass(frozen=True, slots=True)
class CountField:
    """Whole numbers that name something: those that ``names`` gives, or any; ``sign`` may stand before them.

    ``fits`` says which findings have one of some numbers.
    """

    name: str
    fits: Callable[[FieldRows, Ints], Flags]
    names: Callable[[Known], tuple[int, ...]] | None = None
    words: dict[str, float] = field(default_factory=dict)
    operators: tuple[str, ...] = ("=", "!=")
    several: bool = True
    sign: str = ""
    thing: str = ""

    def value(self, text: str, operator: str, known: Known) -> Value:
        """See :class:`Field`."""
        if text.casefold() in self.words:
            return self.words[text.casefold()]
        text = text.removeprefix(self.sign)
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            also = "".join(f", or {word}" for word in self.words)
            raise Unfit(
                f"{text or 'nothing'} is not the number of a {self.thing or self.name}",
                hint=f"Write a whole number{also}.",
            )
        number = int(text)
        if self.names is not None and number not in (there := self.names(known)):
            listed = ", ".join(map(str, there)) or "none yet"
            raise Unfit(f"there is no {self.name} {number}", hint=f"There are: {listed}.")
        return float(number)

    def mask(self, rows: FieldRows, operator: str, values: tuple[Value, ...]) -> Flags:
        """See :class:`Field`."""
        fit = self.fits(rows, np.array(values, np.int64))
        return ~fit if operator == "!=" else fit


def _codes(rows: FieldRows) -> np.ndarray:
    codes = np.empty(len(rows.rows), object)
    codes[:] = [rows.facts.codes.get(number, "") for number in rows.rows["class_id"].tolist()]
    return codes


def _slide(rows: FieldRows) -> np.ndarray:
    return np.full(len(rows.rows), rows.slide, object)


def _sides_um(rows: FieldRows) -> tuple[np.ndarray, np.ndarray]:
    size_y, size_x = rows.facts.pixel_size_um or (math.nan, math.nan)
    boxes = rows.rows
    return (boxes["y1"] - boxes["y0"]) * size_y, (boxes["x1"] - boxes["x0"]) * size_x


def _longer_px(rows: FieldRows) -> np.ndarray:
    boxes = rows.rows
    longer: np.ndarray = np.maximum(boxes["y1"] - boxes["y0"], boxes["x1"] - boxes["x0"])
    return longer


def _middle(axis: str, rows: FieldRows) -> np.ndarray:
    middle: np.ndarray = (rows.rows[f"{axis}0"] + rows.rows[f"{axis}1"]) / 2
    return middle


def _found_by(rows: FieldRows, runs: Ints) -> Flags:
    said, ids = rows.facts.opinions, rows.rows["id"]
    fit = said.found_by(ids, runs.tolist())
    return fit | ~said.has(ids) if _NO_RUN in runs else fit


CLASS = TextField("class", _codes, lambda known: known.codes)
NOTE = TextField("note", lambda rows: rows.rows["note"])
REASON = TextField("reason", lambda rows: rows.rows["reason"])

FIELDS: dict[str, Field] = {
    known.name: known
    for known in (
        CLASS,
        NumberField("confidence", lambda rows: rows.rows["confidence"], most=1.0, unknown="drawn"),
        WordField("state", _STATES),
        TextField("slide", _slide, lambda known: known.slides),
        CountField("run", _found_by, lambda known: known.runs, {"none": float(_NO_RUN)}),
        FlagField("disputed", FindingFlag.DISPUTED),
        FlagField("again", FindingFlag.FOUND_AGAIN),
        WordField("chosen", _YES_NO),
        NOTE,
        REASON,
        AnyTextField("text"),
        NumberField("size_um", lambda rows: np.maximum(*_sides_um(rows))),
        NumberField("width_um", lambda rows: _sides_um(rows)[1]),
        NumberField("height_um", lambda rows: _sides_um(rows)[0]),
        NumberField("size_px", _longer_px),
        NumberField("x_px", lambda rows: _middle("x", rows), least=-math.inf),
        NumberField("y_px", lambda rows: _middle("y", rows), least=-math.inf),
        CountField(
            "number", lambda rows, ids: np.isin(rows.rows["id"], ids), operators=("=",), sign="#", thing="finding"
        ),
    )
}
"""Every field by the name it is written with; core/query_words.py says what each is."""
_ELEMENTS = {symbol.casefold(): ElementField(symbol) for symbol in ATOMIC_WEIGHT}


def field_named(name: str) -> Field | None:
    """Return the field of this name, also that of an element: ``Ni``."""
    return FIELDS.get(name.casefold()) or _ELEMENTS.get(name.casefold())
