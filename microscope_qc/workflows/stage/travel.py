"""The travel list: which findings are visited on the stage, and in which order.

Window, command line, drive sheet and every stage format take both from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from microscope_qc.analysis.severity import by_severity
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.correlation.registration import Registration
from microscope_qc.correlation.route import short_route
from microscope_qc.correlation.targets import TargetList, make_targets
from microscope_qc.project.records import SlideRecord


def travel_rows(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rows of the findings to visit, and how many chosen ones are left out because they are rejected.

    Parameters
    ----------
    rows
        All box rows of a slide, whatever the view filter hides.
    """
    chosen = rows[rows["chosen"]]
    keep: Flags = chosen["state"] != ReviewState.REJECTED
    return chosen[keep], int(np.count_nonzero(~keep))


def travel_order(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    registration: Registration | None,
    *,
    order: str = "short",
    pixel_size_um: tuple[float, float] | None = None,
    severity: Floats | None = None,
    start_mm: tuple[float, float] | None = None,
) -> Ints:
    """Return row numbers in the order to visit.

    Parameters
    ----------
    order
        One of :data:`microscope_qc.workflows.stage.options.ORDERS`. A short way is measured on the stage and begins at
        the first mark; without an alignment it is measured on the slide and begins at the first row.
    severity
        Of each row, for the order ``severity``.
    start_mm
        Where the stage is (x, y): a short way begins there.
    """
    if order == "severity" and severity is not None:
        return by_severity(rows["id"], severity)
    if order == "worst":
        from microscope_qc.analysis.ranking import worst_first

        return worst_first(rows, classes, pixel_size_um)
    if order == "number":
        return np.argsort(rows["id"], kind="stable")
    centres = np.stack([(rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2], axis=1)
    if registration is not None:
        start = registration.stage_mm[0] if start_mm is None else np.array(start_mm, float)
        return short_route(registration.to_stage(centres), start=start)
    return short_route(centres * (pixel_size_um or (1.0, 1.0)))


def travel_list(
    slide: SlideRecord,
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    registration: Registration,
    *,
    registration_name: str,
    order: str = "short",
    stage_z_mm: float | None = None,
    severity: Callable[[Ints], Floats] | None = None,
    start_mm: tuple[float, float] | None = None,
) -> TargetList:
    """Return the findings to visit with their stage positions, in the order to visit them.

    Parameters
    ----------
    rows
        All box rows of the slide, as :func:`travel_rows` takes them.
    severity
        Gives the severity of findings by their numbers, for the order ``severity``.
    """
    wanted, _ = travel_rows(rows)
    known = severity(wanted["id"]) if severity is not None and order == "severity" else None
    places = travel_order(
        wanted,
        classes,
        registration,
        order=order,
        pixel_size_um=slide.pixel_size_um,
        severity=known,
        start_mm=start_mm,
    )
    return TargetList(
        slide_name=slide.name,
        slide_fingerprint=slide.fingerprint,
        registration_name=registration_name,
        registration=registration,
        targets=make_targets(wanted[places], classes, registration),
        stage_z_mm=stage_z_mm,
    )
