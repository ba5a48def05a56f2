"""Tables of EDX compositions, written by instruments or by hand, and the defect that each line belongs to.

Two layouts are read: one line per spectrum with a column per element, and blocks of lines per spectrum with the columns
``Element``, ``Wt%``, ``Atomic %`` below the spectrum's name (the layout of AZtec's tables).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.numbers import number_in
from microscope_qc.core.sheets import read_sheet
from microscope_qc.correlation.elements import ATOMIC_WEIGHT, atomic_percent
from microscope_qc.correlation.registration import Registration
from microscope_qc.correlation.targets import OUTSIDE

_LABELS = ("defect_id", "defect", "label", "spectrum", "spectrum label", "spectrum name", "name", "point", "id")


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One composition. ``stage_mm`` is (x, y) or None."""

    label: str
    at_percent: dict[str, float]
    wt_percent: dict[str, float] = field(default_factory=dict)
    stage_mm: tuple[float, float] | None = None


def read_spectra(path: Path | str) -> list[Spectrum]:
    """Read a CSV or XLSX table.

    Raises
    ------
    ExchangeError
        When it cannot be read or holds no composition.
    """
    path = Path(path)
    rows = read_sheet(path, what="table of compositions")
    spectra = _blocks(rows) if any(_is_block_head(row) for row in rows) else _wide(rows)
    spectra = [spectrum for spectrum in spectra if spectrum.at_percent]
    if not spectra:
        raise ExchangeError(
            f"{path.name} holds no composition.",
            hint="It needs a column for the finding's number and one for each element, such as 'Ni at%'.",
        )
    return spectra


def _number(text: str) -> float | None:
    value = number_in(text)
    return None if math.isnan(value) else value


def _is_block_head(row: Sequence[str]) -> bool:
    cells = [cell.casefold() for cell in row]
    return "element" in cells and any("%" in cell for cell in cells)


def _blocks(rows: Sequence[Sequence[str]]) -> list[Spectrum]:
    found: list[Spectrum] = []
    label = ""
    columns: dict[str, int] = {}
    at: dict[str, float] = {}
    wt: dict[str, float] = {}

    def finish() -> None:
        if at or wt:
            found.append(Spectrum(label, at or atomic_percent(wt), wt))

    for row in rows:
        filled = [cell for cell in row if cell]
        if _is_block_head(row):
            finish()
            columns, at, wt = _block_columns(row), {}, {}
        elif columns and len(row) > columns["element"] and row[columns["element"]] in ATOMIC_WEIGHT:
            symbol = row[columns["element"]]
            for target, key in ((at, "at"), (wt, "wt")):
                value = _number(row[columns[key]]) if key in columns and columns[key] < len(row) else None
                if value is not None and value >= 0:
                    target[symbol] = value
        elif filled and not filled[0].casefold().startswith("total"):
            finish()
            columns, at, wt = {}, {}, {}
            label = filled[-1] if len(filled) == 2 else filled[0]
    finish()
    return found


def _block_columns(row: Sequence[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for place, cell in enumerate(row):
        word = cell.casefold().replace(" ", "")
        if word == "element":
            columns["element"] = place
        elif "sigma" in word or "error" in word:
            continue
        elif "%" in word and word.startswith(("wt", "weight", "mass")):
            columns.setdefault("wt", place)
        elif "%" in word and word.startswith(("at", "atom")):
            columns.setdefault("at", place)
    return columns


def _wide(rows: Sequence[Sequence[str]]) -> list[Spectrum]:
    head_at = next((i for i, row in enumerate(rows) if len(_element_columns(row)) >= 1 and len(row) >= 2), None)
    if head_at is None:
        return []
    head = rows[head_at]
    elements = _element_columns(head)
    words = [cell.casefold().strip() for cell in head]
    label_at = next((words.index(word) for word in _LABELS if word in words), None)
    stage = _stage_columns(words)
    found = []
    for number, row in enumerate(rows[head_at + 1 :], start=1):
        at: dict[str, float] = {}
        wt: dict[str, float] = {}
        for place, (symbol, unit) in elements.items():
            value = _number(row[place]) if place < len(row) else None
            if value is not None and value >= 0:
                (wt if unit == "wt" else at)[symbol] = value
        label = row[label_at] if label_at is not None and label_at < len(row) else ""
        xy = [_number(row[place]) if place < len(row) else None for place, _ in stage]
        mm = None
        if len(xy) == 2 and xy[0] is not None and xy[1] is not None:
            mm = (xy[0] * stage[0][1], xy[1] * stage[1][1])
        found.append(Spectrum(label or f"line {number}", at or atomic_percent(wt), wt, mm))
    return found


def _element_columns(row: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Place of each element column, with its symbol and unit ("at" unless it says weight)."""
    found = {}
    for place, cell in enumerate(row):
        parts = re.findall(r"[A-Za-z]+|%", cell)
        symbols = [part for part in parts if part in ATOMIC_WEIGHT and part.casefold() != "at"]
        rest = {part.casefold() for part in parts} - {symbol.casefold() for symbol in symbols}
        if len(symbols) == 1 and rest <= {"%", "at", "atom", "atomic", "wt", "weight", "mass", "percent"}:
            found[place] = (symbols[0], "wt" if rest & {"wt", "weight", "mass"} else "at")
    return found


def _stage_columns(words: Sequence[str]) -> list[tuple[int, float]]:
    """Place and factor to mm of stage x and y; [] where one of them is missing."""
    found: list[tuple[int, float]] = []
    for axis in "xy":
        for place, word in enumerate(words):
            match = re.fullmatch(rf"(?:stage[ _]?)?{axis}[ _]?\(?(mm|um|µm)\)?", word)
            if match:
                found.append((place, 1.0 if match.group(1) == "mm" else 0.001))
                break
    return found if len(found) == 2 else []


@dataclass(frozen=True, slots=True)
class SpectrumMatch:
    """A spectrum and its finding; ``by`` is "label" or "position"."""

    label: str
    box_id: int
    by: str
    spectrum: Spectrum


@dataclass(frozen=True, slots=True)
class Matching:
    """Spectra with one defect, those that fit several, and those that fit none, with the reason."""

    matched: tuple[SpectrumMatch, ...]
    ambiguous: dict[str, tuple[int, ...]]
    unmatched: dict[str, str]


_FINDING = re.compile(r"(?:defect|d|id|nr\.?|no\.?|#)?[\s_#:-]*0*(\d{1,15})(?:\s+\S+)?", re.IGNORECASE)


def finding_number(label: str) -> int | None:
    """Number of a finding in a label ("12", "D12", "#12", "defect 012", "12 AOP"); "Spectrum 12" counts spectra."""
    match = _FINDING.fullmatch(label.strip().removesuffix(OUTSIDE).strip())
    return int(match.group(1)) if match else None


def match_spectra(
    spectra: Sequence[Spectrum],
    rows: np.ndarray,
    registration: Registration | None,
    *,
    rows_aligned: np.ndarray | None = None,
) -> Matching:
    """Match by label first, then by stage position: the one finding whose box is within the expected error.

    Parameters
    ----------
    rows
        Box rows the spectra may belong to.
    registration
        Alignment for positions; None matches by label only.
    rows_aligned
        Rows of the slide that the alignment belongs to; None takes ``rows``.
    """
    known = {int(number) for number in rows["id"]}
    matched: list[SpectrumMatch] = []
    ambiguous: dict[str, tuple[int, ...]] = {}
    unmatched: dict[str, str] = {}
    for spectrum in spectra:
        number = finding_number(spectrum.label)
        if number in known and number is not None:
            matched.append(SpectrumMatch(spectrum.label, number, "label", spectrum))
            continue
        if spectrum.stage_mm is None or registration is None:
            missing = "no stage position" if spectrum.stage_mm is None else "no alignment to place it with"
            reason = f"no finding {number}" if number is not None else "no number of a finding"
            unmatched[spectrum.label] = f"{reason}, {missing}"
            continue
        near = _near(spectrum.stage_mm, rows if rows_aligned is None else rows_aligned, registration)
        if len(near) == 1:
            matched.append(SpectrumMatch(spectrum.label, near[0], "position", spectrum))
        elif near:
            ambiguous[spectrum.label] = tuple(near)
        else:
            unmatched[spectrum.label] = "no finding within the expected error"
    return Matching(tuple(matched), ambiguous, unmatched)


def _near(stage_mm: tuple[float, float], rows: np.ndarray, registration: Registration) -> list[int]:
    place = registration.from_stage(np.array([stage_mm]))
    radius_um = float(np.nan_to_num(registration.r95_um(place)[0], nan=0.0))
    size_y, size_x = registration.pixel_size_um
    y, x = place[0]
    dy = np.maximum(np.maximum(rows["y0"] - y, y - rows["y1"]), 0) * size_y
    dx = np.maximum(np.maximum(rows["x0"] - x, x - rows["x1"]), 0) * size_x
    return [int(number) for number in rows["id"][np.hypot(dy, dx) <= radius_um]]


def as_json(match: SpectrumMatch, source: str) -> dict[str, Any]:
    """A match as the project stores it."""
    spectrum = match.spectrum
    return {
        "label": spectrum.label,
        "at_percent": spectrum.at_percent,
        "wt_percent": spectrum.wt_percent,
        "stage_mm": None if spectrum.stage_mm is None else list(spectrum.stage_mm),
        "matched_by": match.by,
        "source": source,
    }
