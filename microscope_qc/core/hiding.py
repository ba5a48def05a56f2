"""Why findings are not shown: which parts of the filter, the confidence limit or switched-off runs hide them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import IntFlag, auto

import numpy as np

from microscope_qc.core.box_facts import BoxFacts
from microscope_qc.core.box_filter import BoxFilter
from microscope_qc.core.inclusion import Inclusion


class Hider(IntFlag):
    """Something that hides findings; several together."""

    RUNS = auto()
    LIMIT = auto()
    CONFIDENCE = auto()
    CLASSES = auto()
    STATES = auto()
    FINDERS = auto()
    CHOSEN = auto()
    SIZE = auto()
    OPINIONS = auto()
    LIST = auto()


_FIELDS = {
    Hider.CONFIDENCE: ("min_confidence", "max_confidence"), Hider.CLASSES: ("class_ids",), Hider.STATES: ("states",),
    Hider.FINDERS: ("found_by",), Hider.CHOSEN: ("only_chosen",), Hider.SIZE: ("size_um",),
    Hider.OPINIONS: ("only_disputed", "only_again"), Hider.LIST: ("numbers",),
}  # fmt: skip
_ALL = BoxFilter()

Hidden = Counter[Hider]
"""How many findings are hidden by exactly these."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """The least that must be lifted to show findings, and how many of them it then shows."""

    by: Hider
    count: int


def hidden(rows: np.ndarray, counted: Inclusion, shown: BoxFilter, facts: BoxFacts) -> Hidden:
    """Count the findings of a slide that the search of a filter finds, by what hides them.

    What is hidden by nothing is counted under ``Hider(0)``. Counts of several slides can be added.
    """
    wanted = rows[replace(_ALL, text=shown.text).mask(rows, facts=facts)]
    by = np.zeros(len(wanted), np.int64)
    for hider, keep in _alone(counted, shown):
        fits = keep.mask(wanted, rejected=True) if isinstance(keep, Inclusion) else keep.mask(wanted, facts=facts)
        by[~fits] |= int(hider)
    kinds, counts = np.unique(by, return_counts=True)
    return Counter({Hider(kind): count for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True)})


def least_hiding(found: Hidden) -> Hiding | None:
    """What hides the findings that are easiest to show: the fewest things, then the most findings; None for none."""
    patterns = [by for by, count in found.items() if count and by]
    if not patterns:
        return None
    best = min(patterns, key=lambda by: (int(by).bit_count(), -found[by], int(by)))
    return Hiding(best, sum(count for by, count in found.items() if by and by | best == best))


def without(shown: BoxFilter, by: Hider) -> BoxFilter:
    """Return a filter with its parts that hide something lifted, and no others."""
    names = [name for hider, fields in _FIELDS.items() if hider in by for name in fields]
    return replace(shown, **{name: getattr(_ALL, name) for name in names})


def _alone(counted: Inclusion, shown: BoxFilter) -> list[tuple[Hider, Inclusion | BoxFilter]]:
    """Each part of inclusion and filter that may hide something, alone."""
    parts: list[tuple[Hider, Inclusion | BoxFilter]] = []
    if counted.hidden_runs:
        parts.append((Hider.RUNS, replace(counted, confidence_limit=0.0)))
    if counted.confidence_limit > 0:
        parts.append((Hider.LIMIT, replace(counted, hidden_runs=frozenset())))
    for hider, fields in _FIELDS.items():
        alone = replace(_ALL, **{name: getattr(shown, name) for name in fields})
        if alone != _ALL:
            parts.append((hider, alone))
    return parts
