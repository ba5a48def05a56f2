"""What is known of unusual places besides their boxes: outline, area, and how rare such a place is where all is normal.

The map of the whole slide is read, so that what lies over the borders of tiles is described in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.boxes import is_claimed
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.outline import Outline
from microscope_qc.ml.cards import AnomalySettings
from microscope_qc.ml.tasks.regions import ABOVE
from microscope_qc.ml.tasks.tail import share_of_normal
from microscope_qc.project import Project
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.workflows.review.severity import ANOMALY

AREA, MEAN = "unusual_area_um2", "unusual_mean"
"""Attributes of a finding: the area of its region, and the mean confidence there. Beside them stands the p-value."""
_AT_ONCE = 20
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class _Place:
    """What the map says of a finding."""

    attributes: dict[str, Any]
    outline: Outline | None


def describe_unusual(project: Project, run_id: int, anomaly: AnomalySettings) -> Job[int]:
    """Store outline, area, mean and p-value of what a run found, as far as it is not described; return how many.

    Parameters
    ----------
    anomaly
        Of the model of the run.

    Raises
    ------
    ProjectError
        When the map of the run is gone or damaged.
    """
    run = project.runs.by_id(run_id)
    heat = HeatMap.open(run.folder)
    if heat is None:
        raise ProjectError("The score map of this detection is gone.", hint="Look for what is unusual again.")
    found = project.opinions.findings_of_run(run_id)
    known = project.attributes.of_boxes(run.slide_id, found["id"])
    found = found[[ANOMALY not in known.get(number, {}) for number in found["id"].tolist()]]
    pixel = project.slides.by_id(run.slide_id).pixel_size_um
    for start in range(0, len(found), _AT_ONCE):
        yield Progress(start, len(found), "findings", "outlining what was found")
        part = found[start : start + _AT_ONCE]
        places = {int(row["id"]): _place(heat, row, anomaly, pixel) for row in part}
        own = _made_by(project, run_id, run.slide_id, part["id"])
        outlines = {number: outline for number in own if (outline := places[number].outline) is not None}
        attributes = {number: place.attributes for number, place in places.items()}
        project.runs.describe_findings(run_id, attributes, outlines)
    return len(found)


def _made_by(project: Project, run_id: int, slide_id: int, ids: np.ndarray) -> list[int]:
    """Findings that a run made and of which no user has said anything: their boxes are those of the run."""
    rows = project.boxes.table(slide_id).get(ids)
    outlined = project.outlines.of_slide(slide_id)
    return [
        int(row["id"])
        for row in rows
        if row["run_id"] == run_id and not is_claimed(row) and int(row["id"]) not in outlined
    ]


def _place(heat: HeatMap, row: np.ndarray, anomaly: AnomalySettings, pixel: tuple[float, float] | None) -> _Place:
    """What the map says of the place of a finding."""
    card, sure = heat.card, float(row["confidence"])
    y0, x0, y1, x1 = (float(row[side]) for side in ("y0", "x0", "y1", "x1"))
    region = Region(int(y0), int(x0), max(int(np.ceil(y1)), int(y0) + 1), max(int(np.ceil(x1)), int(x0) + 1))
    scores = np.nan_to_num(heat.read(region))
    about: dict[str, Any] = {ANOMALY: _rounded(float(share_of_normal(np.array([sure]), anomaly)[0]))}
    region_of = scores >= (ABOVE if sure >= ABOVE else 0.5 * sure)
    if not region_of.any():
        return _Place(about, None)
    about[MEAN] = round(float(scores[region_of].mean()), _DIGITS)
    cell_y, cell_x = card.cell_px
    if pixel is not None:
        about[AREA] = _rounded(int(region_of.sum()) * cell_y * pixel[0] * cell_x * pixel[1])
    down, along = card.cells_of(region)
    top, left = card.origin_px[0] + down.start * cell_y, card.origin_px[1] + along.start * cell_x
    rings = Outline.mask(region_of, 0, 0).rings()
    outline = Outline.polygons([[[(y * cell_y + top, x * cell_x + left) for y, x in ring]] for ring in rings])
    return _Place(about, outline)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
