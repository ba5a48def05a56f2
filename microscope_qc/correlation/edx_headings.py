"""What the headings of tables of compositions say: elements, units, errors, places on the stage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from microscope_qc.core.elements import element_in

LABEL_HEADS = (
    "defect_id", "defect", "label", "spectrum", "spectrum label", "spectrum name", "name", "point", "id", "spektrum",
)  # fmt: skip
STATISTICS = re.compile(
    r"(statistics?|statistik|mean|average|median|max(imum)?|min(imum)?|range|sigma|std|standard(?=\s*(dev|err|abw))"
    r"|standardabweichung|totals?|sum|summe|gesamt|mittelwert|deviation)\b.*",
    re.IGNORECASE,
)
_WEIGHT = re.compile(r"(?<![a-z])(weight|wt|mass|masse|massen\w*|gew|gewichts?)(?![a-z])")
_ATOM = re.compile(r"(?<![a-z])(atomic|atoms?|at)(?![a-z])")
_PERCENT = re.compile(r"%|percent|prozent")
_ELEMENT_HEADS = ("element", "elem", "elem.", "elt", "elt.", "el")
_SIGMAS = re.compile(r"(?:([1-9]) ?)?(?:sigma|σ)")
_NO_AMOUNT = re.compile(r"sigma|err|fehler|oxid|compound|verbindung|net|no\.|nummer|number")
_UNIT_WORDS = {
    "%",
    "at",
    "atom",
    "atomic",
    "wt",
    "weight",
    "mass",
    "percent",
    "gew",
    "masse",
    "norm",
    "in",
    "c",
    "prozent",
}
_UNITS = re.compile(r"(?<![a-z])(weight|wt|mass\w*|gew\w*|atom\w*|at)(?![a-z])|percent|prozent")
_LONGEST_HEADING = 60


def unit_in(text: str) -> str:
    """Return "at" or "wt" where a text is about atom % or weight %, "" for neither or both."""
    words = text.casefold()
    if not _PERCENT.search(words):
        return ""
    weight, atom = _WEIGHT.search(words), _ATOM.search(words)
    return "" if bool(weight) == bool(atom) else "wt" if weight else "at"


def is_block_head(row: Sequence[str]) -> bool:
    """Whether lines of elements follow, with a column for each of their amounts."""
    return any(cell.casefold() in _ELEMENT_HEADS for cell in row) and any("%" in cell for cell in row)


def block_columns(row: Sequence[str]) -> dict[str, int]:
    """Places of the element, its amounts and their errors; normalised weight % before those that are not.

    "raw" are weight % that are not normalised, "error" is their absolute error, of so many standard deviations as
    "sigmas" says; so do "wt sigmas" of "wt sigma" and "at sigmas" of "at sigma".
    """
    columns: dict[str, int] = {}
    for place, cell in enumerate(row):
        word = cell.casefold()
        if word in _ELEMENT_HEADS:
            columns.setdefault("element", place)
        elif said := _SIGMAS.search(word):
            unit = unit_in(word.replace(said.group(), ""))
            if word.startswith("abs") or (unit == "wt" and "err" in word):
                columns.setdefault("error", place)
                columns.setdefault("sigmas", int(said.group(1) or 1))
            elif unit:
                columns.setdefault(f"{unit} sigma", place)
                columns.setdefault(f"{unit} sigmas", int(said.group(1) or 1))
        elif "%" not in word or _NO_AMOUNT.search(word):
            continue
        elif kind := unit_in(word):
            if kind == "wt" and "norm" not in word:
                columns.setdefault("raw", place)
            if kind not in columns or ("norm" in word and "norm" not in row[columns[kind]].casefold()):
                columns[kind] = place
        else:
            columns.setdefault("any", place)
    return columns


def block_label(filled: Sequence[str]) -> str:
    """The name above a block: "D3", "Spectrum: D3", or the second of two cells."""
    if len(filled) == 2:
        return filled[1]
    return re.sub(r"^(spectrum|spektrum|sample|label|name)\s*:\s*", "", filled[0], flags=re.IGNORECASE)


def element_heading(heading: str) -> tuple[str, str]:
    """Element and unit that a column holds by its heading; "" for what it does not say."""
    if len(heading) > _LONGEST_HEADING:
        return "", ""
    symbol = element_in(heading)
    if symbol is not None:
        return symbol, ""
    parts = re.findall(r"[^\W\d_]+|%", heading)
    symbols = [symbol for part in parts if part.casefold() != "at" and (symbol := element_in(part)) is not None]
    rest = {part.casefold() for part in parts if element_in(part) is None or part.casefold() == "at"}
    if len(symbols) == 1 and rest <= _UNIT_WORDS and not re.search(r"\d", heading):
        return symbols[0], unit_in(f"{' '.join(rest)} %")
    return "", ""


def element_columns(row: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Place of each element column, with its symbol and its unit ("" where the cell does not say it)."""
    known = {n: element_heading(cell) for n, cell in enumerate(row) if cell != "Y" or "X" not in row}  # on the stage
    return {place: (symbol, unit) for place, (symbol, unit) in known.items() if symbol}


def is_amount(heading: str) -> bool:
    """Whether a column holds amounts of something that is not an element, as it says at% or wt%."""
    words = heading.casefold()
    about = STATISTICS.match(heading) or _NO_AMOUNT.search(words) or _SIGMAS.search(words)
    return bool(unit_in(words)) and not about and any(c.isalpha() for c in _UNITS.sub("", words))


_SYMBOL = re.compile(r"[A-Z][a-z]{1,2}(?:[ -]?[KLM])?")
_NO_SYMBOLS = {
    "Avg", "Azi", "Cps", "Cts", "Det", "Dt", "Eht", "Fov", "Hfw", "Hv", "Id", "Idx", "Img", "Kv", "Lt", "Mag", "No",
    "Nr", "Num", "Pix", "Pos", "Pts", "Ref", "Rot", "Row", "Rt", "Run", "Tag", "Toa", "Typ", "Wd", "Yes",
}  # fmt: skip
_TOTAL = re.compile(r"(?:total|sum|summe|gesamt)s?\b(.*)", re.IGNORECASE)
_OF_AMOUNTS = {"%", "in", "norm", "normalised", "normalized"}


def is_like_element(heading: str) -> bool:
    """Whether a heading without a unit looks like the symbol of an element and is none: "Xx"."""
    like = _SYMBOL.fullmatch(heading.strip()) is not None
    return like and heading.strip() not in _NO_SYMBOLS and not STATISTICS.match(heading) and element_in(heading) is None


def is_total(heading: str) -> bool:
    """Whether a line or column holds what all amounts add up to: "Total", "Total [wt.%]", but not "Total counts"."""
    said = _TOTAL.fullmatch(heading.strip())
    return said is not None and set(re.findall(r"\w+|%", _UNITS.sub(" ", said.group(1).casefold()))) <= _OF_AMOUNTS


def stage_columns(words: Sequence[str]) -> list[tuple[int, float]]:
    """Place and factor to mm of stage x and y; [] where one of them is missing."""
    found: list[tuple[int, float]] = []
    for axis in "xy":
        for place, word in enumerate(words):
            match = re.fullmatch(rf"(?:stage[ _]?)?{axis}[ _]?\(?(mm|um|µm|μm)\)?", word)
            if match:
                found.append((place, 1.0 if match.group(1) == "mm" else 0.001))
                break
    return found if len(found) == 2 else []
