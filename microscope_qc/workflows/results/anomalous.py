"""How much of slides is anomalous, by the score maps of anomaly models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.heatmap import HEAT_CARD_NAME, HEAT_NAME, HeatMap
from microscope_qc.workflows.results.grouping import CountedSlide

_STRIP_PX = 1 << 22
_AREAS: dict[tuple[object, ...], tuple[float, float] | None] = {}
_MOST_KEPT = 20_000
NO_MAP = "No slide has the score map of an anomaly model."


@dataclass(frozen=True, slots=True, eq=False)
class AnomalousAreas:
    """Anomalous and scanned area of slides in mm2, shape (N,); NaN without a map of the model, or a pixel size.

    Attributes
    ----------
    model
        The model's own name: the one that was asked for, else the one that has a map of the most slides.
    others
        Names of the other models with maps.
    problems
        Maps that could not be read.
    """

    model: str
    others: tuple[str, ...]
    anomalous_mm2: Floats
    scanned_mm2: Floats
    problems: tuple[str, ...]


def anomalous_areas(slides: Sequence[CountedSlide], *, model: str = "") -> AnomalousAreas:
    """Read how much of each slide one anomaly model scores above its threshold, in its newest shown detection.

    Parameters
    ----------
    model
        Only maps of the model of this name.

    Raises
    ------
    InputError
        When no slide has such a map.
    """
    problems: list[str] = []
    found: list[dict[str, tuple[float, float]]] = []
    for slide in slides:
        mine: dict[str, tuple[float, float]] = {}
        for run in slide.runs:  # oldest first: the newest counts
            try:
                areas = _areas_px(run)
            except ProjectError as error:
                problems.append(f"{slide.section.name}: {error.message}")
                continue
            if areas is not None:
                mine[run.plan.title] = areas  # a run may be renamed
        found.append(mine)
    models = Counter(title for mine in found for title in mine)
    if not models:
        raise InputError(NO_MAP, hint="Detect with a model that knows only what is normal, or look for unusual places.")
    if model and model not in models:
        raise InputError(
            f"The limits were frozen with the score maps of {model}, and no slide has one.",
            hint="Detect with that model, or unfreeze the limits.",
        )
    model = model or models.most_common(1)[0][0]
    mm2 = np.full((len(slides), 2), np.nan)
    for place, (slide, mine) in enumerate(zip(slides, found, strict=True)):
        if model in mine and slide.pixel_size_um is not None:
            height, width = slide.pixel_size_um
            mm2[place] = np.array(mine[model]) * height * width / 1e6
    others = tuple(title for title, _ in models.most_common() if title != model)
    return AnomalousAreas(model, others, mm2[:, 0], mm2[:, 1], tuple(dict.fromkeys(problems)))


def _areas_px(run: RunRecord) -> tuple[float, float] | None:
    """Area above the threshold and scanned area in pixels; None where a run has no map of an anomaly model.

    A map is read again only when it has changed.
    """
    key = (run.folder, *_stamp(run.folder / HEAT_CARD_NAME), *_stamp(run.folder / HEAT_NAME))
    if key not in _AREAS:
        while len(_AREAS) >= _MOST_KEPT:
            _AREAS.pop(next(iter(_AREAS)), None)
        _AREAS[key] = _read(run.folder)
    return _AREAS[key]


def _read(folder: Path) -> tuple[float, float] | None:
    from microscope_qc.ml.tasks.regions import ABOVE

    heat = HeatMap.open(folder)
    if heat is None or len(heat.card.classes) != 1 or heat.card.task not in ("", "anomaly"):
        return None
    rows, columns = heat.card.shape
    above = scanned = 0
    strip = max(1, _STRIP_PX // columns)
    for top in range(0, rows, strip):
        scores = heat.rows(slice(top, top + strip))
        above += int((scores >= ABOVE).sum())
        scanned += int((scores > 0).sum())
    height, width = heat.card.cell_px
    return above * height * width, scanned * height * width


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
