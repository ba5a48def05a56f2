"""Marks that were visited again: how the stage has moved since an alignment, and the alignment as it is now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import HOW_TO_WRITE, grouping_signs, number_in
from microscope_qc.core.sheets import read_records
from microscope_qc.correlation.drift import Drift, drift_since, drifted
from microscope_qc.correlation.positions import wrong_unit
from microscope_qc.correlation.registration import Registration
from microscope_qc.project import Project
from microscope_qc.workflows.stage.stage import find_registration

COLUMNS = ("name", "stage_x_mm", "stage_y_mm")


@dataclass(frozen=True, slots=True)
class Visit:
    """The drift since an alignment of a slide."""

    slide_id: int
    registration: str
    fitted: Registration
    drift: Drift


def read_visits(path: Path | str) -> dict[str, tuple[float, float]]:
    """Read where marks are on the stage now, x and y in mm by their names, from a CSV or XLSX table.

    Raises
    ------
    ExchangeError
        When it cannot be read or columns are missing.
    InputError
        When a number is missing, or a name occurs twice.
    """
    path = Path(path)
    records = read_records(path, needed=COLUMNS, what="table of marks")
    grouped = grouping_signs(record.get(column) for record in records for column in COLUMNS[1:])
    found: dict[str, tuple[float, float]] = {}
    for record in records:
        name = record.get("name")
        x, y = (number_in(record.get(column), unit="mm", grouped=grouped) for column in COLUMNS[1:])
        if not name or not (math.isfinite(x) and math.isfinite(y)):
            raise InputError(f"{path.name}, line {record.line} does not say a mark and where it is.", hint=HOW_TO_WRITE)
        if name in found:
            raise InputError(f"{path.name}, line {record.line}: the mark {name} is there twice.", hint="Keep one.")
        found[name] = x, y
    return found


def visit(
    project: Project,
    visited: Mapping[str, tuple[float, float]],
    *,
    registration: str | None = None,
    slide_id: int | None = None,
) -> Visit:
    """Find the drift since an alignment; None takes the newest. Nothing is changed.

    Raises
    ------
    InputError
        When there is no such alignment or mark, or positions are in another unit.
    """
    slide_id, name, fitted = find_registration(project, registration, slide_id=slide_id)
    if unit := wrong_unit(np.array(list(visited.values()), float).reshape(-1, 2), fitted.stage_mm):
        raise InputError(f"The positions of the marks seem to be in {unit}, not in mm.", hint="Give them in mm.")
    return Visit(slide_id, name, fitted, drift_since(fitted, visited))


def keep_drifted(project: Project, found: Visit, *, name: str) -> Registration:
    """Store the alignment as it is now, and where its marks are now on the stage: a step of the history each.

    Raises
    ------
    InputError
        When it has no name, or that of the alignment that it began with.
    """
    if name.strip() == found.registration:
        raise InputError(
            f"{name.strip()} is the alignment of the earlier visit.", hint="Give the one of now another name."
        )
    if not name.strip():
        raise InputError("An alignment needs a name.", hint="Such as R2.")
    moved = drifted(found.fitted, found.drift)
    now = {mark: (float(x), float(y)) for mark, (x, y) in zip(moved.names, moved.stage_mm, strict=True)}
    now |= {check.name: (check.stage_x_mm, check.stage_y_mm) for check in moved.checks}
    changes = {
        mark.id: {"stage_x_mm": now[mark.name][0], "stage_y_mm": now[mark.name][1]}
        for mark in project.marks.of_slide(found.slide_id)
        if mark.name in now
    }
    project.marks.edit_many(changes, title=f"Marks as they were visited for {name.strip()}")
    project.registrations.save(found.slide_id, name, moved.to_dict())
    return moved


def drift_json(found: Visit, *, kept_as: str | None = None) -> dict[str, Any]:
    """A drift as JSON values, with units in the names."""
    drift = found.drift
    return {
        "registration": found.registration,
        "kept_as": kept_as,
        "n": len(drift.names),
        "shift_x_um": drift.shift_um[0],
        "shift_y_um": drift.shift_um[1],
        "distance_um": drift.distance_um,
        "rotation_deg": drift.rotation_deg,
        "noise95_um": drift.noise_um,
        "beyond_noise": drift.is_real,
        "residuals_um": dict(zip(drift.names, drift.residuals_um, strict=True)),
    }
