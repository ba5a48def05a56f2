"""The finding that each EDX composition belongs to: by its number, else by its position on the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.correlation.edx_tables import Spectrum, finding_number
from microscope_qc.correlation.registration import Registration


@dataclass(frozen=True, slots=True)
class SpectrumMatch:
    """A spectrum and its finding; ``by`` is "label" or "position"."""

    label: str
    box_id: int
    by: str
    spectrum: Spectrum


@dataclass(frozen=True, slots=True)
class Matching:
    """Spectra with one defect, those that fit several, and those that fit none, with the reason.

    ``notes`` are sentences about what was left out of compositions or is doubtful in them, and about labels that
    several lines have.
    """

    matched: tuple[SpectrumMatch, ...]
    ambiguous: dict[str, tuple[int, ...]]
    unmatched: dict[str, str]
    notes: tuple[str, ...] = ()


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
    times = Counter(spectrum.label for spectrum in spectra)
    for spectrum in spectra:
        number = finding_number(spectrum.label)
        if not spectrum.at_percent:
            unmatched.setdefault(spectrum.label, " ".join(spectrum.notes))
            continue
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
    notes = [f"{label} stands in {count} lines." for label, count in times.items() if count > 1]
    notes += [f"{match.label}: {note}" for match in matched for note in match.spectrum.notes]
    return Matching(tuple(matched), ambiguous, unmatched, tuple(dict.fromkeys(notes)))


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
        "computed_from_wt": spectrum.computed,
        "stage_mm": None if spectrum.stage_mm is None else list(spectrum.stage_mm),
        "matched_by": match.by,
        "source": source,
    }
