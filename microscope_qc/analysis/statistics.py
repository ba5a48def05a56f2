"""Counts, densities and sizes of the finds of one slide or sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.analysis.ranking import size_um
from microscope_qc.analysis.registry import Sample, measured
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass

QUANTILES = (0.1, 0.5, 0.9, 0.99)


def slide_statistics(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | None,
    area_px: float | None = None,
) -> dict[str, Any]:
    """Summarise box rows.

    Rejected finds are counted as such, but take no part in densities and sizes.

    Parameters
    ----------
    area_px
        Area looked at, in full-resolution pixels; None leaves densities out.

    Returns
    -------
    dict
        ``total``, ``kept`` (not rejected), ``states``, ``reviewed_share``, ``area_mm2``, ``per_mm2``, ``size_um``,
        ``statistics`` (what the registry holds, by name: value, unit, n, interval) and ``classes``: for each class that
        occurs code, name, colour, states, kept, per_mm2, size_um and statistics. What is not known is None.
    """
    area_mm2 = None
    if area_px and pixel_size_um:
        area_mm2 = float(area_px) * pixel_size_um[0] * pixel_size_um[1] / 1e6
    per_class = []
    for cls in classes:
        of_class = rows[rows["class_id"] == cls.id]
        if len(of_class):
            head = {"code": cls.code, "name": cls.name, "colour": cls.colour}
            per_class.append(head | _summary(of_class, classes, pixel_size_um, area_mm2))
    return {
        "pixel_size_um": None if pixel_size_um is None else list(pixel_size_um),
        "area_mm2": area_mm2,
        **_summary(rows, classes, pixel_size_um, area_mm2),
        "classes": per_class,
    }


def _summary(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | None,
    area_mm2: float | None,
) -> dict[str, Any]:
    states = {state.word: int((rows["state"] == state).sum()) for state in ReviewState}
    kept = rows[rows["state"] != ReviewState.REJECTED]
    judged = states["confirmed"] + states["rejected"]
    return {
        "total": len(rows),
        "kept": len(kept),
        "states": states,
        "reviewed_share": judged / len(rows) if len(rows) else None,
        "chosen": int(kept["chosen"].sum()),
        "found_by_person": int(np.isnan(rows["confidence"]).sum()),
        "per_mm2": len(kept) / area_mm2 if area_mm2 else None,
        "size_um": size_summary(kept, pixel_size_um),
        "statistics": measured(Sample(kept, classes, pixel_size_um, area_mm2)),
    }


def size_summary(rows: np.ndarray, pixel_size_um: tuple[float, float] | None) -> dict[str, float] | None:
    """Smallest, largest, mean and quantiles of the longer side in um; None without boxes or pixel size."""
    if pixel_size_um is None or len(rows) == 0:
        return None
    sizes = size_um(rows, pixel_size_um)
    summary = {"min": float(sizes.min()), "mean": float(sizes.mean()), "max": float(sizes.max())}
    return summary | {f"q{round(q * 100)}": float(np.quantile(sizes, q)) for q in QUANTILES}


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
