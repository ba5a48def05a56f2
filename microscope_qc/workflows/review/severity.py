"""Severities of the findings of a project, and the profile that they are worked out by."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from microscope_qc.analysis.acceptance import Limit
from microscope_qc.analysis.ranking import size_um
from microscope_qc.analysis.severity import PARTS, Findings, Severities, SeverityProfile, medians_um, severities
from microscope_qc.core.arrays import Floats, Ints, Rows
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import short_text
from microscope_qc.core.wording import listed, percent_text
from microscope_qc.project import Project
from microscope_qc.project.parts.standards import SEVERITY
from microscope_qc.project.records import Standard

ANOMALY = "anomaly_p"
"""Attribute of a finding: how often an area without defects looks as strange, as a program says that wrote it."""


def kept_profile(project: Project) -> Standard | None:
    """The profile that a user kept, with who did so and when; None where nobody did."""
    return project.standards.named(SEVERITY, "")


def profile_of(project: Project) -> SeverityProfile:
    """The profile that a user kept; otherwise the usual one, without limits and medians."""
    kept = kept_profile(project)
    return SeverityProfile() if kept is None else SeverityProfile.from_json(kept.data)


def keep_profile(
    project: Project,
    profile: SeverityProfile,
    *,
    limits: Sequence[Limit] | None = None,
    medians: dict[int, float] | None = None,
) -> Standard:
    """Keep a profile, with the medians of the classes as they are now (undoable).

    Parameters
    ----------
    limits
        Acceptance limits: their largest sizes become those of the classes. None leaves the profile's.
    medians
        As :func:`class_medians` has worked them out; None works them out.

    Raises
    ------
    InputError
        When a limit names neither a class nor a class group.
    """
    if limits is not None:
        profile = replace(profile, limits_um=_class_limits(project, limits))
    profile = replace(profile, medians_um=class_medians(project) if medians is None else medians)
    return project.standards.keep(SEVERITY, "", profile.to_json())


def class_medians(project: Project) -> dict[int, float]:
    """Median of the longest side in um by class, over all slides, of what counts and is not rejected."""
    project.boxes.load([slide.id for slide in project.slides])
    ids: list[Ints] = [np.zeros(0, np.int64)]
    sizes: list[Floats] = [np.zeros(0)]
    for slide in project.slides:
        rows = project.boxes.table(slide.id).rows
        kept = project.inclusion.current.mask(rows)
        if slide.pixel_size_um is not None:
            ids.append(rows["class_id"][kept])
            sizes.append(size_um(rows, slide.pixel_size_um)[kept])
    return medians_um(np.concatenate(ids), np.concatenate(sizes))


def _class_limits(project: Project, limits: Sequence[Limit]) -> dict[int, float]:
    """The largest size by class: its own limit, else that of its class group, else that of all."""
    groups = {defect.group for defect in project.classes if defect.group}
    codes = {defect.code for defect in project.classes}
    given = {limit.what: limit.largest_um for limit in limits if limit.largest_um}
    if unknown := [what for what in given if what not in codes | groups | {"all"}]:
        raise InputError(
            f"{listed(unknown)} is neither a class nor a class group of {project.name}.",
            hint=f"There are {listed([*codes, *groups, 'all'])}.",
        )
    found = {}
    for defect in project.classes:
        limit = given.get(defect.code) or given.get(defect.group) or given.get("all")
        if limit:
            found[defect.id] = limit
    return found


def anomalies(project: Project) -> dict[int, float]:
    """How strange findings look, by number, from their attributes; what is no share is left out."""
    known = project.attributes.having(ANOMALY).items()
    return {
        number: float(p)
        for number, p in known
        if isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p <= 1
    }


def slide_severities(project: Project, slide_id: int, ids: Ints | None = None) -> tuple[Rows, Severities]:
    """Rows of a slide, all or some, and their severities among what counts on it and is not rejected."""
    table, size = project.boxes.table(slide_id), project.slides.by_id(slide_id).pixel_size_um
    rows = table.rows if ids is None else table.get(ids)
    kept = project.inclusion.current.mask(table.rows)
    corners = dict(zip(("y0", "x0", "y1", "x1"), table.corners[:, kept], strict=True))
    among = {"id": table.ids[kept], "class_id": table.class_ids[kept], **corners}
    found = severities(
        Findings(rows, size), Findings(among, size), list(project.classes), profile_of(project),
        anomaly_p=anomalies(project),
    )  # fmt: skip
    return rows, found


def severity_records(project: Project, slide_ids: Collection[int] | None = None) -> Iterator[dict[str, Any]]:
    """The findings that count and are not rejected with their severity and its parts, slide by slide."""
    codes = {defect.id: defect.code for defect in project.classes}
    wanted = [slide for slide in project.slides if slide_ids is None or slide.id in slide_ids]
    project.boxes.load([slide.id for slide in wanted])
    for slide in wanted:
        rows, found = slide_severities(project, slide.id)
        for place in np.flatnonzero(project.inclusion.current.mask(rows)).tolist():
            yield {
                "number": int(rows["id"][place]), "slide": slide.name,
                "class": codes.get(int(rows["class_id"][place]), "?"),
                "state": ReviewState(int(rows["state"][place])).word, "severity": _number(found.total[place]),
                "class_weight": float(found.weight[place]),
                **{name: _number(found.parts[name][place]) for name in PARTS},
                "neighbours": int(found.neighbours[place]) if found.neighbours[place] >= 0 else None,
            }  # fmt: skip


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def severity_words(project: Project, slide_id: int, finding: int) -> str:
    """``54: class 0.5, size 0.8 (80 %), crowding 0.4 (20 %)``: the severity of a finding and of what it is made."""
    _, found = slide_severities(project, slide_id, np.array([finding]))
    if math.isnan(found.total[0]):
        return "not known, as the pixel size is not"
    return f"{found.total[0]:.0f}: {_parts_words(found, 0, profile_of(project))}"


def _parts_words(found: Severities, place: int, profile: SeverityProfile) -> str:
    there = [name for name in PARTS if not math.isnan(found.parts[name][place]) and getattr(profile, name)]
    whole = sum(getattr(profile, name) for name in there)
    words = [f"class {short_text(float(found.weight[place]), 2)}"]
    for name in there:
        share, part = getattr(profile, name) / whole, float(found.parts[name][place])
        words.append(f"{name} {short_text(part, 2)} ({percent_text(share)})")
    return ", ".join(words)


def profile_words(project: Project) -> str:
    """Say by what severities are worked out, who kept that, and since when."""
    profile, kept = profile_of(project), kept_profile(project)
    weights = ", ".join(f"{name} {short_text(getattr(profile, name))}" for name in PARTS)
    codes = {defect.id: defect.code for defect in project.classes}
    lines = [
        f"Weights: {weights}; neighbours within {short_text(profile.radius_um)} um, half of it from "
        f"{short_text(profile.half)}."
    ]
    for what, known in (("Limits", profile.limits_um), ("Medians", profile.medians_um)):
        named = [f"{codes[number]} {short_text(value, 3)}" for number, value in known.items() if number in codes]
        lines.append(f"{what} in um: {', '.join(named) or 'none'}.")
    lines.append(
        "Nobody has kept it: medians are those of each slide, and change with it."
        if kept is None
        else f"Kept by {kept.user}, {kept.kept[:10]}."
    )
    return "\n".join(lines)
