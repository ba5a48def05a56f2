"""Areas in which the findings of each class were searched for, as a table; and outlines of areas from files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.coverage import Area, Declared, SlideCoverage, masked_share
from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.numbers import number_in
from microscope_qc.core.outline import MOST_POINTS
from microscope_qc.core.sheets import read_records
from microscope_qc.exchange.loading import read_json
from microscope_qc.project import Project
from microscope_qc.project.records import AreaRecord, SlideRecord
from microscope_qc.workflows.detection.coverage import SlideAreas, area_sources, slide_areas
from microscope_qc.workflows.detection.looked_at import looked_at


def coverage_table(project: Project) -> list[dict[str, Any]]:
    """Return the scanned and declared areas of each slide.

    Returns
    -------
    list of dict
        ``slide``, ``slide_area_mm2``, ``masked_share`` (of what runs were to scan), ``warnings`` (runs that count with
        no area), ``classes`` (those that were searched for: code, ``area_mm2``, ``area_share``, ``area_source``),
        ``runs`` (run, model, classes, area, masked share, tiles, missing tiles, whether it is finished),
        ``declared`` (number, classes, user, time, when it was drawn at random or "", area, outline as [[x, y], ...])
        ``to_search`` (those drawn at random that nobody has searched yet) and ``looked_at`` (see :func:`looked_at
        <microscope_qc.workflows.detection.looked_at.looked_at>`). Areas are None in mm2 where the pixel size is not
        known.
    """
    return [_slide(project, record) for record in project.slides]


def _slide(project: Project, record: SlideRecord) -> dict[str, Any]:
    areas = slide_areas(project, record.id)
    coverage, codes = areas.coverage, {cls.id: cls.code for cls in project.classes}
    left = [area for area in project.areas.of(record.id) if not area.class_ids]
    return {
        "slide": record.name,
        "slide_area_mm2": _mm2(float(np.prod(record.shape_px)), record),
        "masked_share": coverage.masked_share,
        "looked_at": looked_at(area_sources(project, record.id), areas),
        "warnings": list(areas.problems),
        "classes": [
            {"code": code, **_numbers(coverage.of_class(number), record), "area_source": areas.source([number])}
            for number, code in codes.items()
            if number in coverage.class_ids
        ],
        "runs": run_table(areas, record, codes),
        "declared": declared_table(project, record, areas),
        "to_search": [_declared(area, coverage, record, codes) for area in left],
    }


def declared_table(project: Project, record: SlideRecord, areas: SlideAreas) -> list[dict[str, Any]]:
    """Return what users declared complete on a slide."""
    codes = {cls.id: cls.code for cls in project.classes}
    return [_declared(area, areas.coverage, record, codes) for area in areas.declared]


def _declared(
    area: AreaRecord, coverage: SlideCoverage, record: SlideRecord, codes: Mapping[int, str]
) -> dict[str, Any]:
    return {
        "area": area.id,
        "classes": [code for number, code in codes.items() if number in area.class_ids],
        "user": area.user,
        "declared": area.declared,
        "drawn": area.drawn,
        **_numbers(coverage.drawn(Declared(area.id, area.class_ids, area.outline)), record),
        "outline": [[x, y] for y, x in area.outline.parts[0][0]],
    }


def run_table(areas: SlideAreas, record: SlideRecord, codes: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return what each run scanned; ``codes`` are those of all classes of the project by their ids."""
    return [
        {
            "run": run.run_id,
            "model": run.title,
            "classes": [code for number, code in codes.items() if number in run.scan.classes],
            **_numbers(areas.coverage.scanned(run.scan), record),
            "masked_share": masked_share(run.scan),
            "tiles": run.tiles,
            "missing_tiles": run.missing_tiles,
            "finished": not run.unfinished,
        }
        for run in areas.runs
    ]


def _numbers(area: Area, record: SlideRecord) -> dict[str, float | None]:
    share = area.size_px / float(np.prod(record.shape_px))
    return {"area_mm2": _mm2(area.size_px, record), "area_share": share}


def _mm2(area_px: float, record: SlideRecord) -> float | None:
    size = record.pixel_size_um
    return None if size is None else area_px * size[0] * size[1] / 1e6


def read_outline(path: Path | str) -> Floats:
    """Read the corners of a polygon, (N, 2) y and x in pixels of the slide.

    The file is a GeoJSON with one polygon (its outer ring), or a table (CSV) with the columns ``x_px`` and ``y_px``.

    Raises
    ------
    ExchangeError
        When it cannot be read.
    """
    file = Path(path)
    try:
        is_json = file.suffix.lower() in (".json", ".geojson")
        points = _of_geojson(read_json(file)) if is_json else _of_table(file)
    except ExchangeError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ExchangeError(
            f"{file.name} is not an outline.",
            hint="Give a GeoJSON file with one polygon, or a table with the columns x_px and y_px.",
        ) from error
    if not 3 <= len(points) <= MOST_POINTS:
        raise ExchangeError(f"{file.name} has {len(points)} points; an outline has 3 to {MOST_POINTS}.")
    return points[:, ::-1]


def _of_geojson(found: Any) -> Floats:
    if found.get("type") == "FeatureCollection":
        (found,) = found["features"]
    if found.get("type") == "Feature":
        found = found["geometry"]
    if found["type"] != "Polygon":
        raise ValueError("no polygon")
    if len(found["coordinates"]) > 1:  # to fill the hole would declare what the user left out
        raise ExchangeError("The polygon has a hole.", hint="Declare the parts around it one by one.")
    return np.array([(float(point[0]), float(point[1])) for point in found["coordinates"][0]], float)


def _of_table(file: Path) -> Floats:
    records = read_records(file, needed=("x_px", "y_px"), what="outline")
    points = [
        (number_in(record.get("x_px"), unit="px"), number_in(record.get("y_px"), unit="px")) for record in records
    ]
    if any(math.isnan(side) for point in points for side in point):
        raise ValueError("no number")
    return np.array(points, float).reshape(-1, 2)
