"""How severe findings are: their class, their size, how strange they look and how close they lie, as one number.

Confidence is no part of it: a doubtful large particle stays severe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.analysis.ranking import PixelSize, Rows, size_um
from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError

PARTS = ("size", "anomaly", "crowding")
"""Names of the parts."""
_MEDIANS = 4.0
"""Without a limit, a finding of so many times the median of its class is as severe as its size can make it."""
_DIGITS = 6.0
"""The anomaly of a finding is full where an area without defects looks like it once in ten to the power of this."""


@dataclass(frozen=True, slots=True)
class SeverityProfile:
    """What severities are worked out by.

    Attributes
    ----------
    size, anomaly, crowding
        Weight of each part, 0 or more.
    radius_um
        Findings so close to each other are neighbours.
    half
        So many neighbours make half of the crowding.
    limits_um
        Longest side that is still allowed, by class.
    medians_um
        Median of the longest side, by class, as it was when the profile was kept.
    """

    size: float = 0.6
    anomaly: float = 0.25
    crowding: float = 0.15
    radius_um: float = 100.0
    half: float = 3.0
    limits_um: Mapping[int, float] = field(default_factory=dict)
    medians_um: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the numbers."""
        weights = [getattr(self, name) for name in PARTS]
        numbers = [*weights, self.radius_um, self.half, *self.limits_um.values(), *self.medians_um.values()]
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or not sum(weights):
            raise InputError(
                "The weights of a severity are numbers of 0 or more, and not all 0.",
                hint="0.6, 0.25 and 0.15 are usual.",
            )
        if not self.radius_um or not self.half:
            raise InputError("Radius and number of neighbours of a severity are more than 0.")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        numbers = {name: getattr(self, name) for name in (*PARTS, "radius_um", "half")}
        by_class = {
            name: {str(key): value for key, value in getattr(self, name).items()}
            for name in ("limits_um", "medians_um")
        }
        return numbers | by_class

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> SeverityProfile:
        """Read what :meth:`to_json` has written.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        try:
            size, anomaly, crowding, radius, half = (float(known[name]) for name in (*PARTS, "radius_um", "half"))
            limits, medians = (
                {int(key): float(value) for key, value in known[name].items()} for name in ("limits_um", "medians_um")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("The profile of severity cannot be read.", hint="Keep it again.") from error
        return cls(size, anomaly, crowding, radius, half, limits, medians)


@dataclass(frozen=True, slots=True, eq=False)
class Severities:
    """Severity of findings, shape (N,) each.

    Attributes
    ----------
    total
        0 to 100; NaN where no part is known.
    weight
        Of the class, 0 to 1: the most severe class of the project has 1 at least.
    parts
        Each part by its name, 0 to 1; NaN where it is not known.
    neighbours
        Findings within the radius; -1 where the pixel size is not known.
    """

    total: Floats
    weight: Floats
    parts: Mapping[str, Floats]
    neighbours: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Box rows, or their columns by name, with their pixel sizes and slides; shape (N,).

    Attributes
    ----------
    pixel_size_um
        (y, x), one for all or one for each; None or NaN where it is not known.
    slides
        The slide of each; None where all are on one.
    """

    rows: Rows
    pixel_size_um: PixelSize
    slides: Ints | None = None

    @property
    def on(self) -> Ints:
        """The slide of each, 0 where all are on one."""
        return np.zeros(len(self.rows["id"]), np.int64) if self.slides is None else self.slides

    @property
    def sizes_um(self) -> Floats:
        """Longest side of each; NaN where the pixel size is not known."""
        count = len(self.rows["id"])
        return np.full(count, np.nan) if self.pixel_size_um is None else size_um(self.rows, self.pixel_size_um)

    @property
    def places_um(self) -> Floats:
        """Centre of each, shape (N, 2): y, x."""
        size_y, size_x = self.pixel_size_um or (math.nan, math.nan)
        y, x = (self.rows["y0"] + self.rows["y1"]) / 2, (self.rows["x0"] + self.rows["x1"]) / 2
        return np.stack([y * size_y, x * size_x], axis=1)


def severities(
    found: Findings,
    among: Findings,
    classes: Sequence[DefectClass],
    profile: SeverityProfile,
    *,
    anomaly_p: Mapping[int, float] | None = None,
) -> Severities:
    """Work out severities: 100 times the weight of the class and the weighted mean of the parts that are known.

    Parameters
    ----------
    among
        The findings that crowd others, and whose medians stand in for those that the profile does not have.
    anomaly_p
        By number of the finding: how often an area without defects looks as strange, 0 to 1.
    """
    ids, sizes = found.rows["id"], found.sizes_um
    neighbours = _neighbours(found, among, profile.radius_um)
    near = np.where(neighbours < 0, np.nan, neighbours.astype(float))
    p = np.array([anomaly_p.get(number, math.nan) for number in ids.tolist()] if anomaly_p else math.nan)
    parts = {
        "size": np.minimum(1.0, sizes / _whole(found, among, profile)),
        "anomaly": np.clip(-np.log10(np.clip(np.broadcast_to(p, ids.shape), 1e-300, 1.0)) / _DIGITS, 0.0, 1.0),
        "crowding": near / (near + profile.half),
    }
    table = np.stack([parts[name] for name in PARTS])
    shares = np.array([getattr(profile, name) for name in PARTS], float)[:, None] * ~np.isnan(table)
    known = shares.sum(axis=0)
    mean = np.divide(np.nansum(table * shares, axis=0), known, out=np.full(len(ids), np.nan), where=known > 0)
    weight = _weights(found.rows["class_id"], classes)
    return Severities(100.0 * weight * mean, weight, parts, neighbours)


def by_severity(ids: Ints, total: Floats) -> Ints:
    """Order findings from the most severe to the least; those whose severity is not known come last."""
    found: Ints = np.lexsort((ids, -np.nan_to_num(total, nan=-1.0)))
    return found


def medians_um(class_ids: Ints, sizes: Floats) -> dict[int, float]:
    """Median of the longest side by class, of what has a size."""
    known = np.isfinite(sizes)
    return {
        number: float(np.median(sizes[known & (class_ids == number)]))
        for number in np.unique(class_ids[known]).tolist()
    }


def _whole(found: Findings, among: Findings, profile: SeverityProfile) -> Floats:
    """The size of which the part is full: the limit of the class, else some times its median; NaN without either.

    Where the profile has no median of a class, that of what is on the same slide stands in for it.
    """
    class_ids, slides = found.rows["class_id"], found.on
    whole = np.full(len(class_ids), np.nan)
    sizes, other_ids, other_slides = among.sizes_um, among.rows["class_id"], among.on
    for number in np.unique(class_ids).tolist():
        mine = class_ids == number
        fixed = profile.limits_um.get(number) or _MEDIANS * profile.medians_um.get(number, 0.0)
        if fixed:
            whole[mine] = fixed
            continue
        alike = (other_ids == number) & np.isfinite(sizes)
        for slide in np.unique(slides[mine]).tolist():
            known = sizes[alike & (other_slides == slide)]
            whole[mine & (slides == slide)] = _MEDIANS * np.median(known) if len(known) else np.nan
    return whole


def _weights(class_ids: Ints, classes: Sequence[DefectClass]) -> Floats:
    """Weights of the classes as shares of the largest one, which is 1 at least."""
    most = max([1.0, *(defect.weight for defect in classes)])
    known = {defect.id: max(0.0, defect.weight) / most for defect in classes}
    numbers, which = np.unique(class_ids, return_inverse=True)
    return np.array([known.get(number, 1.0 / most) for number in numbers.tolist()], float)[which]


def _neighbours(found: Findings, among: Findings, radius_um: float) -> Ints:
    """How many of ``among`` lie within a radius of each, without itself; -1 where the pixel size is not known."""
    from scipy.spatial import KDTree

    here, there, slides, other_slides = found.places_um, among.places_um, found.on, among.on
    known, counts = np.isfinite(here).all(axis=1), np.isfinite(there).all(axis=1)
    itself = np.isin(found.rows["id"], among.rows["id"])
    near = np.where(known, 0, -1)
    for slide in np.unique(slides[known]).tolist():
        mine, others = np.flatnonzero(known & (slides == slide)), counts & (other_slides == slide)
        low, high = here[mine].min(axis=0) - radius_um, here[mine].max(axis=0) + radius_um
        others &= ((there >= low) & (there <= high)).all(axis=1)
        if others.any():
            around = KDTree(there[others]).query_ball_point(here[mine], radius_um, return_length=True)
            near[mine] = around - itself[mine]
    return near
