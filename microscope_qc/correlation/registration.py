"""Position of the slide on the stage of another microscope, from marks seen in both, and its uncertainty.

The chain is slide pixel -> specimen um -> stage. Specimen coordinates run to the right and up (the slide's y is flipped
here, and only here), so that "mirrored" means that the specimen's sense of rotation changes, not that a picture has
its y downwards.

Expected errors follow J. M. Fitzpatrick, J. B. West and C. R. Maurer, "Predicting error in rigid-body point-based
registration", IEEE Trans. Med. Imaging 17 (1998) 694, and the covariance of linear least squares for affine maps. The
error of locating a mark is estimated from few marks, so the radius follows F(2, v) and not the normal distribution.
The residual at the marks is never taken for the accuracy: it falls with fewer marks while the true error rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.errors import RegistrationError
from microscope_qc.core.wording import significant_text, things
from microscope_qc.correlation.evidence import (
    NARROW,
    are_outside,
    is_hand_certain,
    is_sheared,
    radius_factor,
    warnings_of,
)
from microscope_qc.correlation.mark_checks import MarkCheck
from microscope_qc.correlation.solving import (
    apply_map,
    leave_one_out,
    narrowness,
    observed_scale_of,
    solve_handed,
    specimen_um,
)

PARAMETERS = {"rigid": 3, "similarity": 4, "affine": 6}


@dataclass(frozen=True, slots=True)
class Registration:
    """A fitted map from slide to stage.

    Attributes
    ----------
    model : str
        "rigid", "similarity" or "affine".
    mirror : bool
        Whether the specimen's sense of rotation is reversed on the stage.
    matrix : ndarray, shape (2, 3)
        Specimen um (x, y up) to stage um (x, y).
    sigma_um : float or None
        Error of locating a mark along one axis; None when no degree of freedom is left.
    mirror_certain : bool
        Whether the marks, or a user, say ``mirror``; where they are too close together errors decide it.
    residuals_um, loo_um : ndarray, shape (n,)
        Distance at each mark, and at each mark when it is left out of the fit (NaN where that cannot be computed).
    checks
        Marks that the map was not fitted to.
    """

    model: str
    mirror: bool
    matrix: np.ndarray
    pixel_size_um: tuple[float, float]
    marks_px: np.ndarray
    stage_mm: np.ndarray
    names: tuple[str, ...]
    sigma_um: float | None
    residuals_um: np.ndarray
    loo_um: np.ndarray
    observed_scale: float
    repeatability_um: float = 0.0
    mirror_certain: bool = True
    warnings: tuple[str, ...] = field(default=())
    checks: tuple[MarkCheck, ...] = field(default=())

    @property
    def n(self) -> int:
        """Number of marks."""
        return len(self.marks_px)

    @property
    def degrees_of_freedom(self) -> int:
        """Measured numbers minus fitted ones; with 0 no check is possible."""
        return 2 * self.n - PARAMETERS[self.model]

    @property
    def sigma_text(self) -> str:
        """The error of locating a mark with its unit; "" where it cannot be estimated."""
        if self.sigma_um is None:
            return ""
        return f"{significant_text(self.sigma_um) if self.sigma_um >= 0.01 else 'under 0.01'} um"

    @property
    def check_possible(self) -> bool:
        """Whether a wrong mark would show as a contradiction between the marks."""
        return self.degrees_of_freedom > 0

    @property
    def handedness(self) -> str:
        """ "mirrored" or "not mirrored", and "not certain" where the marks do not tell."""
        word = "mirrored" if self.mirror else "not mirrored"
        return word if self.mirror_certain else f"{word} (not certain)"

    @property
    def scale(self) -> float:
        """Stage length over specimen length; 1 when both microscopes agree."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    @property
    def rotation_deg(self) -> float:
        """Angle from the specimen's x axis to its image on the stage, counter-clockwise, -180 to 180."""
        return float(np.degrees(np.arctan2(self.matrix[1, 0], self.matrix[0, 0])))

    @property
    def shear_deg(self) -> float:
        """Deviation from a right angle between the images of the two axes (0 but for affine maps)."""
        a, b = self.matrix[:, 0], self.matrix[:, 1]
        cosine = float(a @ b / np.maximum(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))
        return float(np.degrees(np.arcsin(np.clip(cosine, -1.0, 1.0))))

    @property
    def stretch(self) -> tuple[float, float]:
        """Largest and smallest scale over all directions."""
        values = np.linalg.svd(self.matrix[:, :2], compute_uv=False)
        return float(values[0]), float(values[1])

    def to_stage(self, yx_px: np.ndarray) -> np.ndarray:
        """Stage positions (n, 2) x, y in mm of slide pixels (n, 2) y, x."""
        return apply_map(self.matrix, specimen_um(yx_px, self.pixel_size_um)) / 1000.0

    def from_stage(self, xy_mm: np.ndarray) -> np.ndarray:
        """Slide pixels (n, 2) y, x of stage positions (n, 2) x, y in mm."""
        offset = np.atleast_2d(np.asarray(xy_mm, float)) * 1000.0 - self.matrix[:, 2]
        x, y = np.linalg.solve(self.matrix[:, :2], offset.T)
        return np.stack([-y / self.pixel_size_um[0], x / self.pixel_size_um[1]], axis=1)

    def r95_um(self, yx_px: np.ndarray) -> np.ndarray:
        """Radius (n,) in um around a stage position that holds the true place with 95 % confidence.

        NaN where it cannot be estimated: without a degree of freedom nothing is known of the error of a mark. Marks
        that fit better than rounding to a pixel allows fit by chance, or were computed: that much error is assumed.
        """
        points = specimen_um(yx_px, self.pixel_size_um)
        if self.sigma_um is None:
            return np.full(len(points), np.nan)
        rounding = self.pixel_size_um[0] * self.pixel_size_um[1] / 12
        variance = max(self.sigma_um**2, rounding)
        tre2 = variance * self._leverage(points)
        length: Floats = np.sqrt(tre2 + 2 * variance + self.repeatability_um**2)
        return radius_factor(self.degrees_of_freedom) * length

    def _leverage(self, points: Floats) -> Floats:
        """Squared target registration error in units of sigma squared."""
        marks = specimen_um(self.marks_px, self.pixel_size_um)
        centre: Floats = marks.mean(axis=0)
        spread = float(((marks - centre) ** 2).sum())
        if self.model == "affine":
            design = np.column_stack([marks - centre, np.ones(self.n)])
            h = np.column_stack([points - centre, np.ones(len(points))])
            lengths: Floats = np.einsum("ij,jk,ik->i", h, np.linalg.inv(design.T @ design), h)
            return 2 * lengths
        turning: Floats = ((points - centre) ** 2).sum(axis=1) / spread
        # a rigid map has no scale to get wrong away from the centre
        return 2 / self.n + (1 if self.model == "rigid" else 2) * turning

    def outside_marks(self, yx_px: np.ndarray) -> Flags:
        """Boolean (n,): which slide pixels are outside the marks and a small margin, where errors grow quickly."""
        marks = specimen_um(self.marks_px, self.pixel_size_um)
        return are_outside(specimen_um(yx_px, self.pixel_size_um), marks)

    def with_checks(self, names: Sequence[str], yx_px: np.ndarray, xy_mm: np.ndarray) -> Registration:
        """The same with marks that it was not fitted to: slide pixels (n, 2) y, x, and stage (n, 2) x, y in mm."""
        if not len(names):
            return replace(self, checks=())
        away: Floats = np.linalg.norm(self.to_stage(yx_px) - xy_mm, axis=1) * 1000
        radii = self.r95_um(yx_px)
        checks = [
            MarkCheck(
                name=name,
                y_px=float(yx_px[n, 0]),
                x_px=float(yx_px[n, 1]),
                stage_x_mm=float(xy_mm[n, 0]),
                stage_y_mm=float(xy_mm[n, 1]),
                error_um=float(away[n]),
                r95_um=float(radii[n]) if np.isfinite(radii[n]) else None,
            )
            for n, name in enumerate(names)
        ]
        warnings = [f"The check {check.words}." for check in checks if check.holds is False]
        return replace(self, checks=tuple(checks), warnings=(*self.warnings, *warnings))

    def to_dict(self) -> dict[str, Any]:
        """All values for JSON, with units in the names."""
        return {
            "version": 1,
            "model": self.model,
            "n": self.n,
            "degrees_of_freedom": self.degrees_of_freedom,
            "check_possible": self.check_possible,
            "mirror": self.mirror,
            "mirror_certain": self.mirror_certain,
            "handedness": self.handedness,
            "matrix_specimen_um_to_stage_um": self.matrix.tolist(),
            "matrix_slide_px_xy_to_stage_mm": self.matrix_px_to_mm.tolist(),
            "pixel_size_um": list(self.pixel_size_um),
            "rotation_deg": self.rotation_deg,
            "scale": self.scale,
            "observed_scale": self.observed_scale,
            "scale_percent_off": (self.observed_scale - 1) * 100,
            "shear_deg": self.shear_deg,
            "stretch": list(self.stretch),
            "sigma_um": self.sigma_um,
            "repeatability_um": self.repeatability_um,
            "marks": [
                {
                    "name": name,
                    "slide_x_px": float(px[1]),
                    "slide_y_px": float(px[0]),
                    "stage_x_mm": float(mm[0]),
                    "stage_y_mm": float(mm[1]),
                    "residual_um": float(residual),
                    "leave_one_out_um": float(loo) if np.isfinite(loo) else None,
                }
                for name, px, mm, residual, loo in zip(
                    self.names, self.marks_px, self.stage_mm, self.residuals_um, self.loo_um, strict=True
                )
            ],
            "checks": [check.to_json() for check in self.checks],
            "warnings": list(self.warnings),
        }

    @property
    def matrix_px_to_mm(self) -> np.ndarray:
        """(2, 3) map of slide pixels (x, y down) to stage mm (x, y), for other programs."""
        size_y, size_x = self.pixel_size_um
        return self.matrix @ np.diag([size_x, -size_y, 1.0]) / 1000.0

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Registration:
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        RegistrationError
            When the data are not a registration.
        """
        try:
            marks = data["marks"]
            size_y, size_x = (float(value) for value in data["pixel_size_um"])
            sigma = data["sigma_um"]
            loo = [np.nan if m["leave_one_out_um"] is None else m["leave_one_out_um"] for m in marks]
            return cls(
                model=str(data["model"]),
                mirror=bool(data["mirror"]),
                matrix=np.array(data["matrix_specimen_um_to_stage_um"], float).reshape(2, 3),
                pixel_size_um=(size_y, size_x),
                marks_px=np.array([[m["slide_y_px"], m["slide_x_px"]] for m in marks], float),
                stage_mm=np.array([[m["stage_x_mm"], m["stage_y_mm"]] for m in marks], float),
                names=tuple(str(m["name"]) for m in marks),
                sigma_um=None if sigma is None else float(sigma),
                residuals_um=np.array([m["residual_um"] for m in marks], float),
                loo_um=np.array(loo, float),
                observed_scale=float(data["observed_scale"]),
                repeatability_um=float(data["repeatability_um"]),
                mirror_certain=bool(data.get("mirror_certain", True)),
                warnings=tuple(data["warnings"]),
                checks=tuple(MarkCheck.from_json(check) for check in data.get("checks", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RegistrationError(
                "The stored alignment cannot be read.", hint="Fit it again from its marks."
            ) from error


def fit(
    marks_px: np.ndarray,
    stage_mm: np.ndarray,
    pixel_size_um: tuple[float, float],
    *,
    model: str = "auto",
    mirror: bool | None = None,
    names: Sequence[str] | None = None,
    repeatability_um: float = 0.0,
) -> Registration:
    """Fit the map from slide to stage.

    Parameters
    ----------
    marks_px
        (n, 2) marks on the slide, y and x in full-resolution pixels.
    stage_mm
        (n, 2) the same marks on the stage, x and y in mm.
    pixel_size_um
        The slide's pixel size, y and x.
    model
        "auto": rigid with two marks, similarity with three to five, affine from six on if it fits clearly better.
    mirror
        Whether the stage shows the specimen mirrored; None tries both and keeps the better one. Two marks do not say,
        and marks close together may not: see :attr:`Registration.mirror_certain`.
    repeatability_um
        How well the stage returns to a position (root mean square length).

    Raises
    ------
    RegistrationError
        When the marks do not determine the map.
    """
    marks, stage = _checked(marks_px, stage_mm, pixel_size_um)
    count = len(marks)
    points = specimen_um(marks, pixel_size_um)
    target = stage * 1000.0
    narrow = narrowness(points) < NARROW
    chosen = _choose_model(model, count, narrow, mirror)
    if chosen == "auto":  # six marks or more
        chosen = "affine" if is_sheared(points, target, mirror) else "similarity"
    matrix = solve_handed(chosen, points, target, mirror)[1]
    determinant = float(np.linalg.det(matrix[:, :2]))
    if not abs(determinant) > 1e-12:
        raise RegistrationError(
            "The marks on the slide and on the stage contradict each other.", hint="Look for marks that are swapped."
        )
    mirrored = determinant < 0
    difference = apply_map(matrix, points) - target
    freedom = 2 * count - PARAMETERS[chosen]
    squares = float((difference**2).sum())
    residuals = np.linalg.norm(difference, axis=1)
    loo = leave_one_out(chosen, points, target, mirrored) if count >= 4 else np.full(count, np.nan)
    observed = observed_scale_of(points, target)
    return Registration(
        model=chosen,
        mirror=mirrored,
        matrix=matrix,
        pixel_size_um=(float(pixel_size_um[0]), float(pixel_size_um[1])),
        marks_px=marks,
        stage_mm=stage,
        names=tuple(names) if names is not None else tuple(f"M{i + 1}" for i in range(count)),
        sigma_um=float(np.sqrt(squares / freedom)) if freedom > 0 else None,
        residuals_um=residuals,
        loo_um=loo,
        observed_scale=observed,
        repeatability_um=float(repeatability_um),
        mirror_certain=mirror is not None or is_hand_certain(points, target),
        warnings=tuple(
            warnings_of(
                chosen, matrix, points, target, freedom=freedom, observed=observed, narrow=narrow, mirror=mirror
            )
        ),
    )


def _checked(marks_px: Any, stage_mm: Any, pixel_size_um: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    try:
        marks, stage = np.array(marks_px, float), np.array(stage_mm, float)
    except (TypeError, ValueError) as error:
        raise RegistrationError("A mark's position is not a number.", hint="Correct the marks.") from error
    if marks.ndim != 2 or marks.shape[1:] != (2,) or marks.shape != stage.shape:
        raise RegistrationError("Every mark needs a place on the slide and on the stage.", hint="Complete the marks.")
    if len(marks) < 2:
        raise RegistrationError(
            f"{things(len(marks), 'mark')} cannot tell how the slide lies on the stage.",
            hint="Place at least three marks near the corners.",
        )
    if not (np.isfinite(marks).all() and np.isfinite(stage).all()):
        raise RegistrationError("A mark's position is not a finite number.", hint="Correct the marks.")
    if not all(np.isfinite(size) and size > 0 for size in pixel_size_um):
        raise RegistrationError("The slide's pixel size is not known.", hint="Enter it first.")
    for what, places in (("slide", marks), ("stage", stage)):
        if np.ptp(places, axis=0).max() <= 1e-9:
            raise RegistrationError(f"All marks are at one place on the {what}.", hint="Place them at the corners.")
    return marks, stage


def _choose_model(model: str, count: int, narrow: bool, mirror: bool | None) -> str:
    """Return the model for this many marks, "auto" where the marks must decide."""
    if model not in ("auto", *PARAMETERS):
        raise RegistrationError(f"There is no model {model!r}.", hint="Choose auto, rigid, similarity or affine.")
    if model == "affine" and (count < 3 or narrow):
        raise RegistrationError("An affine map needs three marks that do not lie on a line.", hint="Add one beside it.")
    if mirror is None and model != "affine" and (count == 2 or narrow):
        if count == 2:
            raise RegistrationError(
                "Two marks cannot tell whether the stage shows the slide mirrored.",
                hint="Say which one it is, or place a third mark away from the line between them.",
            )
        raise RegistrationError(
            "The marks are almost on a line, so they cannot tell whether the stage shows the slide mirrored.",
            hint="Place one more mark away from that line.",
        )
    if model != "auto":
        return model
    if count == 2:
        return "rigid"
    return "similarity" if count < 6 or narrow else "auto"
