"""What models missed, from areas that the program drew at random and a user searched.

Only there it is known what was not found: where a model found something is no matter of chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.corrected import Corrected, corrected
from microscope_qc.analysis.shares import Share, pooled_share
from microscope_qc.analysis.stack import CountedClasses, Stack
from microscope_qc.analysis.tally import COMPLETE, UNJUDGED
from microscope_qc.core.wording import percent_text, things

LEAST_TRUTHS = 20
"""Fewer defects in the areas say nothing of the recall."""
LEAST_RECALL = 0.5
"""A lower limit of the recall that is not above this says too little of what was missed."""
NO_AREA = "not estimable: no area that the program drew at random was searched"


@dataclass(frozen=True, slots=True)
class Recall:
    """Share of the defects that models found; ``share`` is None where it cannot be estimated: ``reason`` says why.

    ``areas`` is the number of areas that were drawn at random, searched and reviewed.
    """

    share: Share | None
    areas: int
    reason: str = ""


def recall(stack: Stack, wanted: CountedClasses) -> Recall:
    """Recall for some classes on the slides of a group, with the spread between the areas in its interval.

    It is that of one set of models at one confidence limit: slides that others scanned have another.
    """
    checked = stack.checked[np.isin(stack.checked["label"], wanted.places)]
    whole = np.unique(checked["area"])
    if not len(whole):
        return Recall(None, 0, NO_AREA)
    if not stack.found_alike(wanted.places):
        return Recall(None, 0, "not estimable: not all slides were scanned by the same models at the same confidence")
    left = np.unique(checked["area"][checked["unjudged"] > 0])
    areas = np.setdiff1d(whole, left)
    checked = checked[np.isin(checked["area"], areas)]
    place = np.searchsorted(areas, checked["area"])
    truths, found = (np.bincount(place, weights=checked[name], minlength=len(areas)) for name in ("truths", "found"))
    open_areas = f"; of {things(len(left), 'area')} not all findings are reviewed" if len(left) else ""
    share = pooled_share(found, truths)
    if share is None or share.of < LEAST_TRUTHS:
        there = things(0 if share is None else share.of, "defect")
        few = f"not estimable: {there} in {things(len(areas), 'area')} drawn at random, {LEAST_TRUTHS} are needed"
        return Recall(None, len(areas), few + open_areas)
    if share.interval[0] <= LEAST_RECALL:
        low, high = map(percent_text, share.interval)
        why = f"not estimable: between {low} and {high}, from {things(share.of, 'defect')}"
        return Recall(None, len(areas), f"{why} in {things(len(areas), 'area')} drawn at random{open_areas}")
    return Recall(share, len(areas))


def with_missed(
    found: Corrected, strata: np.ndarray, classes: Sequence[int], *, unfound: int, share: Share
) -> Corrected:
    """Add to what is true among the findings what models missed outside of areas that are complete.

    Parameters
    ----------
    found
        What is true among the findings.
    strata
        What became of what models found, in the same area.
    unfound
        Findings that users drew outside of complete areas and no model has: some of what was missed is known.
    share
        The recall.

    Notes
    -----
    The limits recover the variances of both estimates from their own limits (MOVER, see
    :func:`~microscope_qc.analysis.corrected.corrected_count`); that of the true findings grows by 1 / recall.
    """
    outside = strata[(strata["inside"] & COMPLETE) == 0]
    mine = np.where(outside["outcome"] == UNJUDGED, outside["label"], outside["outcome"])
    of_models = corrected(int(outside["count"][np.isin(mine, classes)].sum()), outside, classes)
    if found.count is None or found.interval is None or of_models.count is None:
        return Corrected(None, None, found.known, found.unjudged, found.judged, found.reason or of_models.reason)
    low, odds, high = ((1 - value) / value for value in (share.interval[1], share.value, share.interval[0]))
    count = found.count + max(0.0, of_models.count * odds - unfound)
    below = math.hypot((found.count - found.interval[0]) / share.value, of_models.count * (odds - low))
    above = math.hypot((found.interval[1] - found.count) / share.value, of_models.count * (high - odds))
    limits = max(found.interval[0], count - below), count + above
    return Corrected(count, limits, found.known, found.unjudged, found.judged)
