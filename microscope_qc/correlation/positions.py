"""Stage positions as people type and paste them: ``75,6442 60,4901``, ``X = 75.6442 mm, Y = 60.4901 mm``."""

from __future__ import annotations

import re

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import HOW_TO_WRITE, parse_number

_NUMBER = r"[+−-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?(?![.,]?[0-9])"
_UNIT = r"(?:\s*(?:mm|µm|μm|um|nm|m)\b)?"
_ONE = re.compile(rf"(?<![\w.,])({_NUMBER}{_UNIT})")
_AXIS = re.compile(rf"\b([xXyY])\b[^0-9+−a-zA-Z-]*({_NUMBER}{_UNIT})")
_BETWEEN = re.compile(r"(?<=\d)([.]\d+),(?=\s*[+−-]?\d+[.]\d)")
MOST_LINES = 1000
_FARTHEST_MM = 1000.0
"""No stage of a microscope goes farther."""
_FARTHEST_FROM_MARKS_MM = 300.0
"""Nor farther from the marks of what lies on it."""


def position_in(text: str, *, unit: str = "mm") -> tuple[float, float]:
    """Return x and y in mm of a position.

    Axes that are named come in any order; otherwise the first two numbers are x and y. A comma between two numbers
    with decimal points separates them; any other comma between digits is a decimal sign.

    Parameters
    ----------
    unit
        Of numbers without one: "mm" or "um".

    Raises
    ------
    InputError
        When there are not two numbers in it.
    """
    plain = _BETWEEN.sub(r"\1 ", text)
    named = {axis.casefold(): value for axis, value in _AXIS.findall(plain)}
    values = [named["x"], named["y"]] if named.keys() >= {"x", "y"} else _ONE.findall(plain)
    if len(values) < 2:
        said = " ".join(text.split())[:40]
        raise InputError(f"“{said}” is no position on a stage.", hint=f"Type x and y. {HOW_TO_WRITE}")
    x, y = (parse_number(value, unit="mm", given_unit=unit, what="A stage position") for value in values[:2])
    return x, y


def positions_in(text: str, *, unit: str = "mm") -> list[tuple[str, tuple[float, float]]]:
    """Names and positions of several lines: ``M1; 10,000; 20,000``. The name is "" where a line has none.

    Lines without two numbers, such as headings, are left out.

    Raises
    ------
    InputError
        When no line holds a position.
    """
    found = []
    for line in text.splitlines()[:MOST_LINES]:
        name, rest = _name_of(line)
        try:
            found.append((name, position_in(rest, unit=unit)))
        except InputError:
            continue
    if not found:
        raise InputError("The text holds no position on a stage.", hint=f"A line for each: x and y. {HOW_TO_WRITE}")
    return found


def _name_of(line: str) -> tuple[str, str]:
    """What stands before the first separator, where that is a word and neither a number nor an axis."""
    parts = re.split(r"[;\t:]" if re.search(r"[;\t:]", line.strip()) else r"[,\s]", line.strip(), maxsplit=1)
    name = parts[0].strip().strip('"')
    is_name = re.search(r"[^\W\d_]", name) and name.casefold() not in ("x", "y") and "=" not in name
    return (name, parts[1]) if len(parts) > 1 and is_name and not _ONE.fullmatch(name) else ("", line)


def wrong_unit(found_mm: np.ndarray, known_mm: np.ndarray) -> str:
    """Unit in which positions on a stage seem to be that are taken for mm; "" where they may be mm.

    Parameters
    ----------
    found_mm, known_mm
        The positions, and those of the marks of an alignment near which they must lie, shapes (n, 2) and (m, 2), in mm.
        Without marks only what no stage reaches is told. Around marks at the origin anything lies once it is divided by
        1000: there it also takes that most positions are farther from the marks than a stage goes.
    """
    if not len(found_mm):
        return ""
    if not len(known_mm):
        return "µm" if np.abs(found_mm).max() > _FARTHEST_MM else ""
    middle = known_mm.mean(axis=0)
    reach = np.linalg.norm(known_mm - middle, axis=1).max()
    far = np.linalg.norm(found_mm - middle, axis=1)
    if far.min() <= 3 * reach:
        return ""
    for unit, factor in (("µm", 0.001), ("m", 1000.0)):
        if unit == "µm" and np.median(far) <= _FARTHEST_FROM_MARKS_MM:
            continue
        if np.linalg.norm(found_mm * factor - middle, axis=1).max() <= 1.5 * reach:
            return unit
    return ""
