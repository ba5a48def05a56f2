"""Numbers as people and instruments write them: 0.35 and 0,35 are the same in every language, and nothing is guessed.

Signs between thousands are refused, because "1.234,5" and "1,234.5" come from people who mean different things by the
same signs. A single comma or point is always the decimal sign: "1,234" is 1.234.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from microscope_qc.core.errors import InputError

LARGEST = 1e15
"""Larger numbers would lose digits before the decimal sign."""
HOW_TO_WRITE = "Write it as 0.35 or 0,35, with no sign between the thousands."
_SHOWN = 60  # characters of what was typed, in messages
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![0-9])")
_AFTER_A_PART = re.compile(r"\s*[’'´`.,0-9]")
_GROUPED = {
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})"),
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+,[0-9]*|(?:\.[0-9]{3}){2,})"),
}
_ONE_GROUP = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,])[0-9]{3}")
_SIGNS = str.maketrans(
    {"−": "-", "－": "-", "‐": "-", "‑": "-", "–": "-", "＋": "+", "，": ",", "．": ".", "\ufeff": None, "\u200b": None}
)

_BASES = ("Ah", "Wh", "T", "A/m", "J/m3", "m", "g", "V", "A", "W", "Pa", "Hz", "Ω")
"""Units that a number may be given in with another prefix than the one wanted."""
_PREFIXES = {"": 0, "k": 3, "M": 6, "m": -3, "µ": -6, "u": -6, "n": -9}


def parse_number(text: str, *, unit: str = "", given_unit: str = "", what: str = "This") -> float:
    """Return the number that someone wrote.

    Digits of any script, signs and exponents are read; spaces around the number do not matter.

    Parameters
    ----------
    unit
        Of the result. The text may end with it, or with another prefix of it: "350 nm" is 0.35 in µm.
    given_unit
        Of a number without one; "" is ``unit``.
    what
        Name of the number in messages.

    Raises
    ------
    InputError
        When it is not one number, or is in another unit.
    """
    plain = plain_digits(text)
    found = _NUMBER.match(plain)
    rest = plain[found.end() :] if found else plain
    if found is None or _AFTER_A_PART.match(rest):
        raise InputError(f"“{' '.join(text.split())[:_SHOWN]}” is not a number.", hint=HOW_TO_WRITE)
    rest = rest.strip()
    factor = unit_factor(rest or given_unit or unit, unit)
    if factor is None:
        raise InputError(
            f"{what} takes a number{f' in {unit}' if unit else ''}, not “{(rest or given_unit)[:40]}”.",
            hint=f"Give it in {unit}." if unit else "Leave the unit out.",
        )
    value = float(Decimal(found.group().replace(",", ".")) * factor)
    if not abs(value) <= LARGEST:
        raise InputError(f"“{text.strip()[:_SHOWN]}” is too large.", hint="Check the number.")
    return value + 0.0  # -0 is 0


def number_in(text: str, *, unit: str = "", grouped: frozenset[str] = frozenset()) -> float:
    """Return the number in a cell of a table; NaN for anything else ("n.d.", "< 0.1", "1,234.5").

    Parameters
    ----------
    unit
        See :func:`parse_number`.
    grouped
        Signs that stand between thousands elsewhere in the table, from :func:`grouping_signs`: with one of them
        "1.234" may be either, and is no number.
    """
    plain = plain_digits(text)
    if grouped and (group := _ONE_GROUP.match(plain)) and group.group(1) in grouped:
        return math.nan
    try:
        return parse_number(plain, unit=unit)
    except InputError:
        return math.nan


def grouping_signs(cells: Iterable[str]) -> frozenset[str]:
    """Return the signs, comma or point, that surely stand between thousands somewhere in these cells."""
    plain = [plain_digits(cell) for cell in cells if "," in cell or "." in cell]
    return frozenset(sign for sign, pattern in _GROUPED.items() if any(pattern.fullmatch(cell) for cell in plain))


def plain_digits(text: str) -> str:
    """Return text with ASCII digits and signs, and without spaces around it: ``１２，５`` -> ``12,5``."""
    plain = text.strip().translate(_SIGNS).strip()
    if plain.isascii():
        return plain
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Parts of a text by which ``S2`` comes before ``S10``."""
    parts = (part.strip() for part in re.split(r"([0-9]{1,15})", text.casefold()))
    return tuple((0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts) if part)


def exact_text(value: float) -> str:
    """Return a number with every digit it has, without an exponent: ``0.00124``, ``0.3`` for 0.1 + 0.2, ``12000``.

    A double holds 15 digits of what was typed; what comes after them is noise of its arithmetic.
    """
    if not math.isfinite(value):
        return ""
    text = f"{Decimal(f'{value:.15g}'):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def short_text(value: float, digits: int = 6) -> str:
    """Return a number with so many digits that count, without an exponent, for terminals: ``0.00124``, ``0.333333``.

    Digits before the point are all kept.
    """
    return exact_text(rounded(value, 0, digits=digits))


def rounded(value: float, decimals: int, *, digits: int = 6) -> float:
    """Round to decimals, or to digits that count where that keeps more: nanometres stand beside centimetres."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, max(decimals, digits - 1 - math.floor(math.log10(abs(value)))))


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that someone is asked for: what it is, its unit and its limits.

    Attributes
    ----------
    what
        Begins a sentence: "The pixel size".
    unit
        "" for a plain number.
    low, high
        Least and largest number, both allowed.
    whole
        Whether it counts something.
    """

    what: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def parse(self, text: str) -> float:
        """Return the number in a text.

        Raises
        ------
        InputError
            When it is none, or outside the limits.
        """
        return self.check(parse_number(text, unit=self.unit, what=self.what))

    def check(self, value: float) -> float:
        """Return the number if it is within the limits.

        Raises
        ------
        InputError
            When it is not.
        """
        if self.whole and not float(value).is_integer():
            raise InputError(f"{self.what} is a whole number, not {exact_text(value)}.", hint=self.limits)
        if not self.low <= value <= self.high:
            raise InputError(f"{self.what} cannot be {self._with_unit(exact_text(value))}.", hint=self.limits)
        return value

    @property
    def limits(self) -> str:
        """A sentence about the limits, "" without any: ``It is 0.0001 to 1000 µm.``"""
        low, high = exact_text(self.low), exact_text(self.high)
        if low and high:
            return f"It is {self._with_unit(f'{low} to {high}')}."
        if low or high:
            return f"It is {self._with_unit(low or high)} or {'more' if low else 'less'}."
        return ""

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}" if self.unit else text


def unit_factor(given: str, wanted: str) -> Decimal | None:
    """Return what a number in ``given`` is multiplied by to be one in ``wanted``; None where that is not known."""
    have, want = _unit(given), _unit(wanted)
    if have == want:
        return Decimal(1)
    for base in _BASES:
        powers = [_PREFIXES.get(unit.removesuffix(base)) if unit.endswith(base) else None for unit in (have, want)]
        if powers[0] is not None and powers[1] is not None:
            return Decimal(10) ** (powers[0] - powers[1])
    return None


def _unit(text: str) -> str:
    # NFKC: m³ and m^3 are m3, the micro sign is a mu
    return unicodedata.normalize("NFKC", text).replace("^", "").replace(" ", "").replace("μ", "µ")
