"""How stage positions are written: the same choices, with the same defaults, in the window and on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from microscope_qc.core.errors import InputError

ORDERS = {"short": "Short way", "worst": "Worst first", "severity": "Most severe first", "number": "By number"}
"""Name of an order of the travel list and what it is called on screen."""
UNITS = {"mm": "mm", "um": "µm"}
"""Name of a unit of the stage and how it is written on screen."""


@dataclass(frozen=True, slots=True)
class StageOptions:
    """Order of the travel list, unit of the stage in tables, and the stage height to write (None writes none).

    ``start_mm`` is where a short way begins (x, y); None begins at the first mark.

    Raises
    ------
    InputError
        When there is no such order or unit, or the height is not a number.
    """

    order: str = "short"
    unit: str = "mm"
    stage_z_mm: float | None = None
    start_mm: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.order not in ORDERS:
            raise InputError(
                f"There is no order {self.order!r} of the travel list.", hint=f"Choose one of: {', '.join(ORDERS)}."
            )
        if self.unit not in UNITS:
            raise InputError(f"The stage's unit cannot be {self.unit!r}.", hint=f"Choose one of: {', '.join(UNITS)}.")
        if self.stage_z_mm is not None and not math.isfinite(self.stage_z_mm):
            raise InputError("The stage height is not a number.", hint="Give it in mm, or leave it out.")
