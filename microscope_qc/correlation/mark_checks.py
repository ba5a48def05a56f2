"""Marks that are kept out of the fit of an alignment: how far off it is where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MarkCheck:
    """A mark that an alignment was not fitted to.

    ``error_um`` is the distance between where the alignment expects it on the stage and where it was measured,
    ``r95_um`` what that stays below in 95 % of cases; None where the marks of the fit allow no estimate.
    """

    name: str
    y_px: float
    x_px: float
    stage_x_mm: float
    stage_y_mm: float
    error_um: float
    r95_um: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether it lies within the expected error; None where that is not known."""
        return None if self.r95_um is None else self.error_um <= self.r95_um

    @property
    def words(self) -> str:
        """``M5 is 3.2 um off (expected: up to 6.1 um)``."""
        expected = "no estimate" if self.r95_um is None else f"expected: up to {self.r95_um:.1f} um"
        return f"{self.name} is {self.error_um:.1f} um off ({expected})"

    def to_json(self) -> dict[str, Any]:
        """JSON values, with units in the names."""
        return {
            "name": self.name,
            "slide_x_px": self.x_px,
            "slide_y_px": self.y_px,
            "stage_x_mm": self.stage_x_mm,
            "stage_y_mm": self.stage_y_mm,
            "error_um": self.error_um,
            "r95_um": self.r95_um,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> MarkCheck:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it cannot be read.
        """
        return cls(
            name=str(stored["name"]),
            y_px=float(stored["slide_y_px"]),
            x_px=float(stored["slide_x_px"]),
            stage_x_mm=float(stored["stage_x_mm"]),
            stage_y_mm=float(stored["stage_y_mm"]),
            error_um=float(stored["error_um"]),
            r95_um=None if stored["r95_um"] is None else float(stored["r95_um"]),
        )
