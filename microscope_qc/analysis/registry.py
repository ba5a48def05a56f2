"""What a statistic is, and the registry of statistics.

A statistic is one number about the findings of a slide, of one class or of all. It sees plain values only, so it can be
worked out by hand in a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.plugins import Registry


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Findings of one slide, of one class or of all.

    Attributes
    ----------
    rows
        Rows of ``BOX_DTYPE``, shape (N,), in pixels of the slide; rejected ones are left out.
    classes
        The classes of the project.
    pixel_size_um
        (y, x); None where it is not known.
    area_mm2
        Area in which all findings of these classes were searched for; None where it is not known.
    in_area
        Shape (N,): whose centre lies in that area. None where all do.
    """

    rows: np.ndarray
    classes: Sequence[DefectClass]
    pixel_size_um: tuple[float, float] | None = None
    area_mm2: float | None = None
    in_area: Flags | None = None

    @property
    def rows_in_area(self) -> np.ndarray:
        """Rows whose centre lies in the area: the numerator of everything that is divided by ``area_mm2``."""
        return self.rows if self.in_area is None else self.rows[self.in_area]


@dataclass(frozen=True, slots=True)
class Measured:
    """A number in the unit of its statistic.

    Attributes
    ----------
    n
        Number of findings it was computed from.
    interval
        Where the true value lies with 95 % confidence, for a number that estimates one.
    """

    value: float
    n: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number about findings.

    An instance is registered in the group ``microscope_qc.statistics`` under its name.

    Attributes
    ----------
    name
        What JSON and CSV call it; it ends in its unit where it has one.
    title
        For users: "Median of the longer side".
    heading
        Short, for the head of a column: "Median".
    unit
        As written in files: "um", "%", "1/mm2"; "" for a plain number.
    of
        Computes it; None where it is not known.
    digits
        Decimals that users read.
    """

    name: str
    title: str
    heading: str
    unit: str
    of: Callable[[Sample], Measured | None]
    digits: int = 1

    def text(self, value: float | None) -> str:
        """Return the number as users read it, without its unit."""
        return "-" if value is None else f"{value:.{self.digits}f}"


class MeasuredJson(TypedDict):
    """A measured number in JSON; ``value`` is None where it is not known."""

    value: float | None
    unit: str
    n: int
    interval: list[float] | None


def _a_statistic(thing: object) -> Statistic:
    if not isinstance(thing, Statistic):
        raise TypeError(f"it is a {type(thing).__name__}, not a Statistic")
    if not thing.name or not thing.title or not thing.heading:
        raise ValueError("it has no name, title or heading")
    if not callable(thing.of):
        raise TypeError("what computes it is not a function")
    return thing


_HERE = "microscope_qc.analysis.measures"

STATISTICS: Registry[Statistic] = Registry(
    "statistics",
    _a_statistic,
    {
        "median_um": f"{_HERE}:MEDIAN",
        "mean_um": f"{_HERE}:MEAN",
        "q90_um": f"{_HERE}:Q90",
        "largest_um": f"{_HERE}:LARGEST",
        "box_area_percent": f"{_HERE}:BOX_AREA",
    },
    what="statistic",
)


def measured(sample: Sample) -> dict[str, MeasuredJson]:
    """Compute every statistic; one of a plugin that fails is named and left out from then on."""
    found = {}
    for name, statistic in STATISTICS.items():
        try:
            found[name] = _as_json(statistic, statistic.of(sample))
        except Exception as error:  # a plugin may raise anything; the other numbers are still wanted
            STATISTICS.drop(name, error)
    return found


def _as_json(statistic: Statistic, found: Measured | None) -> MeasuredJson:
    if found is None:
        return {"value": None, "unit": statistic.unit, "n": 0, "interval": None}
    interval = None if found.interval is None else [float(limit) for limit in found.interval]
    if not all(math.isfinite(number) for number in (found.value, *(interval or ()))):
        raise ValueError("its result is not a finite number")
    return {"value": float(found.value), "unit": statistic.unit, "n": int(found.n), "interval": interval}
