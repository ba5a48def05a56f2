"""Numbers of groups of slides: counts, densities, shares, sizes and rejections, with what they are worth.

Three columns stand beside each other: *raw* is what models found, *reviewed* what is left of it with what users drew,
*corrected* what is true of it if the findings that nobody judged are like a random sample, with what models
missed where that can be estimated from areas that were drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.analysis.corrected import corrected
from microscope_qc.analysis.counts import Density, count_interval, independent, pooled_by_specimen
from microscope_qc.analysis.enough import PRECISION, enough
from microscope_qc.analysis.recall import Recall, recall, with_missed
from microscope_qc.analysis.shares import Share, pooled_share
from microscope_qc.analysis.sizes import pooled_quantiles
from microscope_qc.analysis.stack import CountedClasses, Stack, TalliedSlide
from microscope_qc.analysis.tally import ALL, EVERY, ClassBook, merged
from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import plural

NOTHING = "nothing was scanned or declared complete"
_NO_SIZE = "the pixel size is not known"


def group_numbers(sections: Sequence[TalliedSlide], book: ClassBook) -> dict[str, Any]:
    """Work out the numbers of a group of slides.

    Returns
    -------
    dict
        Of all classes together, and of each class and class group that was found or searched for (``classes``: code,
        name, colour; ``class_groups``: name, classes): counts, ``raw``, ``reviewed`` and ``corrected`` with densities,
        ``share`` of all findings, ``rejected`` and ``rejections`` by reason, ``size_um``, and the area. Whatever is
        estimated has its ``interval`` (95 %) and what it is of; what is not known is None, and a ``reason`` says why.
    """
    stack = Stack(sections, len(book.classes))
    classes, groups, everything = stack.wanted(book)
    per_class = [
        {
            "code": one.name,
            "name": (known := book.classes[one.places[0]]).name,
            "colour": known.colour,
            "group": known.group,
        }
        | _row(stack, one, len(classes))
        for one in classes
    ]
    per_group = [
        {"name": one.name, "classes": [book.classes[place].code for place in one.places]}
        | _row(stack, one, len(groups))
        for one in groups
    ]
    return {
        "slides": len(sections),
        "specimens": len({section.specimen for section in sections} - {""}),
        **_row(stack, everything, 1),
        "classes_of_all": sorted(book.classes[place].code for place in stack.searched(EVERY).classes),
        "classes": per_class,
        "class_groups": per_group,
    }


def _row(stack: Stack, wanted: CountedClasses, together: int) -> dict[str, Any]:
    places = list(wanted.places)
    states = stack.states[:, places].sum(axis=1)
    kept = states[:, ReviewState.UNREVIEWED] + states[:, ReviewState.CONFIRMED]
    # on a slide where fewer classes were searched for there is less to find: it has no part in what is per area
    known = stack.searched(wanted.key).known
    inside = stack.inside[:, wanted.level, places].sum(axis=1)
    totals = {state.word: int(states[:, state].sum()) for state in ReviewState}
    whole, judged = sum(totals.values()), totals["confirmed"] + totals["rejected"]
    reviewed = _density(stack, inside, wanted)
    reason = "" if reviewed else "; ".join(stack.searched(wanted.key).reasons) or NOTHING
    raw_inside = stack.raw_inside[:, wanted.level, places].sum(axis=1)
    return {
        "total": whole,
        "kept": int(kept.sum()),
        "states": totals,
        "reviewed_share": judged / whole if whole else None,
        **_per_area(stack, known, reviewed, reason),
        "outside_area": int(kept.sum()) - (0 if reviewed is None else reviewed.count),
        "without_area": [
            section.name
            for section, count, here in zip(stack.sections, kept, known, strict=True)
            if not here and (count or wanted.key == EVERY)
        ],
        "raw": _column(int(stack.raw[:, places].sum()), _density(stack, raw_inside, wanted), reason),
        "reviewed": _column(int(kept.sum()), reviewed, reason),
        "corrected": _corrected_column(stack, wanted, known, int(kept.sum()), reviewed, reason),
        "share": None if wanted.key == EVERY else _share_of_all(stack, places, together),
        "rejected": _share_json(_pooled(stack, states[:, 2], states[:, 1] + states[:, 2]), "nothing was judged"),
        "rejections": _rejections(stack, places, states),
        "size_um": _sizes(stack, places, int(kept.sum())),
    }


def _density(stack: Stack, counts: Ints, wanted: CountedClasses) -> Density | None:
    """Density over the slides with a known area, with the spread between specimens or slides."""
    searched = stack.searched(wanted.key)
    if not searched.known.any():
        return None
    return pooled_by_specimen(counts[searched.known], searched.areas_mm2, stack.specimens(searched.known))


def _per_area(stack: Stack, known: Flags, found: Density | None, reason: str) -> dict[str, Any]:
    """The area and the reviewed density in it."""
    whole = stack.slide_mm2
    return {
        "in_area": 0 if found is None else found.count,
        "area_mm2": None if found is None else found.area_mm2,
        "area_share": None if found is None or not whole else found.area_mm2 / whole,
        "per_mm2": None if found is None else found.per_mm2,
        "per_mm2_interval": None if found is None else list(found.interval),
        "per_mm2_reason": reason or None,
        "sections": int(known.sum()),
        "spread": None if found is None else found.spread,
        "spread_between": "specimens" if independent(stack.specimens(known))[1] else "slides",
        "spread_n": 0 if found is None else found.sections,
        "spread_reason": _why_no_spread(found),
        "enough": None if found is None else _enough_json(found),
    }


def _enough_json(found: Density) -> dict[str, Any] | None:
    """What the density needs for its upper limit to lie no more than a share above it."""
    known = enough(found)
    if known is None:
        return None
    return {
        "precision": PRECISION, "sections": known.sections, "findings": known.findings, "area_mm2": known.area_mm2,
        "to_see_mm2": known.to_see_mm2,
    }  # fmt: skip


def _why_no_spread(found: Density | None) -> str | None:
    if found is None or found.spread is not None:
        return None
    return (
        "spread between sections unknown" if found.sections == 1 else "nothing found: spread between sections unknown"
    )


def _column(count: int, found: Density | None, reason: str) -> dict[str, Any]:
    if found is None:
        return {
            "count": count,
            "in_area": None,
            "in_area_interval": None,
            "per_mm2": None,
            "interval": None,
            "reason": reason,
        }
    limits = [limit * found.area_mm2 for limit in found.interval]
    return {
        "count": count, "in_area": found.count, "in_area_interval": limits, "per_mm2": found.per_mm2,
        "interval": list(found.interval), "reason": None,
    }  # fmt: skip


def _corrected_column(
    stack: Stack, wanted: CountedClasses, known: Flags, kept: int, reviewed: Density | None, reason: str
) -> dict[str, Any]:
    """What is true among all kept findings, and per area among those in it."""
    found = corrected(kept, stack.strata, wanted.places)
    missed = recall(stack, wanted)
    if missed.share is not None:
        unfound = int(stack.unfound[:, 0, list(wanted.places)].sum())
        found = with_missed(found, stack.strata, wanted.places, unfound=unfound, share=missed.share)
    column: dict[str, Any] = {
        "count": found.count, "count_interval": found.interval and list(found.interval), "unjudged": found.unjudged,
        "judged": found.judged, "per_mm2": None, "interval": None, "reason": found.reason or reason or None,
        "recall": _recall_json(missed), "recall_reason": missed.reason or None,
    }  # fmt: skip
    if found.count is None or reviewed is None:
        return column
    strata = stack.strata
    if not known.all():
        strata = merged(one.tally.strata for one, here in zip(stack.sections, known, strict=True) if here)
    strata = strata[(strata["inside"] >> wanted.level & 1).astype(bool)]
    there = corrected(reviewed.count, strata, wanted.places)
    if missed.share is not None:
        unfound = int(stack.unfound[known][:, 1 + wanted.level, list(wanted.places)].sum())
        there = with_missed(there, strata, wanted.places, unfound=unfound, share=missed.share)
    if there.count is None or there.interval is None:
        return column | {"reason": there.reason}
    low, high = true_density(there.count, there.interval, reviewed)
    return column | {"per_mm2": there.count / reviewed.area_mm2, "interval": [low, high]}


def _recall_json(found: Recall) -> dict[str, Any] | None:
    if found.share is None:
        return None
    return _share_json(found.share, "") | {"areas": found.areas}


def true_density(count: float, limits: tuple[float, float], reviewed: Density) -> tuple[float, float]:
    """Limits of the density of what is true: of the slides as a sample, and of what nobody judged, together.

    Both are independent, so that their reaches on a scale of logarithms add up as squares.
    """
    sampled = count_interval(count, reviewed.sections, reviewed.spread)
    if count == 0:
        return 0.0, (sampled[1] + limits[1]) / reviewed.area_mm2
    low, high = (
        math.hypot(*(math.log(count / max(end, 1e-9 * count)) for end in ends))
        for ends in zip(sampled, limits, strict=True)
    )
    return count * math.exp(-low) / reviewed.area_mm2, count * math.exp(high) / reviewed.area_mm2


def _pooled(stack: Stack, counts: Ints, totals: Ints, *, together: int = 1) -> Share | None:
    """A share over the slides, with the spread between specimens or slides."""
    some = totals > 0
    if not some.any():
        return None
    unit, _ = independent(stack.specimens(some))
    sums = [np.bincount(unit, weights=column[some]).astype(int) for column in (counts, totals)]
    return pooled_share(*sums, together=together)


def _share_json(found: Share | None, reason: str) -> dict[str, Any]:
    if found is None:
        return {"value": None, "count": 0, "of": 0, "interval": None, "reason": reason}
    return {
        "value": found.value,
        "count": found.count,
        "of": found.of,
        "interval": list(found.interval),
        "reason": None,
    }


def _share_of_all(stack: Stack, places: Sequence[int], together: int) -> dict[str, Any]:
    """Share of the findings of all classes, where all of them were searched for."""
    complete = stack.searched(EVERY, in_mm2=False).known
    if not complete.any():
        return _share_json(None, NOTHING)
    here = stack.inside[:, ALL] * complete[:, None]
    found = _pooled(stack, here[:, places].sum(axis=1), here.sum(axis=1), together=together)
    return _share_json(found, "nothing was found where all classes were searched for")


def _rejections(stack: Stack, places: Sequence[int], states: Ints) -> list[dict[str, Any]]:
    """Rejected findings by reason, the most frequent first, as shares of what was judged."""
    found = stack.rejections(places)
    judged = states[:, ReviewState.CONFIRMED] + states[:, ReviewState.REJECTED]
    return [
        {"reason_given": why or "none", **_share_json(_pooled(stack, counts, judged, together=len(found)), "")}
        for why, counts in sorted(found.items(), key=lambda one: -one[1].sum())
    ]


def _sizes(stack: Stack, places: Sequence[int], kept: int) -> dict[str, Any]:
    """Median, 90th percentile and maximum of the longer side."""
    sizes, units = stack.sizes(places)
    if len(sizes) == 0:
        reason = _NO_SIZE if kept else "nothing was found"
        return {"n": 0, "median": None, "q90": None, "largest": None, "reason": reason}
    found = {}
    for name, at in zip(("median", "q90"), pooled_quantiles(sizes, units, (0.5, 0.9)), strict=True):
        found[name] = {
            "value": at.value, "n": at.n, "interval": at.interval and list(at.interval),
            "reason": None if at.interval else f"{at.n} {plural(at.n, 'is', 'are')} too few for an interval",
        }  # fmt: skip
    left_out = kept - len(sizes)
    said = f"{left_out} {plural(left_out, 'finding')} on slides without a pixel size left out" if left_out else None
    return {"n": len(sizes), **found, "largest": float(sizes.max()), "reason": said}
