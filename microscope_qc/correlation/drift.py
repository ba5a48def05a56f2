"""How the stage has moved between two visits, from marks that were visited again.

One mark tells a shift, two or more a shift and a turn (least squares, as in
:mod:`microscope_qc.correlation.solving`). A sample that was mounted again needs a new alignment: its marks are visited
all again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.correlation.evidence import radius_factor
from microscope_qc.correlation.registration import Registration


@dataclass(frozen=True, slots=True)
class Drift:
    """What moves stage positions of an alignment to those of now.

    Attributes
    ----------
    names
        The marks that were visited again.
    matrix : ndarray, shape (2, 3)
        Stage um (x, y) then to stage um now.
    shift_um
        How far the middle of these marks has moved, x and y.
    rotation_deg
        How far the specimen has turned, counter-clockwise; None with one mark.
    residuals_um
        What shift and turn leave over at each mark; 0 where they are just determined.
    noise_um
        Below this a shift is within the error of locating marks with 95 %; None where that error is not known.
    """

    names: tuple[str, ...]
    matrix: Floats
    shift_um: tuple[float, float]
    rotation_deg: float | None
    residuals_um: tuple[float, ...]
    noise_um: float | None

    @property
    def distance_um(self) -> float:
        """Length of the shift."""
        return float(np.hypot(*self.shift_um))

    @property
    def is_real(self) -> bool | None:
        """Whether the shift is more than errors of locating marks; None where these are not known."""
        return None if self.noise_um is None else self.distance_um > self.noise_um

    @property
    def words(self) -> str:
        """The drift in one sentence."""
        x, y = self.shift_um
        turn = "" if self.rotation_deg is None else f", turned by {self.rotation_deg:.3f}°"
        beyond = {
            None: "; whether that is more than errors of locating marks is not known",
            True: "",
            False: f", which is within the error of locating marks ({self.noise_um or 0:.1f} µm)",
        }
        return (
            f"Moved by {self.distance_um:.1f} µm (x {x:+.1f}, y {y:+.1f}){turn}, by {things(len(self.names), 'mark')}"
            f"{beyond[self.is_real]}."
        )


def drift_since(fitted: Registration, visited: Mapping[str, tuple[float, float]]) -> Drift:
    """Find the drift since an alignment was made.

    Parameters
    ----------
    visited
        Where marks of the alignment are on the stage now, x and y in mm, by their names.

    Raises
    ------
    InputError
        When no mark was visited again, or one is not known.
    """
    known = dict(zip(fitted.names, fitted.stage_mm, strict=True))
    known |= {check.name: np.array([check.stage_x_mm, check.stage_y_mm]) for check in fitted.checks}
    strange = next((name for name in visited if name not in known), None)
    if strange is not None:
        raise InputError(f"The alignment has no mark {strange}.", hint=f"Its marks are: {', '.join(known)}.")
    if not visited:
        raise InputError("No mark was visited again.", hint="Drive to one, and enter where the stage is.")
    before = np.array([known[name] for name in visited], float) * 1000
    after = np.array(list(visited.values()), float) * 1000
    if not np.isfinite(after).all():
        raise InputError("The position of a mark must be a finite number.", hint="Enter it again.")
    matrix = _rigid(before, after)
    left: Floats = np.linalg.norm(before @ matrix[:, :2].T + matrix[:, 2] - after, axis=1)
    shift = (after - before).mean(axis=0)
    noise = None
    if fitted.sigma_um is not None:  # both visits locate each mark with this error
        error = np.sqrt(2 * (fitted.sigma_um**2 + fitted.repeatability_um**2 / 2) / len(before))
        noise = float(radius_factor(fitted.degrees_of_freedom) * np.sqrt(2) * error)
    turn = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) if len(before) > 1 else None
    return Drift(tuple(visited), matrix, (float(shift[0]), float(shift[1])), turn, tuple(left.round(3).tolist()), noise)


def _rigid(before: Floats, after: Floats) -> Floats:
    """Shift and turn (2, 3) from points (n, 2) to points; a shift for one point, or for points at one place."""
    start, end = before.mean(axis=0), after.mean(axis=0)
    a, b = before - start, after - end
    turn = np.eye(2)
    if len(before) > 1 and (a**2).sum() > 0:
        angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, end - turn @ start])


def drifted(fitted: Registration, drift: Drift) -> Registration:
    """The alignment as it is now; its expected error grows by that of the drift.

    The error of finding the drift (of n marks, visited twice) counts as one of the stage.
    """
    sigma = fitted.sigma_um or 0.0
    added = 2 * 2 * sigma**2 / len(drift.names)
    turn = drift.matrix[:, :2]

    def moved(stage_mm: Floats) -> Floats:
        positions: Floats = (stage_mm * 1000 @ turn.T + drift.matrix[:, 2]) / 1000
        return positions

    matrix = np.column_stack([turn @ fitted.matrix[:, :2], turn @ fitted.matrix[:, 2] + drift.matrix[:, 2]])
    checks = [
        replace(check, stage_x_mm=float(x), stage_y_mm=float(y))
        for check in fitted.checks
        for x, y in moved(np.array([[check.stage_x_mm, check.stage_y_mm]]))
    ]
    words = f"Moved from an earlier visit by {', '.join(drift.names)}."
    return replace(
        fitted,
        matrix=matrix,
        stage_mm=moved(fitted.stage_mm),
        repeatability_um=float(np.sqrt(fitted.repeatability_um**2 + added)),
        checks=tuple(checks),
        warnings=(*(text for text in fitted.warnings if not text.startswith("Moved from")), words),
    )
