"""Slide and stage: alignments from marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.project import Project

if TYPE_CHECKING:
    import pandas


def fit_stage(
    project: Path | str,
    marks: Path | str | pandas.DataFrame,
    *,
    slide: str | None = None,
    name: str = "alignment",
    model: str = "auto",
    mirror: bool | None = None,
) -> dict[str, Any]:
    """Align a slide with a stage from marks, as the command ``stage fit`` does; the project keeps both.

    Parameters
    ----------
    marks
        A table, or the file of one, with the columns ``name``, ``slide_x_px``, ``slide_y_px``, ``stage_x_mm`` and
        ``stage_y_mm``.
    slide
        Its name; None takes the only one, or the first.
    name
        Of the alignment.
    model
        ``auto``, ``rigid``, ``similarity`` or ``affine``.
    mirror
        Whether the stage is mirrored; None finds out.

    Returns
    -------
    dict
        ``rotation_deg``, ``sigma_um``, ``marks`` with their residuals (um) and others, as ``stage fit --json`` prints.

    Raises
    ------
    RegistrationError
        When the marks do not determine the alignment.
    InputError
        When a column is missing, or the slide's pixel size is not known.
    """
    import tempfile

    from microscope_qc.workflows.stage.stage import fit_registration, read_marks, registration_summary, store_marks

    if isinstance(marks, str | Path):
        rows = read_marks(marks)
    else:  # through the reader of files, so that the same is refused with the same words
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "marks.csv"
            marks.to_csv(file, index=False)
            rows = read_marks(file)
    with Project.open(project) as opened:
        record = opened.slides.named(slide)
        store_marks(opened, record.id, rows)
        names = [mark.name for mark in rows]
        fitted = fit_registration(opened, record.id, name=name, model=model, mirror=mirror, mark_names=names)
        return registration_summary(name, record.name, fitted)


def stage_drift(
    project: Path | str,
    visited: Mapping[str, tuple[float, float]] | Path | str,
    *,
    registration: str | None = None,
    slide: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Tell how the stage has moved since an alignment, from marks that were visited again, as ``stage drift`` does.

    Parameters
    ----------
    visited
        Where marks are on the stage now, x and y in mm by their names; or a table with the columns ``name``,
        ``stage_x_mm`` and ``stage_y_mm``.
    registration
        Name of the alignment; None takes the newest one.
    slide
        Only alignments of this slide.
    name
        Stores the alignment as it is now under this name; None changes nothing.

    Returns
    -------
    dict
        ``shift_x_um``, ``shift_y_um``, ``rotation_deg``, ``noise95_um`` and others, as ``stage drift --json`` prints.

    Raises
    ------
    InputError
        When there is no such alignment or mark, or positions are in another unit.
    """
    from microscope_qc.workflows.stage.drift import drift_json, keep_drifted, read_visits, visit

    positions = read_visits(visited) if isinstance(visited, str | Path) else visited
    with Project.open(Path(project), write=name is not None) as opened:
        slide_id = None if slide is None else opened.slides.named(slide).id
        found = visit(opened, positions, registration=registration, slide_id=slide_id)
        if name is not None:
            keep_drifted(opened, found, name=name)
        return drift_json(found, kept_as=name)
