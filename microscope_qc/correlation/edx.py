"""The finding that each EDX composition belongs to: by its number, else by its position on the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.correlation.edx_tables import Spectrum, finding_number
from microscope_qc.correlation.registration import Registration


@dataclass(frozen=True, slots=True)
class Placement:
    """A spectrum and where it belongs.

    ``box_id`` is the one finding that it clearly belongs to, ``by`` "label" or "position"; otherwise ``candidates`` are
    the findings that it may belong to, and ``reason`` says why it belongs to none.
    """

    spectrum: Spectrum
    box_id: int | None = None
    by: str = ""
    candidates: tuple[int, ...] = ()
    reason: str = ""

    @property
    def label(self) -> str:
        """The label of the spectrum."""
        return self.spectrum.label


@dataclass(frozen=True, slots=True)
class Matching:
    """All spectra of a table with their places.

    ``notes`` are sentences about what was left out of compositions or is doubtful in them, and about labels that
    several lines have.
    """

    placements: tuple[Placement, ...]
    notes: tuple[str, ...] = ()

    @property
    def matched(self) -> tuple[Placement, ...]:
        """Spectra with one finding."""
        return tuple(known for known in self.placements if known.box_id is not None)

    @property
    def ambiguous(self) -> dict[str, tuple[int, ...]]:
        """Labels of spectra that fit several findings."""
        return {known.label: known.candidates for known in self.placements if known.candidates}

    @property
    def unmatched(self) -> dict[str, str]:
        """Labels of spectra that fit no finding, and why."""
        return {known.label: known.reason for known in self.placements if known.reason and not known.candidates}


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
    aligned = rows if rows_aligned is None else rows_aligned
    placements = tuple(_place(spectrum, known, aligned, registration) for spectrum in spectra)
    times = Counter(spectrum.label for spectrum in spectra)
    notes = [f"{label} stands in {count} lines." for label, count in times.items() if count > 1]
    notes += [f"{p.label}: {note}" for p in placements if p.spectrum.at_percent for note in p.spectrum.notes]
    return Matching(placements, tuple(dict.fromkeys(notes)))


def _place(spectrum: Spectrum, known: set[int], rows: np.ndarray, registration: Registration | None) -> Placement:
    if not spectrum.at_percent:
        return Placement(spectrum, reason=" ".join(spectrum.notes))
    number = finding_number(spectrum.label)
    if number is not None and number in known:
        return Placement(spectrum, number, "label")
    if spectrum.stage_mm is None or registration is None:
        missing = "no stage position" if spectrum.stage_mm is None else "no alignment to place it with"
        reason = f"no finding {number}" if number is not None else "no number of a finding"
        return Placement(spectrum, reason=f"{reason}, {missing}")
    near = _near(spectrum.stage_mm, rows, registration)
    if len(near) == 1:
        return Placement(spectrum, near[0], "position")
    if near:
        listed = ", ".join(map(str, near))
        return Placement(spectrum, candidates=tuple(near), reason=f"could be finding {listed}")
    return Placement(spectrum, reason="no finding within the expected error")


def _near(stage_mm: tuple[float, float], rows: np.ndarray, registration: Registration) -> list[int]:
    place = registration.from_stage(np.array([stage_mm]))
    radius_um = float(np.nan_to_num(registration.r95_um(place)[0], nan=0.0))
    size_y, size_x = registration.pixel_size_um
    y, x = place[0]
    dy = np.maximum(np.maximum(rows["y0"] - y, y - rows["y1"]), 0) * size_y
    dx = np.maximum(np.maximum(rows["x0"] - x, x - rows["x1"]), 0) * size_x
    return [int(number) for number in rows["id"][np.hypot(dy, dx) <= radius_um]]
