"""Counts, densities and sizes of the findings of one slide or sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import density
from microscope_qc.analysis.coverage import SlideCoverage, mm2, why_no_density
from microscope_qc.analysis.ranking import size_um
from microscope_qc.analysis.registry import Sample, measured
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass

QUANTILES = (0.1, 0.5, 0.9, 0.99)
_COUNTED = ("class_id", "state", "chosen", "confidence", "y0", "x0", "y1", "x1")


def slide_statistics(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | None,
    coverage: SlideCoverage,
    *,
    sizes: bool = True,
) -> dict[str, Any]:
    """Summarise the box rows of a slide.

    Rejected findings are counted as such, but take no part in densities and sizes. A density is that of the findings
    whose centre lies where all findings of their class were searched for; those outside are counted beside it.

    Parameters
    ----------
    coverage
        Where findings were searched for, class by class.
    sizes
        False leaves ``size_um`` and ``statistics`` out, which take four fifths of the time.

    Returns
    -------
    dict
        Of all classes together, and of each class that occurs or was searched for (``classes``: code, name, colour):
        ``total``, ``kept`` (not rejected), ``states``, ``reviewed_share``, ``in_area`` and ``outside_area`` (kept),
        ``area_mm2``, ``area_share`` (of the slide), ``per_mm2``, ``per_mm2_interval`` (lower and upper limit, 95 %,
        Poisson), ``per_mm2_reason`` (why there is none), ``size_um`` and ``statistics`` (what the registry holds, by
        name: value, unit, n, interval). What is not known is None. The area of all classes together is what theirs have
        in common; these classes are ``classes_of_all``. ``slide_area_mm2`` is that of the whole slide.
    """
    looked_for = coverage.class_ids
    rows = rows if sizes else _without_text(rows)
    per_class = []
    for cls in classes:
        of_class = rows[rows["class_id"] == cls.id]
        if len(of_class) or cls.id in looked_for:
            head = {"code": cls.code, "name": cls.name, "colour": cls.colour}
            per_class.append(head | _summary(of_class, classes, pixel_size_um, coverage, [cls], sizes=sizes))
    kept = rows[rows["state"] != ReviewState.REJECTED]
    occurring = looked_for | frozenset(np.unique(kept["class_id"]).tolist())
    size = None if pixel_size_um is None else list(pixel_size_um)
    slide_mm2 = mm2(float(np.prod(coverage.shape_px)), pixel_size_um)
    together = [cls for cls in classes if cls.id in occurring]
    return {
        "pixel_size_um": size,
        "slide_area_mm2": slide_mm2,
        **_summary(rows, classes, pixel_size_um, coverage, together, sizes=sizes),
        "classes_of_all": [cls.code for cls in together],
        "classes": per_class,
    }


def _without_text(rows: np.ndarray) -> np.ndarray:
    """The columns that are counted: rows with text in them are copied at a fraction of the pace."""
    found = np.empty(len(rows), [(name, rows.dtype[name]) for name in _COUNTED])
    for name in _COUNTED:
        found[name] = rows[name]
    return found


def _summary(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | None,
    coverage: SlideCoverage,
    wanted: Sequence[DefectClass],
    *,
    sizes: bool,
) -> dict[str, Any]:
    """Statistics of the rows of the ``wanted`` classes."""
    states = {state.word: int((rows["state"] == state).sum()) for state in ReviewState}
    kept = rows[rows["state"] != ReviewState.REJECTED]
    judged = states["confirmed"] + states["rejected"]
    area = coverage.of_all([cls.id for cls in wanted])
    inside = area.holds((kept["y0"] + kept["y1"]) / 2, (kept["x0"] + kept["x1"]) / 2)
    area_mm2 = mm2(area.size_px, pixel_size_um)
    known = density(int(inside.sum()), area_mm2) if area_mm2 else None
    found = {
        "total": len(rows),
        "kept": len(kept),
        "states": states,
        "reviewed_share": judged / len(rows) if len(rows) else None,
        "chosen": int(kept["chosen"].sum()),
        "found_by_person": int(np.isnan(rows["confidence"]).sum()),
        "in_area": int(inside.sum()),
        "outside_area": int(len(kept) - inside.sum()),
        "area_mm2": area_mm2,
        "area_share": area.size_px / float(np.prod(coverage.shape_px)),
        "per_mm2": None if known is None else known.per_mm2,
        "per_mm2_interval": None if known is None else list(known.interval),
        "per_mm2_reason": None if known is not None else why_no_density(area, coverage, wanted),
    }
    if sizes:
        found["size_um"] = size_summary(kept, pixel_size_um)
        found["statistics"] = measured(Sample(kept, classes, pixel_size_um, area_mm2 or None, inside))
    return found


def size_summary(rows: np.ndarray, pixel_size_um: tuple[float, float] | None) -> dict[str, float] | None:
    """Smallest, largest, mean and quantiles of the longer side in um; None without boxes or pixel size."""
    if pixel_size_um is None or len(rows) == 0:
        return None
    sizes = size_um(rows, pixel_size_um)
    summary = {"min": float(sizes.min()), "mean": float(sizes.mean()), "max": float(sizes.max())}
    found = np.quantile(sizes, QUANTILES).tolist()
    return summary | {f"q{round(q * 100)}": value for q, value in zip(QUANTILES, found, strict=True)}


def size_histogram(sizes_um: np.ndarray, *, bins: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges of a histogram with equal steps of the logarithm, over the sizes that occur."""
    sizes = sizes_um[np.isfinite(sizes_um) & (sizes_um > 0)]
    if len(sizes) == 0:
        return np.zeros(0, int), np.zeros(0)
    low, high = float(sizes.min()), float(sizes.max())
    if high <= low * 1.05:
        low, high = low * 0.8, high * 1.25
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # rounding must not lose the extremes
    return np.histogram(sizes, edges)[0], edges
