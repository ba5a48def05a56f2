"""How finds are put into words and numbers in gallery, review and SEM lists."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass

THIN_SPACE = "\u2009"
NO_CLASS = DefectClass("?", "No class", "#9a9a9a")


def count_text(count: int) -> str:
    """``12044`` -> ``12 044`` with a thin space."""
    return f"{count:,}".replace(",", THIN_SPACE)


def things(count: int, one: str, many: str = "") -> str:
    """``1 find``, ``2 finds``."""
    return f"{count_text(count)} {one if count == 1 else many or one + 's'}"


def length_text(um: float) -> str:
    """Number with three digits that mean something: 0.85, 14.2, 312, 3 612."""
    if not math.isfinite(um):
        return "–"
    decimals = 2 if abs(um) < 1 else 1 if abs(um) < 100 else 0
    return f"{um:,.{decimals}f}".replace(",", THIN_SPACE)


def size_text(row: np.void, pixel_size_um: tuple[float, float] | None) -> str:
    """Width x height of a box in µm, or in px while the pixel size is unknown."""
    width, height = float(row["x1"] - row["x0"]), float(row["y1"] - row["y0"])
    if pixel_size_um is None:
        return f"{width:.0f} × {height:.0f} px"
    return f"{length_text(width * pixel_size_um[1])} × {length_text(height * pixel_size_um[0])} µm"


def confidence_text(confidence: float) -> str:
    """Two decimals; what a person drew has no confidence."""
    return "drawn" if math.isnan(confidence) else f"{confidence:.2f}"


def class_of(classes: Mapping[int, DefectClass], row: np.void) -> DefectClass:
    """Class of a box (a grey stand-in where it is gone)."""
    return classes.get(int(row["class_id"]), NO_CLASS)


def state_text(row: np.void) -> str:
    """``rejected: duplicate`` or just the state."""
    state = ReviewState(int(row["state"]))
    return f"{state.word}: {row['reason']}" if state is ReviewState.REJECTED and row["reason"] else state.word


def tooltip(row: np.void, classes: Mapping[int, DefectClass], pixel_size_um: tuple[float, float] | None) -> str:
    """Several lines about one find."""
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
