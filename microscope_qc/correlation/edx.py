"""The finding that each EDX composition belongs to: by its name or number, else by its position on the stage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.correlation.assignment import clear_pairs
from microscope_qc.correlation.edx_tables import Spectrum, finding_number
from microscope_qc.correlation.registration import Registration
from microscope_qc.correlation.sites import Site, SitePattern, sites_in

_LETTERED = re.compile(r"[A-Za-z]\d+")


@dataclass(frozen=True, slots=True)
class Placement:
    """A spectrum and where it belongs, together with all spectra of its ``site`` ("" where its label names none).

    ``box_id`` is the one finding that it clearly belongs to, ``by`` "label" or "position"; otherwise ``candidates`` are
    the findings that it may belong to, the nearest first, and ``reason`` says why it belongs to none. ``kind`` is what
    was measured: further points of a site are references.
    """

    spectrum: Spectrum
    box_id: int | None = None
    by: str = ""
    candidates: tuple[int, ...] = ()
    reason: str = ""
    site: str = ""
    kind: str = "point"

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
        """Labels of spectra that fit several findings, or one that fits others as well."""
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
    sites: SitePattern | None = None,
) -> Matching:
    """Match by the finding's note or number first, then by stage position: the one within the expected error.

    Sites that labels name go to findings one to one: where several could belong to the same findings, only what every
    other assignment makes unlikely is matched.

    Parameters
    ----------
    rows
        Box rows the spectra may belong to.
    registration
        Alignment for positions; None matches by label only.
    rows_aligned
        Rows of the slide that the alignment belongs to; None takes ``rows``.
    sites
        How labels name sites and their points; None takes every spectrum for itself.
    """
    grouped = sites_in([spectrum for spectrum in spectra if spectrum.is_measured], sites)
    found = _by_label(grouped, rows)
    if registration is not None:
        _by_position(grouped, found, rows if rows_aligned is None else rows_aligned, registration)
    placed: dict[int, Placement] = {}
    for site, place in zip(grouped, found, strict=True):
        reason = place.reason if place.reason or place.box_id is not None else _why_not(site, registration)
        whole = replace(place, reason=reason, site=site.name if site.named else "")
        for spectrum, kind in zip(site.spectra, site.kinds, strict=True):
            placed[id(spectrum)] = replace(whole, spectrum=spectrum, kind=kind)
    placements = tuple(placed.get(id(s)) or Placement(s, reason=" ".join(s.notes), kind=s.kind) for s in spectra)
    times = Counter(spectrum.label for spectrum in spectra)
    notes = [f"{label} stands in {count} lines." for label, count in times.items() if count > 1]
    notes += [
        f"Site {site.name} has no point 1: all of it counts as reference."
        for site in grouped
        if site.named and set(site.kinds) == {"reference"}
    ]
    notes += [f"{p.label}: {note}" for p in placements if p.spectrum.is_measured for note in p.spectrum.notes]
    return Matching(placements, tuple(dict.fromkeys(notes)))


def nearest(stage_mm: tuple[float, float], rows: np.ndarray, registration: Registration) -> tuple[int, ...]:
    """Ids of the boxes within the expected error of a stage position, the nearest first."""
    (costs,), ids = _costs(np.array([stage_mm]), rows, registration)
    return tuple(ids[np.argsort(costs, kind="stable")].tolist())


def _by_label(sites: Sequence[Site], rows: np.ndarray) -> list[Placement]:
    """Where the names of sites say that they belong."""
    numbers = set(rows["id"].tolist())
    noted: dict[str, list[int]] = {}
    for number, note in zip(rows["id"].tolist(), rows["note"].tolist(), strict=True):
        if words := note.strip().casefold():
            noted.setdefault(words, []).append(number)
    lettered = {site.name for site in sites if site.named and _LETTERED.fullmatch(site.name)}
    if all(finding_number(name) is not None for name in lettered):
        lettered = set()
    # beside sites A1, B1 and C1 a site D1 is the fourth of them and not defect 1
    meant = [_meant(site.name, set() if site.name in lettered else numbers, noted) for site in sites]
    claims = Counter(ids[0] for site, ids in zip(sites, meant, strict=True) if site.named and len(ids) == 1)
    placements = []
    for site, ids in zip(sites, meant, strict=True):
        place = Placement(site.spectra[0])
        if len(ids) == 1 and not (site.named and claims[ids[0]] > 1):
            place = replace(place, box_id=ids[0], by="label")
        elif ids:
            also = "; other sites are called so, too" if len(ids) == 1 else ""
            place = replace(place, candidates=ids, reason=f"could be finding {_listed(ids)}{also}")
        placements.append(place)
    return placements


def _meant(name: str, numbers: set[int], noted: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Findings whose note is this name, and the one whose number it is."""
    number = finding_number(name)
    known = [number] if number is not None and number in numbers else []
    return tuple(dict.fromkeys([*noted.get(name.strip().casefold(), ()), *known]))


def _by_position(sites: Sequence[Site], found: list[Placement], rows: np.ndarray, registration: Registration) -> None:
    """Place the sites that no name places, in ``found``."""
    open_ = [n for n, place in enumerate(found) if place.box_id is None and not place.candidates]
    open_ = [n for n in open_ if sites[n].stage_mm is not None]
    if not open_:
        return
    costs, boxes = _costs(np.array([sites[n].stage_mm for n in open_]), rows, registration)
    taken = [place.box_id for place, site in zip(found, sites, strict=True) if site.named and place.box_id is not None]
    free = np.where(np.isin(boxes, taken), np.inf, costs)
    named = [line for line, n in enumerate(open_) if sites[n].named]
    pairs = dict(zip(named, clear_pairs(free[named]), strict=True)) if named else {}
    for line, n in enumerate(open_):
        near = np.flatnonzero(np.isfinite(costs[line]))
        near = near[np.argsort(costs[line][near], kind="stable")]
        ids = tuple(boxes[near].tolist())
        only = pairs[line] if sites[n].named else int(near[0]) if len(near) == 1 else None
        if only is not None:
            found[n] = replace(found[n], box_id=int(boxes[only]), by="position")
        elif ids:
            others = [sites[open_[m]].name for m in named if m != line and np.isfinite(costs[m][near]).any()]
            others += [
                site.name for site, place in zip(sites, found, strict=True) if site.named and place.box_id in ids
            ]
            also = f", and so could {_listed(others)}" if sites[n].named and others else ""
            found[n] = replace(found[n], candidates=ids, reason=f"could be finding {_listed(ids)}{also}")
        else:
            found[n] = replace(found[n], reason="no finding within the expected error")


def _why_not(site: Site, registration: Registration | None) -> str:
    number = finding_number(site.name)
    reason = f"no finding {number}" if number is not None else "no number of a finding"
    if site.stage_mm is not None and registration is None:
        return f"{reason}, no alignment to place it with"
    return f"{reason}, no stage position{' of its point 1' if site.named else ''}"


def _costs(stage_mm: np.ndarray, rows: np.ndarray, registration: Registration) -> tuple[Floats, np.ndarray]:
    """Squared distances (n, m) of places from boxes, in units of the expected error, and the ids (m,) of these boxes.

    A distance beyond the expected error is inf; boxes beyond that of every place are left out.
    """
    places = registration.from_stage(stage_mm)
    radii_um = np.nan_to_num(registration.r95_um(places), nan=0.0)
    size_y, size_x = registration.pixel_size_um
    found: list[tuple[np.ndarray, Floats]] = []
    for (y, x), radius_um in zip(places, radii_um, strict=True):
        dy = np.maximum(np.maximum(rows["y0"] - y, y - rows["y1"]), 0) * size_y
        dx = np.maximum(np.maximum(rows["x0"] - x, x - rows["x1"]), 0) * size_x
        away = np.hypot(dy, dx)
        inside = np.flatnonzero(away <= radius_um)
        found.append((inside, (away[inside] / max(radius_um, 1e-12)) ** 2))
    near: np.ndarray = np.unique(np.concatenate([inside for inside, _ in found]))
    costs = np.full((len(places), len(near)), np.inf)
    for line, (inside, squares) in zip(costs, found, strict=True):
        line[np.searchsorted(near, inside)] = squares
    return costs, rows["id"][near]


def _listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things))
