"""How much is enough: sections first, as more of one does not replace a second one, then findings and area."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

from microscope_qc.analysis.counts import Density, poisson_interval, t_quantile, widened

PRECISION = 0.3
"""So far above the density its upper limit may lie, as a share of it."""
LEVEL = 0.95
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Enough:
    """What a density needs for its upper limit to lie at most :data:`PRECISION` above it.

    Attributes
    ----------
    sections
        Sections, or specimens, like those that were searched; None where the spread between them is not known.
    findings, area_mm2
        Findings that are needed where the sections are as different as they were, and the area that they lie on.
    to_see_mm2
        Area on which at least one is found, 95 times of 100.
    """

    sections: int | None
    findings: int
    area_mm2: float
    to_see_mm2: float


def enough(known: Density, *, precision: float = PRECISION) -> Enough | None:
    """Say what is enough for a density; None where nothing was found."""
    if not known.count:
        return None
    findings = math.ceil(findings_needed(precision) * (known.spread or 1.0))
    return Enough(
        _sections_needed(known, precision), findings, findings / known.per_mm2, -math.log(1 - LEVEL) / known.per_mm2
    )


@cache
def findings_needed(precision: float) -> int:
    """The least number of findings whose exact upper limit (95 %) lies no more than a share above it."""
    return next(count for count in range(1, 1_000_000) if poisson_interval(count)[1] < (1 + precision) * count)


def _sections_needed(known: Density, precision: float) -> int | None:
    if known.sections < 2 or known.spread is None:
        return None
    each = known.count / known.sections

    def good(sections: int) -> bool:
        reach = t_quantile(sections - 1, LEVEL) * math.sqrt(known.spread or 1.0) / math.sqrt(each * sections)
        return widened(reach) <= 1 + precision

    found = 2 + bisect_left(range(2, _MOST), True, key=good)
    return found if found < _MOST else None
