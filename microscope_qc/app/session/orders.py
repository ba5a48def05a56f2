"""The sort orders of the gallery. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.boxes import BoxTable, FindingFlag
from microscope_qc.core.defect_class import DefectClass

if TYPE_CHECKING:
    from microscope_qc.analysis.severity import SeverityProfile

Columns = Mapping[str, np.ndarray]

ORDERS = {
    "worst": "Worst first",
    "severity": "Most severe first",
    "largest": "Largest first",
    "most_confident": "Most confident first",
    "least_confident": "Least confident first",
    "position": "By position",
    "newest": "Newest first",
    "disputed": "Models disagree first",
    "sample": "Random sample for an estimate",
}
"""Name of an order, and its text on screen."""

BAND_UM = 200.0
"""Height of the bands of reading order; with exact y the order would jump left and right."""


def columns_of(table: BoxTable, slides: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Copies of the columns that orders need: a thread may sort them while the table changes.

    ``slides`` is the slide of each row, where there are several.
    """
    columns = dict(zip(("y0", "x0", "y1", "x1"), table.corners.copy(), strict=True))
    columns |= {"id": table.ids.copy(), "class_id": table.class_ids.copy()}
    columns |= {"confidence": table.confidences.copy(), "flags": table.flags.copy()}
    return columns if slides is None else columns | {"slide": slides.copy()}


@dataclass(frozen=True, slots=True, eq=False)
class SeverityChoice:
    """How severities are worked out: by which profile, and which of the rows crowd others (None: all)."""

    profile: SeverityProfile | None = None
    counted: np.ndarray | None = None
    anomaly_p: Callable[[], Mapping[int, float]] | None = None


def _most_severe_first(
    rows: np.ndarray | Columns,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | tuple[np.ndarray, np.ndarray] | None,
    slides: np.ndarray | None,
    choice: SeverityChoice,
) -> np.ndarray:
    from microscope_qc.analysis.severity import Findings, SeverityProfile, by_severity, severities

    every = np.ones(len(rows["id"]), bool) if choice.counted is None else choice.counted
    among = {name: rows[name][every] for name in ("id", "class_id", "y0", "x0", "y1", "x1")}
    size = pixel_size_um
    if size is not None and np.ndim(size[0]):
        size = np.asarray(size[0])[every], np.asarray(size[1])[every]
    found = severities(
        Findings(rows, pixel_size_um, slides),
        Findings(among, size, None if slides is None else slides[every]),
        classes,
        choice.profile or SeverityProfile(),
        anomaly_p=None if choice.anomaly_p is None else choice.anomaly_p(),
    )
    return by_severity(rows["id"], found.total)


def order_rows(
    rows: np.ndarray | Columns,
    name: str,
    *,
    classes: Sequence[DefectClass] = (),
    pixel_size_um: tuple[float, float] | tuple[np.ndarray, np.ndarray] | None = None,
    slides: np.ndarray | None = None,
    severity: SeverityChoice | None = None,
) -> np.ndarray:
    """Row numbers of ``rows`` (box rows, or their columns by name) in the order called ``name``; ties go by id.

    Pixel size (y, x) and slide are one for all rows, or one for each: positions are compared on one slide only.
    ``severity`` says how severities are worked out: by the usual profile where it is None.

    Raises
    ------
    ValueError
        For an unknown order.
    """
    size_y, size_x = pixel_size_um or (1.0, 1.0)
    if name in ("worst", "disputed"):
        from microscope_qc.analysis.ranking import worst_first

        order = np.asarray(worst_first(rows, list(classes), pixel_size_um), np.int64)
        if name == "worst":
            return order
        disputed = (rows["flags"][order] & np.uint8(FindingFlag.DISPUTED)) != 0
        return np.concatenate([order[disputed], order[~disputed]])
    if name == "severity":
        return _most_severe_first(rows, classes, pixel_size_um, slides, severity or SeverityChoice())
    if name == "sample":
        from microscope_qc.analysis.sampling import sample_order

        return sample_order(rows["id"], rows["confidence"])
    if name == "largest":
        longest = np.maximum((rows["y1"] - rows["y0"]) * size_y, (rows["x1"] - rows["x0"]) * size_x)
        return np.lexsort((rows["id"], -longest))
    # what a user drew has no confidence and counts as most certain
    confidence = np.where(np.isnan(rows["confidence"]), 2.0, rows["confidence"])
    if name == "most_confident":
        return np.lexsort((rows["id"], -confidence))
    if name == "least_confident":
        return np.lexsort((rows["id"], confidence))
    if name == "position":
        band = np.floor((rows["y0"] + rows["y1"]) / 2 * size_y / BAND_UM)
        keys = (rows["id"], rows["x0"] + rows["x1"], band)
        return np.lexsort(keys if slides is None else (*keys, slides))
    if name == "newest":
        return np.argsort(-rows["id"], kind="stable")
    raise ValueError(f"unknown order {name}")
