"""Where the stage is: from a file that another program writes, and on the slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import special_kind
from microscope_qc.correlation.positions import positions_in
from microscope_qc.project import Project
from microscope_qc.workflows.scenes import kept
from microscope_qc.workflows.stage.stage import find_registration

LAST_BYTES, LAST_LINES = 16_384, 100


def position_in_file(path: Path | str, *, unit: str = "mm") -> tuple[float, float]:
    """Return x and y in mm of the last line of a file that holds a position.

    Raises
    ------
    ExchangeError
        When it cannot be read.
    InputError
        When its end holds no position.
    """
    path = Path(path)
    if kind := special_kind(path):
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a text file.")
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - LAST_BYTES, 0))
            text = file.read(LAST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Choose it again."
        ) from error
    lines = text.splitlines(keepends=True)[-LAST_LINES:]
    if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")):
        del lines[-1]  # it is just being written
    return positions_in("".join(lines), unit=unit)[-1][1]


def where_is(
    project: Project, xy_mm: tuple[float, float], *, registration: str | None = None, slide_id: int | None = None
) -> dict[str, Any]:
    """Return what lies at a stage position, as JSON values: the place on the slide and the nearest finding.

    Raises
    ------
    InputError
        When there is no such alignment.
    """
    slide_id, name, fitted = find_registration(project, registration, slide_id=slide_id)
    (place,) = fitted.from_stage(np.array([xy_mm]))
    radius = float(fitted.r95_um(place[None])[0])
    rows = kept(project.boxes.rows(slide_id, every=True))
    size_y, size_x = fitted.pixel_size_um
    middles = np.stack([rows["y0"] + rows["y1"], rows["x0"] + rows["x1"]], axis=1) / 2
    away = np.hypot((middles[:, 0] - place[0]) * size_y, (middles[:, 1] - place[1]) * size_x)
    nearest = int(np.argmin(away)) if len(away) else None
    return {
        "slide": project.slides.by_id(slide_id).name,
        "registration": name,
        "x_px": round(float(place[1]), 1),
        "y_px": round(float(place[0]), 1),
        "r95_um": round(radius, 2) if np.isfinite(radius) else None,
        "nearest": None if nearest is None else int(rows["id"][nearest]),
        "distance_um": None if nearest is None else round(float(away[nearest]), 2),
    }
