"""Acceptance limits per class, and what a group of slides or one slide has to do with them: pass, fail or undecided.

Only what a user drew, named or confirmed can fail; what nobody judged yet can keep something from passing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from microscope_qc.analysis.counts import Density, pooled_by_specimen
from microscope_qc.analysis.stack import CountedClasses, Stack
from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.wording import plural

ONE_SIDED = 0.9
"""Level of a two-sided interval each of whose limits holds with 95 %."""


class Acceptance(StrEnum):
    """What is said about a limit; of several the worst counts."""

    PASSED = "pass"
    UNDECIDED = "undecided"
    FAILED = "fail"


def worst(verdicts: Iterable[Acceptance]) -> Acceptance:
    """Return what is said of something with several limits: failed by one, or passed by all."""
    order = list(Acceptance)
    return max(verdicts, key=order.index, default=Acceptance.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Limit:
    """What is allowed of a class, of a class group or of all classes.

    Attributes
    ----------
    what
        Code of the class, name of the class group, or ``all``.
    per_mm2
        Largest density; None where it has no limit.
    largest_um
        Longest side of a finding; None where it has no limit.
    none_at_all
        Whether one finding is one too many.
    source
        Where the limit comes from, such as a standard or a contract.
    """

    what: str
    per_mm2: float | None = None
    largest_um: float | None = None
    none_at_all: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit and what is said about it.

    Attributes
    ----------
    kind
        ``per_mm2``, ``largest_um`` or ``none_at_all``.
    value
        What was found: the density, the longest side, the number of findings; None where it is not known.
    low, high
        One-sided 95 % limits of a density; None for the others.
    decides
        Numbers of the findings that decide, the largest first.
    reason
        Why it is decided like this, in words.
    """

    kind: str
    limit: float
    verdict: Acceptance
    value: float | None
    low: float | None
    high: float | None
    decides: tuple[int, ...]
    reason: str


def checks(limit: Limit, stack: Stack, wanted: CountedClasses) -> list[Check]:
    """Compare slides with a limit for ``wanted``."""
    found = []
    if limit.per_mm2 is not None:
        found.append(_density(limit.per_mm2, stack, wanted))
    searched = stack.searched(wanted.key, in_mm2=False).known
    if limit.largest_um is not None:
        found.append(_largest(limit.largest_um, stack, wanted.places, searched))
    if limit.none_at_all:
        found.append(_none_at_all(stack, wanted.places, searched))
    return found


def _density(limit: float, stack: Stack, wanted: CountedClasses) -> Check:
    searched = stack.searched(wanted.key)
    if not searched.known.any():
        reason = "; ".join(searched.reasons) or "nothing was scanned or declared complete"
        return Check("per_mm2", limit, Acceptance.UNDECIDED, None, None, None, (), reason)
    kept, known = (_pooled(counts, stack, wanted) for counts in (stack.inside, stack.known_inside))
    low, high = known.interval[0], kept.interval[1]
    open_findings = kept.count - known.count
    left = f", {open_findings} of them not reviewed" if open_findings else ""
    counted = f"{kept.count} {plural(kept.count, 'finding')} on {kept.area_mm2:.4g} mm2{left}"
    if high < limit:
        verdict, reason = Acceptance.PASSED, f"{counted}: below the limit with 95 % confidence"
    elif low > limit:
        verdict, reason = (
            Acceptance.FAILED,
            f"{counted}: above the limit with 95 % confidence, by judged findings alone",
        )
    else:
        verdict, reason = Acceptance.UNDECIDED, f"{counted}: the limit lies between what is possible"
    return Check("per_mm2", limit, verdict, kept.per_mm2, low, high, (), reason)


def _pooled(counts: Ints, stack: Stack, wanted: CountedClasses) -> Density:
    searched = stack.searched(wanted.key)
    mine = counts[:, wanted.level, list(wanted.places)].sum(axis=1)[searched.known]
    return pooled_by_specimen(mine, searched.areas_mm2, stack.specimens(searched.known), level=ONE_SIDED)


def _largest(limit: float, stack: Stack, places: Sequence[int], searched: Flags) -> Check:
    ids, sizes, known = _kept(stack, places)
    above = np.flatnonzero(sizes > limit)
    above = above[np.argsort(-sizes[above], kind="stable")]
    verdict, decides, reason = _decided(above, known, searched)
    if np.isnan(sizes).any() and verdict is not Acceptance.FAILED:
        reason = "the pixel size of a slide is not known"
        return Check("largest_um", limit, Acceptance.UNDECIDED, None, None, None, (), reason)
    largest = float(np.nanmax(sizes)) if len(sizes) else None
    return Check("largest_um", limit, verdict, largest, None, None, tuple(ids[decides].tolist()), reason)


def _none_at_all(stack: Stack, places: Sequence[int], searched: Flags) -> Check:
    ids, sizes, known = _kept(stack, places)
    there = np.argsort(-np.nan_to_num(sizes), kind="stable")
    verdict, decides, reason = _decided(there, known, searched)
    return Check("none_at_all", 0, verdict, len(ids), None, None, tuple(ids[decides].tolist()), reason)


def _decided(above: np.ndarray, known: Flags, searched: Flags) -> tuple[Acceptance, np.ndarray, str]:
    """What follows from findings (places, the largest first) of which none is allowed, and which of them decide."""
    judged, left = above[known[above]], above[~known[above]]
    if len(judged):
        return Acceptance.FAILED, judged, f"{len(judged)} beyond the limit {plural(len(judged), 'was', 'were')} judged"
    if len(left):
        return Acceptance.UNDECIDED, left, f"{len(left)} beyond the limit {plural(len(left), 'is', 'are')} not reviewed"
    if not searched.all():
        missing = int((~searched).sum())
        return Acceptance.UNDECIDED, above, f"{missing} {plural(missing, 'slide')} not searched for it"
    return Acceptance.PASSED, above, "none beyond the limit was found in the area that was searched"


def _kept(stack: Stack, places: Sequence[int]) -> tuple[np.ndarray, np.ndarray, Flags]:
    """Numbers, sizes (um, NaN without a pixel size) of the kept findings of some classes, and which are known."""
    ids, sizes, known = [], [], []
    for slide in stack.sections:
        tally = slide.tally
        mine = np.isin(tally.kept_classes, list(places))
        ids.append(tally.kept_ids[mine])
        known.append(tally.kept_known[mine])
        sizes.append(tally.sizes_um[mine] if len(tally.sizes_um) else np.full(int(mine.sum()), math.nan))
    return (
        np.concatenate([np.zeros(0, np.int64), *ids]), np.concatenate([np.zeros(0), *sizes]),
        np.concatenate([np.zeros(0, bool), *known]),
    )  # fmt: skip
