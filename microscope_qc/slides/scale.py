"""How large a pixel is, from what several places of a file say about it.

A statement counts only when it is about this very picture: a scale that was written for a picture of another size, such
as the full frame of a reduced copy, would give wrong lengths that look right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from microscope_qc.core.wording import significant_text
from microscope_qc.slides.base import usable_size

DIFFERS = 0.01
"""Two statements that differ by more than this share contradict each other."""

INCH_UM = 25_400.0
LENGTHS_UM = {
    "pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3,
    "µm": 1.0, "um": 1.0, "micron": 1.0, "micrometer": 1.0,
    "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "dm": 1e5, "m": 1e6, "meter": 1e6,
    "in": INCH_UM, "inch": INCH_UM, '"': INCH_UM,
}  # fmt: skip
PRINT_UNITS = ("in", "inch", '"', "cm", "centimeter")
"""Units in which print resolutions are given: 300 dots per inch say nothing of a specimen."""

# print resolutions (72 to 1200 dots per inch) are 21 um or coarser; scanners and microscopes write finer ones
COARSEST_PRINT_UM = 10.0


@dataclass(frozen=True, slots=True)
class Statement:
    """What one place says.

    Attributes
    ----------
    source
        The place, as users know it: ``Zeiss``, ``ImageJ``.
    size_um
        (y, x); None where it is not about this picture, which ``doubt`` says.
    doubt
        Why the size is not taken: a clause that follows "its pixel size is unknown: ".
    """

    source: str
    size_um: tuple[float, float] | None
    doubt: str = ""


def statement(source: str, y: float | None, x: float | None) -> list[Statement]:
    """A statement about a pixel of (y, x) um, or none where one of them is missing or cannot be."""
    size_y, size_x = usable_size(y), usable_size(x)
    return [] if size_y is None or size_x is None else [Statement(source, (size_y, size_x))]


def doubtful(source: str, doubt: str) -> list[Statement]:
    """A statement that is not about this picture, and why."""
    return [Statement(source, None, doubt)]


def settled(statements: Sequence[Statement]) -> tuple[tuple[float, float] | None, str]:
    """Return the pixel size (y, x) that counts and a note, "" where there is nothing to say.

    The first statement counts; that others contradict it is said. One that is not about this picture makes the size
    unknown unless another place states one.
    """
    known = [one for one in statements if one.size_um is not None]
    doubts = [one.doubt for one in statements if one.size_um is None]
    if not known:
        return None, f"its pixel size is unknown: {doubts[0]}" if doubts else ""
    first = known[0]
    others = [one for one in known[1:] if not alike(one.size_um, first.size_um)]
    if others:
        said = [f"{_words(one.size_um)} by {one.source}" for one in (first, *others)]
        return first.size_um, f"its pixel size is stated as {' and as '.join(said)}; the first is taken"
    return first.size_um, ""


def alike(first: tuple[float, float] | None, second: tuple[float, float] | None, *, within: float = DIFFERS) -> bool:
    """Whether two sizes are the same but for rounding."""
    if first is None or second is None:
        return False
    return all(abs(a - b) <= within * min(abs(a), abs(b)) for a, b in zip(first, second, strict=True))


def length_unit_um(unit: object) -> float | None:
    """Micrometres of a unit, however it is spelled (``nm``, ``nanometers``, ``Micron``); None for what is no length."""
    return LENGTHS_UM.get(plain_unit(unit))


def plain_unit(unit: object) -> str:
    """A unit in small letters and in the singular, with one kind of µ."""
    text = str(unit or "").strip().strip("\0").replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("\\u03BC", "µ")
    text = text.casefold().replace("μ", "µ").rstrip(".")
    text = re.sub(r"metre(s?)$", r"meter\1", text)
    if text in ("inches", "inchs"):
        return "inch"
    return text[:-1] if len(text) > 3 and text.endswith("s") else text


def length_um(text: object) -> float | None:
    """Micrometres of ``10um``, ``1.5 mm`` or ``500 nm``; None where it is no length with a unit."""
    found = re.fullmatch(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([^\d\s].*?)\s*", str(text))
    unit = None if found is None else length_unit_um(found.group(2))
    return None if found is None or unit is None else float(found.group(1).replace(",", ".")) * unit


def fits(size_px: Sequence[float], shape: tuple[int, int]) -> bool:
    """Whether a frame of (width, height) is a picture of (height, width), which may have a data bar below it."""
    width, height = size_px
    return width == shape[1] and height <= shape[0] <= 1.25 * height


def other_frame(width: float, height: float) -> str:
    """The doubt about a scale that was written for a picture of another size."""
    return f"its file states it for a picture of {width:.0f} x {height:.0f} pixels"


def _words(size: tuple[float, float] | None) -> str:
    assert size is not None
    y, x = (significant_text(side, 4) for side in size)
    return f"{x} µm" if x == y else f"{x} µm wide and {y} µm high"
