"""How numbers, units and findings are put into words, in the window, in reports and in a terminal.

A terminal is also read by scripts: it gets ``um`` and counts without spaces, so it uses :func:`plural`, not
:func:`things`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass

if TYPE_CHECKING:
    import numpy as np

NARROW_SPACE = "\u202f"
"""Between groups of three digits; unlike the thin space it never ends a line."""
UNKNOWN = "–"
NO_CLASS = DefectClass("?", "No class", "#9a9a9a")

# -- numbers -----------------------------------------------------------------------------------------------------------


def number_text(value: float, decimals: int = 0) -> str:
    """``12044.5`` -> ``12 044.5`` with narrow spaces and a true minus sign; "–" where it is not finite."""
    if not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = f"−{text[1:]}" if text.strip("-0.,") else text[1:]  # there is no negative nothing
    return text.replace(",", NARROW_SPACE)


def count_text(count: int) -> str:
    """``12044`` -> ``12 044`` with a narrow space."""
    return number_text(count)


def plural(count: int, one: str, many: str = "") -> str:
    """Only the word: ``slide`` for one, ``slides`` for any other number."""
    return one if count == 1 else many or f"{one}s"


def things(count: int, one: str, many: str = "") -> str:
    """``1 finding``, ``12 044 findings``."""
    return f"{count_text(count)} {plural(count, one, many)}"


def listed(words: Sequence[str]) -> str:
    """``1``, ``1 and 2``, ``1, 2 and 3``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def rounded_text(value: float) -> str:
    """Number with two or three digits that mean something: 0.062, 0.85, 14.2, 312, 3 612."""
    size = abs(value)
    if not math.isfinite(size):
        return UNKNOWN
    if size == 0 or round(size, 2) >= 1:
        return number_text(value, 1 if round(size, 1) < 100 else 0)
    return number_text(value, max(2, 1 - math.floor(math.log10(size))))


def significant_text(value: float, digits: int = 3) -> str:
    """Number with so many digits that count, without zeros at its end and never with an exponent: 0.0617, 14.2, 3 612.

    Digits before the point are all kept.
    """
    if not math.isfinite(value) or value == 0:
        return UNKNOWN if value != 0 else "0"
    text = number_text(value, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent_text(share: float) -> str:
    """A share (0 to 1) in per cent. What is not nothing is never 0 %, what is not all is never 100 %.

    ``0 %``, ``under 0.1 %``, ``0.4 %``, ``62 %``, ``99.9 %``, ``100 %``; "–" where it is not finite.
    """
    if not math.isfinite(share):
        return UNKNOWN
    value = 100 * share
    if value <= 0 or share >= 1:
        return "100 %" if share >= 1 else "0 %"
    if value < 0.1:
        return "under 0.1 %"
    return f"{min(value, 99.9):.1f} %" if value < 1 or value > 99 else f"{value:.0f} %"


def share_text(share: float) -> str:
    """``62 %`` or ``all``, for a sentence that goes on with "of the slide"."""
    return "all" if share >= 1 else percent_text(share)


def progress_text(fraction: float) -> str:
    """How far a job is, in whole per cent; 100 % only when it is done."""
    return f"{math.floor(100 * fraction + 1e-9)} %"


def zoom_text(zoom: float) -> str:
    """Screen pixels per slide pixel in per cent: ``6.3 %``, ``50 %``, ``1 600 %``."""
    percent = 100 * zoom
    return f"{number_text(percent, 0 if percent >= 10 else 1)} %"


def confidence_text(confidence: float) -> str:
    """Two decimals; what a user drew has no confidence."""
    return "drawn" if math.isnan(confidence) else f"{confidence:.2f}"


# -- units -------------------------------------------------------------------------------------------------------------


def metric_text(um: float, digits: int = 3) -> str:
    """A length in the unit that suits it: ``850 nm``, ``14.2 µm``, ``3.61 mm``; "–" where it is not finite."""
    if not math.isfinite(um):
        return UNKNOWN
    size = float(f"{abs(um):.{digits}g}")  # 999.9 µm with three digits are 1 mm
    if size >= 1000:
        return f"{significant_text(um / 1000, digits)} mm"
    if 0 < size < 1:
        return f"{significant_text(um * 1000, digits)} nm"
    return f"{significant_text(um, digits)} µm"


def round_length(longest: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer than ``longest``: for scale bars, axes and brushes.

    Raises
    ------
    ValueError
        When ``longest`` is not a positive number.
    """
    if not (longest > 0 and math.isfinite(longest)):
        raise ValueError("a scale bar needs a positive length")
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (0.5, 1.0, 2.0, 5.0) if step * power <= longest * (1 + 1e-9))


def degrees_text(degrees: float, decimals: int = 1) -> str:
    """``−12.5°``."""
    return f"{number_text(degrees, decimals)}°"


def bytes_text(count: int) -> str:
    """``98 GB``, ``1.4 TB``: powers of ten, as disks are sold."""
    value = float(count)
    if value < 999.5:
        return f"{value:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{number_text(value, 1 if value < 9.95 else 0)} {unit}"


def duration_text(seconds: float) -> str:
    """``80`` -> ``1:20``, ``4000`` -> ``1:06:40``; "–" where it is not finite."""
    if not math.isfinite(seconds):
        return UNKNOWN
    minutes, left = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def elapsed_text(seconds: float) -> str:
    """How long something took: ``3.2 s``, and from a minute on ``1:20``."""
    return f"{max(0.0, seconds):.1f} s" if round(seconds, 1) < 60 else duration_text(seconds)


# -- places and sizes on a slide ---------------------------------------------------------------------------------------


def extent_text(height_px: float, width_px: float, pixel_size_um: tuple[float, float] | None) -> str:
    """Width x height in µm, or in px while the pixel size (y, x) is unknown."""
    if pixel_size_um is None:
        return f"{number_text(width_px)} × {number_text(height_px)} px"
    return f"{rounded_text(width_px * pixel_size_um[1])} × {rounded_text(height_px * pixel_size_um[0])} µm"


def slide_extent_text(shape_px: tuple[int, int], pixel_size_um: tuple[float, float]) -> str:
    """Width x height of a slide: ``2.46 × 2.46 mm``."""
    height, width = (length * size / 1000 for length, size in zip(shape_px, pixel_size_um, strict=True))
    return f"{significant_text(width)} × {significant_text(height)} mm"


def area_text(area_px: float, pixel_size_um: tuple[float, float] | None) -> str:
    """An area in mm², a small one in µm²; in px² while the pixel size (y, x) is unknown."""
    if pixel_size_um is None:
        return f"{number_text(area_px)} px²"
    um2 = area_px * pixel_size_um[0] * pixel_size_um[1]
    return f"{significant_text(um2)} µm²" if um2 < 1000 else f"{significant_text(um2 / 1e6)} mm²"


def pixel_size_text(pixel_size_um: tuple[float, float], digits: int = 4) -> str:
    """``0.3 µm``, or ``0.3 × 0.25 µm`` (x before y) where pixels are not square."""
    y, x = (significant_text(size, digits) for size in pixel_size_um)
    return f"{x} µm" if x == y else f"{x} × {y} µm"


def place_text(y_px: float, x_px: float, pixel_size_um: tuple[float, float] | None) -> str:
    """A position on the slide, x before y: ``x 14.2, y 312 µm``; in px while the pixel size (y, x) is unknown."""
    if pixel_size_um is None:
        return f"x {number_text(x_px)}, y {number_text(y_px)} px"
    return f"x {rounded_text(x_px * pixel_size_um[1])}, y {rounded_text(y_px * pixel_size_um[0])} µm"


# -- findings ----------------------------------------------------------------------------------------------------------


def size_text(row: np.void, pixel_size_um: tuple[float, float] | None) -> str:
    """Width x height of a finding's box in µm, or in px while the pixel size is unknown."""
    return extent_text(float(row["y1"] - row["y0"]), float(row["x1"] - row["x0"]), pixel_size_um)


def position_text(row: np.void, pixel_size_um: tuple[float, float] | None) -> str:
    """Centre of a finding, x before y."""
    return place_text(float(row["y0"] + row["y1"]) / 2, float(row["x0"] + row["x1"]) / 2, pixel_size_um)


def class_of(classes: Mapping[int, DefectClass], row: np.void) -> DefectClass:
    """Class of a finding (a grey stand-in where it is gone)."""
    return classes.get(int(row["class_id"]), NO_CLASS)


def state_text(row: np.void) -> str:
    """``rejected: duplicate`` or just the state."""
    state = ReviewState(int(row["state"]))
    return f"{state.word}: {row['reason']}" if state is ReviewState.REJECTED and row["reason"] else state.word


def tooltip(row: np.void, classes: Mapping[int, DefectClass], pixel_size_um: tuple[float, float] | None) -> str:
    """Several lines about one finding."""
    found = class_of(classes, row)
    lines = [
        f"{found.code}  {found.name}",
        f"confidence {confidence_text(float(row['confidence']))}",
        size_text(row, pixel_size_um),
        state_text(row),
    ]
    if row["chosen"]:
        lines.append("chosen for the SEM")
    if row["note"]:
        lines.append(str(row["note"]))
    return "\n".join(lines)
