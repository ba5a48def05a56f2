"""Places to visit on the stage: chosen findings with their stage positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.correlation.registration import Registration

OUTSIDE = "(outside marks)"
"""Behind the name of a place in formats that have no column for it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One finding to visit; positions are those of its box's centre.

    ``r95_um`` is None when the marks allow no check. ``specimen_*`` run from the slide's upper left corner to the right
    and down, as on screen.
    """

    finding_id: int
    class_code: str
    class_name: str
    colour: str
    y_px: float
    x_px: float
    height_px: float
    width_px: float
    height_um: float
    width_um: float
    specimen_x_um: float
    specimen_y_um: float
    stage_x_mm: float
    stage_y_mm: float
    r95_um: float | None
    outside_marks: bool
    note: str = ""
    confidence: float | None = None

    @property
    def field_um(self) -> float | None:
        """Width of a picture at the SEM that shows the whole finding with 95 % confidence when driven to its middle;
        None where the error is not known."""
        return None if self.r95_um is None else 2 * self.r95_um + max(self.width_um, self.height_um)


@dataclass(frozen=True, slots=True)
class TargetList:
    """Targets of one slide under one alignment."""

    slide_name: str
    slide_fingerprint: str
    registration_name: str
    registration: Registration
    targets: tuple[Target, ...]
    stage_z_mm: float | None = None


def make_targets(rows: np.ndarray, classes: Sequence[DefectClass], registration: Registration) -> tuple[Target, ...]:
    """Compute stage positions of box rows, in the rows' order."""
    if len(rows) == 0:
        return ()
    known = {cls.id: cls for cls in classes}
    size_y, size_x = registration.pixel_size_um
    centres = np.stack([(rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2], axis=1)
    stage = registration.to_stage(centres)
    radii = registration.r95_um(centres)
    outside = registration.outside_marks(centres)
    targets = []
    for row, (y, x), (sx, sy), radius, out in zip(rows, centres, stage, radii, outside, strict=True):
        cls = known.get(int(row["class_id"]), DefectClass("?", "Unknown class"))
        height, width = float(row["y1"] - row["y0"]), float(row["x1"] - row["x0"])
        targets.append(
            Target(
                finding_id=int(row["id"]),
                class_code=cls.code,
                class_name=cls.name,
                colour=cls.colour,
                y_px=float(y),
                x_px=float(x),
                height_px=height,
                width_px=width,
                height_um=height * size_y,
                width_um=width * size_x,
                specimen_x_um=float(x) * size_x,
                specimen_y_um=float(y) * size_y,
                stage_x_mm=float(sx),
                stage_y_mm=float(sy),
                r95_um=float(radius) if np.isfinite(radius) else None,
                outside_marks=bool(out),
                note=str(row["note"]),
                confidence=None if np.isnan(row["confidence"]) else float(row["confidence"]),
            )
        )
    return tuple(targets)
