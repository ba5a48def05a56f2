"""Which boxes a view shows; what counts in numbers, reports and exports is the :mod:`inclusion`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.box_facts import NO_FACTS, BoxFacts
from microscope_qc.core.box_rows import FindingFlag, ReviewState, has_flag
from microscope_qc.core.search import found

BY_USER = 0
"""In place of a run's number: drawn or imported."""


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """Which of the boxes that count a view shows. None means all.

    The confidence range never hides what a user drew or judged. ``text`` is what stands in a search field (see
    :mod:`search`); one that cannot be read shows nothing. ``size_um`` is the range of the longer side; a slide whose
    pixel size is not known shows nothing then. ``found_by`` holds the runs of which one must have found what is shown,
    and ``BY_USER`` for what a user drew or imported. ``only_disputed`` shows findings of which a model says another
    class, ``only_again`` what was found again after a user had rejected or deleted it. ``numbers`` are those of a list,
    of any length. ``facts`` are those of the slide it is used on.
    """

    min_confidence: float = 0.0
    class_ids: frozenset[int] | None = None
    states: frozenset[ReviewState] | None = None
    only_chosen: bool = False
    text: str = ""
    max_confidence: float = 1.0
    size_um: tuple[float, float] | None = None
    found_by: frozenset[int] | None = None
    only_disputed: bool = False
    only_again: bool = False
    numbers: frozenset[int] | None = None
    facts: BoxFacts = field(default=NO_FACTS, compare=False, repr=False)

    @property
    def needs_facts(self) -> bool:
        """Whether it must know more of findings than their rows; that is collected from the whole slide."""
        return bool(self.text) or self.size_um is not None or self.found_by is not None

    def mask(self, rows: np.ndarray, *, facts: BoxFacts | None = None) -> Flags:
        """Boolean mask of the rows that are shown; ``facts`` of the slide they lie on (else those of the filter)."""
        facts = self.facts if facts is None else facts
        confidence = rows["confidence"]  # NaN (a user's box) compares false: kept
        keep: Flags = ~((confidence < np.float32(self.min_confidence)) | (confidence > np.float32(self.max_confidence)))
        # what a user has judged stays in sight, whatever the model thought of it
        keep |= rows["state"] != ReviewState.UNREVIEWED
        if self.class_ids is not None:
            keep &= np.isin(rows["class_id"], list(self.class_ids))
        if self.states is not None:
            keep &= np.isin(rows["state"], [int(state) for state in self.states])
        if self.found_by is not None:
            keep &= _found_by(rows, self.found_by, facts)
        if self.only_disputed:
            keep &= has_flag(rows, FindingFlag.DISPUTED)
        if self.only_again:
            keep &= has_flag(rows, FindingFlag.FOUND_AGAIN)
        if self.only_chosen:
            keep &= rows["chosen"]
        if self.numbers is not None:
            keep &= np.isin(rows["id"], _sorted(self.numbers))
        if self.size_um is not None:
            keep &= _of_size(rows, self.size_um, facts.pixel_size_um)
        if self.text:
            keep &= found(rows, self.text, facts)
        return keep


@lru_cache(maxsize=8)
def _sorted(numbers: frozenset[int]) -> Ints:
    """As an array: a filter looks at a few rows at a time, and its list may be long."""
    found: Ints = np.sort(np.fromiter(numbers, np.int64, len(numbers)))
    return found


def _found_by(rows: np.ndarray, finders: frozenset[int], facts: BoxFacts) -> Flags:
    keep = facts.opinions.found_by(rows["id"], finders)
    return keep | (rows["run_id"] == BY_USER) if BY_USER in finders else keep


def _of_size(rows: np.ndarray, size_um: tuple[float, float], pixel_size_um: tuple[float, float] | None) -> Flags:
    if pixel_size_um is None:
        return np.zeros(len(rows), bool)
    height, width = (rows["y1"] - rows["y0"]) * pixel_size_um[0], (rows["x1"] - rows["x0"]) * pixel_size_um[1]
    size: Floats = np.maximum(height, width)
    return (size >= size_um[0]) & (size <= size_um[1])
