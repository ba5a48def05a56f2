"""Alignment of a slide with another microscope's stage, and the positions to drive to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.numbers import HOW_TO_WRITE, grouping_signs, number_in
from microscope_qc.core.sheets import Record, read_records
from microscope_qc.core.wording import significant_text
from microscope_qc.correlation.registration import Registration, fit
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.correlation.solving import observed_scale_of, specimen_um
from microscope_qc.project import Project
from microscope_qc.workflows.intake.changes import require_unchanged
from microscope_qc.workflows.review.severity import slide_severities
from microscope_qc.workflows.stage.options import StageOptions
from microscope_qc.workflows.stage.travel import travel_list

SHEET = "sheet"
"""Beside the formats of the registry: the drive sheet with pictures, as HTML."""
DEFAULTS = StageOptions()

MARK_COLUMNS = ("name", "slide_x_px", "slide_y_px", "stage_x_mm", "stage_y_mm")
CHECK_COLUMN = "check"
_MOST_TIMES = 100.0
"""Lengths that differ by more are in another unit: then there is no alignment."""
_YES_NO = {"": False, "0": False, "no": False, "nein": False, "false": False,
           "1": True, "x": True, "yes": True, "ja": True, "true": True}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MarkRow:
    """One line of a table of marks; None leaves a mark a check, or in the fit, as it is."""

    name: str
    y_px: float
    x_px: float
    stage_x_mm: float
    stage_y_mm: float
    is_check: bool | None = None


@dataclass(frozen=True, slots=True)
class StageExport:
    """The written file and what it contains."""

    path: Path
    slide: str
    registration: str
    positions: int
    outside_marks: int
    largest_r95_um: float | None
    warnings: tuple[str, ...]


def read_marks(path: Path | str) -> list[MarkRow]:
    """Read a table of marks, CSV or XLSX, with the columns of :data:`MARK_COLUMNS`.

    A column ``check`` says with "yes" which of them are kept out of the fit.

    Raises
    ------
    ExchangeError
        When it cannot be read or columns are missing.
    InputError
        When numbers are missing, or a name occurs twice.
    """
    path = Path(path)
    records = read_records(path, needed=MARK_COLUMNS, what="table of marks")
    if not records:
        raise InputError(f"{path.name} holds no mark.", hint=f"It needs the columns {', '.join(MARK_COLUMNS)}.")
    grouped = grouping_signs(record.get(column) for record in records for column in MARK_COLUMNS[1:])
    says_checks = any(record.get(CHECK_COLUMN) for record in records)
    marks: list[MarkRow] = []
    for number, record in enumerate(records, start=1):
        name = record.get("name") or f"M{number}"
        if any(mark.name == name for mark in marks):
            raise InputError(
                f"{path.name}, line {record.line}: the mark {name} is there twice.", hint="Rename one of them."
            )
        numbers = [_number(record, column, path, grouped) for column in MARK_COLUMNS[1:]]
        marks.append(
            MarkRow(name, numbers[1], numbers[0], numbers[2], numbers[3], _check(record, path) if says_checks else None)
        )
    return marks


def _check(record: Record, path: Path) -> bool:
    said = record.get(CHECK_COLUMN).strip().casefold()
    if said not in _YES_NO:
        raise InputError(
            f"{path.name}, line {record.line}: {CHECK_COLUMN} is {said[:30]!r}.", hint="Write yes, or leave it empty."
        )
    return _YES_NO[said]


def _number(record: Record, column: str, path: Path, grouped: frozenset[str]) -> float:
    text = record.get(column)
    value = number_in(text, unit=column.rpartition("_")[2], grouped=grouped)
    if not math.isfinite(value):
        raise InputError(
            f"{path.name}, line {record.line}: {column} is {text[:30]!r}, not a number.", hint=HOW_TO_WRITE
        )
    return value


def store_marks(project: Project, slide_id: int, marks: list[MarkRow]) -> None:
    """Place marks in the project; a mark of the same name is moved.

    Raises
    ------
    InputError
        When their stage positions are in another unit.
    """
    size = project.slides.by_id(slide_id).pixel_size_um
    if size is not None and len(marks) > 1:
        specimen = specimen_um(np.array([[mark.y_px, mark.x_px] for mark in marks], float), size)
        stage_um = np.array([[mark.stage_x_mm, mark.stage_y_mm] for mark in marks], float) * 1000
        if np.ptp(specimen, axis=0).any() and np.ptp(stage_um, axis=0).any():
            _require_unit(observed_scale_of(specimen, stage_um))
    known = {mark.name: mark for mark in project.marks.of_slide(slide_id)}
    for mark in marks:
        places: dict[str, Any] = {
            "y_px": mark.y_px,
            "x_px": mark.x_px,
            "stage_x_mm": mark.stage_x_mm,
            "stage_y_mm": mark.stage_y_mm,
        }
        if mark.is_check is not None:
            places["is_check"] = mark.is_check
        old = known.get(mark.name)
        if old is None:
            project.marks.add(slide_id, mark.name, **places)
        elif any(getattr(old, key) != value for key, value in places.items()):
            project.marks.edit(old.id, **places)


def _require_unit(times: float) -> None:
    """Refuse positions on the stage that are so many times as far from each other as on the slide."""
    if not 1 / _MOST_TIMES < times < _MOST_TIMES:
        raise InputError(
            f"Lengths on the stage are {significant_text(times)} times as long as on the slide.",
            hint=f"Stage positions are in mm{', not in µm' if times > 1 else ''}; correct them or the pixel size.",
        )


def fit_registration(
    project: Project,
    slide_id: int,
    *,
    name: str,
    model: str = "auto",
    mirror: bool | None = None,
    repeatability_um: float = 0.0,
    mark_names: list[str] | None = None,
) -> Registration:
    """Fit the slide's marks that have a stage position and store the alignment under ``name``.

    Marks that are checks are kept out of the fit; the alignment tells how far off it is there.

    Parameters
    ----------
    mark_names
        Use only these marks; None uses all.

    Raises
    ------
    RegistrationError
        When the marks do not determine the alignment.
    InputError
        When the slide's pixel size is not known, or marks are in another unit.
    """
    slide = project.slides.by_id(slide_id)
    if slide.pixel_size_um is None:
        raise InputError(f"The pixel size of {slide.name} is not known.", hint="Enter it first; lengths depend on it.")
    marks = [m for m in project.marks.of_slide(slide_id) if m.stage_x_mm is not None and m.stage_y_mm is not None]
    if mark_names is not None:
        marks = [mark for mark in marks if mark.name in mark_names]
    checks = [mark for mark in marks if mark.is_check]
    marks = [mark for mark in marks if not mark.is_check]
    fitted = fit(
        np.array([[mark.y_px, mark.x_px] for mark in marks], float).reshape(-1, 2),
        np.array([[mark.stage_x_mm, mark.stage_y_mm] for mark in marks], float).reshape(-1, 2),
        slide.pixel_size_um,
        model=model,
        mirror=mirror,
        names=[mark.name for mark in marks],
        repeatability_um=repeatability_um,
    )
    _require_unit(fitted.observed_scale)
    fitted = fitted.with_checks(
        [mark.name for mark in checks],
        np.array([[mark.y_px, mark.x_px] for mark in checks], float).reshape(-1, 2),
        np.array([[mark.stage_x_mm, mark.stage_y_mm] for mark in checks], float).reshape(-1, 2),
    )
    project.registrations.save(slide_id, name, fitted.to_dict())
    return fitted


def find_registration(
    project: Project, name: str | None, *, slide_id: int | None = None
) -> tuple[int, str, Registration]:
    """Return slide id, name and alignment; without a name the newest one.

    Raises
    ------
    InputError
        When there is none of this name, or several slides have one.
    """
    known = [r for r in project.registrations if slide_id is None or r.slide_id == slide_id]
    records = [r for r in known if name is None or r.name == name]
    if not records:
        names = ", ".join(dict.fromkeys(r.name for r in known))
        what = "no alignment yet" if name is None else f"no alignment {name}"
        raise InputError(
            f"{project.name} has {what}.", hint=f"There are: {names}." if names else "Fit one from marks first."
        )
    if name is not None and len(records) > 1:
        raise InputError(
            f"Several slides have an alignment {name}.", hint="Choose the slide (--slide on the command line)."
        )
    record = records[-1]
    return record.slide_id, record.name, Registration.from_dict(record.data)


def export_stage(
    project: Project,
    path: Path | str,
    *,
    registration: str | None = None,
    format: str = "csv",
    slide_id: int | None = None,
    options: StageOptions = DEFAULTS,
) -> Job[StageExport]:
    """Write the stage positions of the chosen findings that are not rejected, in the order of the travel list.

    Parameters
    ----------
    registration
        Name of the alignment; None takes the newest.
    format
        A format of :mod:`microscope_qc.correlation.registry`, or :data:`SHEET`.

    Raises
    ------
    InputError
        When there is no such format or alignment, or nothing is chosen.
    """
    known = None if format == SHEET else STAGE_FORMATS.get(format)
    path = Path(path)
    yield Progress(0, 2, "steps", "stage positions")
    slide_id, name, fitted = find_registration(project, registration, slide_id=slide_id)
    slide = project.slides.by_id(slide_id)
    yield from require_unchanged(project, [slide_id])
    rows = project.boxes.rows(slide_id, every=True)
    targets = travel_list(
        slide,
        rows,
        project.classes,
        fitted,
        registration_name=name,
        order=options.order,
        stage_z_mm=options.stage_z_mm,
        severity=lambda ids: slide_severities(project, slide_id, ids)[1].total,
        start_mm=options.start_mm,
    )
    if not targets.targets and not (known and known.marks_only):
        raise InputError(
            f"No finding of {slide.name} is chosen for the SEM.", hint="Choose some in the gallery first (key S)."
        )
    if known is None:
        from microscope_qc.workflows.stage.drive_sheet import write_sheet

        yield from write_sheet(slide, targets, path, unit=options.unit)
    else:
        yield Progress(1, 2, "steps", f"writing {known.title}")
        with STAGE_FORMATS.in_use(known.name):
            known.write(path, targets, unit=options.unit)
    yield Progress(2, 2, "steps")
    radii = [target.r95_um for target in targets.targets if target.r95_um is not None]
    return StageExport(
        path=path,
        slide=slide.name,
        registration=name,
        positions=len(targets.targets),
        outside_marks=sum(target.outside_marks for target in targets.targets),
        largest_r95_um=max(radii, default=None),
        warnings=targets.registration.warnings,
    )


def registration_summary(name: str, slide_name: str, fitted: Registration) -> dict[str, Any]:
    """What the command line prints of an alignment."""
    return {"name": name, "slide": slide_name, **fitted.to_dict()}
