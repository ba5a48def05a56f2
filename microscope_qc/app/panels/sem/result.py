"""A description of an alignment."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.wording import degrees_text, rounded_text, things

if TYPE_CHECKING:
    from microscope_qc.correlation.registration import Registration

MODELS = {
    "rigid": "shift and rotation",
    "similarity": "shift, rotation and scale",
    "affine": "shift, rotation, scale and shear",
}


def expected_error(registration: Registration, yx_px: np.ndarray) -> str:
    """Expected error (95 %) at positions on the slide, e.g. ``3.1 to 5.4 µm``."""
    radii = registration.r95_um(yx_px) if len(yx_px) else np.empty(0)
    radii = radii[np.isfinite(radii)]
    if len(radii) == 0:
        return "not estimable: no check possible with these marks"
    low, high = rounded_text(float(radii.min())), rounded_text(float(radii.max()))
    return f"{high} µm" if low == high else f"{low} to {high} µm"


def alignment_html(registration: Registration, *, name: str, places_px: np.ndarray, places: str) -> str:
    """Table of the results, then the warnings.

    Parameters
    ----------
    places_px
        (n, 2) y, x of the positions for which the expected error is given; ``places`` is their name.
    """
    freedom = registration.degrees_of_freedom
    checks = things(freedom, "degree of freedom", "degrees of freedom") if freedom > 0 else "no check possible"
    about = f"<b>{escape(name)}</b>: {things(registration.n, 'mark')}, {MODELS[registration.model]}, {checks}"
    percent = (registration.observed_scale - 1) * 100
    scale = f"{percent:+.2f}" if abs(percent) >= 0.005 else "0.00"
    rows = [
        (f"Expected error (95 %) {places}", expected_error(registration, places_px)),
        (
            "Mirrored",
            ("yes" if registration.mirror else "no") + ("" if registration.mirror_certain else ", not certain"),
        ),
        ("Rotation", degrees_text(registration.rotation_deg, 2)),
        ("Scale", f"{scale.replace('-', '−')} % off the pixel size"),
    ]
    if registration.model == "affine" and not math.isclose(registration.shear_deg, 0.0, abs_tol=1e-3):
        rows.append(("Shear", degrees_text(registration.shear_deg, 3)))
    for check in registration.checks:
        expected = "no estimate" if check.r95_um is None else f"expected: up to {rounded_text(check.r95_um)} µm"
        rows.append((f"Check {check.name}", f"{rounded_text(check.error_um)} µm off ({expected})"))
    cells = "".join(
        f"<tr><td style='padding-right: 10px'>{escape(what)}</td><td><b>{escape(value)}</b></td></tr>"
        for what, value in rows
    )
    warnings = "".join(
        f"<p style='color: #D55E00; margin: 4px 0'>⚠ {escape(text.replace(' um', ' µm'))}</p>"
        for text in registration.warnings
    )
    return f"{about}<table cellspacing='2'>{cells}</table>{warnings}"
