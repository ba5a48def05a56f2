"""How many findings are true where only some of them were judged.

What a user judged is known. Of the others, in each band of confidence of a model, as many are true as a random sample
of the findings there says; only they are uncertain. Judgements in another order, such as the worst first, say nothing
of what they did not reach. What no model found is not estimated here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.drawn import BANDS, DRAWN, NOT_REACHED
from microscope_qc.analysis.shares import normal_quantile, wilson_interval
from microscope_qc.analysis.tally import UNJUDGED
from microscope_qc.core.arrays import Flags
from microscope_qc.core.wording import plural

LEAST_JUDGED = 5
"""Fewer findings of a band, judged at random, say nothing of the others in it."""
NOT_AT_RANDOM = (
    "none was drawn at random: reviews in worst-first order say nothing of what they did not reach; "
    "draw a random sample"
)
MOST_UNKNOWN = 0.1
"""So large a share of the kept findings may lie in such bands: all or none of them may be true."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Findings of one model, class and band of confidence.

    ``right`` of the ``judged`` ones, which were drawn at random, are what was asked for, and ``others_right`` of the
    ``others``, which were judged for another reason.
    """

    unjudged: int
    judged: int
    right: int
    others: int = 0
    others_right: int = 0


@dataclass(frozen=True, slots=True)
class Corrected:
    """How many findings are true, with limits; None where it cannot be estimated: ``reason`` says why.

    Attributes
    ----------
    known
        Findings that are true for certain.
    unjudged
        Findings that nobody judged.
    judged
        Judged findings, drawn at random, from which the share of the true ones among them is estimated.
    """

    count: float | None
    interval: tuple[float, float] | None
    known: int
    unjudged: int
    judged: int
    reason: str = ""


def corrected_count(known: int, strata: Sequence[Stratum], *, level: float = LEVEL) -> Corrected:
    """Add what is true among the findings that nobody judged to those that are known to be.

    The share that is true in a whole stratum is that of its random sample, from which those that are known are taken
    off: judging the worst ones besides leaves others behind. The limits of a stratum are Wilson's with the
    correction for finite populations, so that nothing is uncertain where all are judged, and those of the sum recover
    its variance from them (MOVER). Of a stratum with fewer than :data:`LEAST_JUDGED` findings that were drawn all or
    none of the unjudged ones may be true.

    Parameters
    ----------
    strata
        Where none at all was judged, the others count as true.

    Notes
    -----
    G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27 (2008)
    1693; L. Kish, "Survey Sampling" (1965), section 2.6.
    """
    still_open = [stratum for stratum in strata if stratum.unjudged]
    judged = sum(stratum.judged for stratum in strata)
    overall = sum(stratum.right for stratum in strata) / judged if judged else 1.0
    estimate = lowest = highest = float(known)
    below = above = 0.0
    quantile = normal_quantile(level)
    for stratum in still_open:
        rest = stratum.unjudged
        if stratum.judged < LEAST_JUDGED:
            estimate += rest * overall
            highest += rest
            continue
        share, left = stratum.right / stratum.judged, rest + stratum.others
        size, sure = stratum.judged + left, stratum.right + stratum.others_right
        low, high = wilson_interval(share, stratum.judged * (size - 1) / left, quantile)
        middle = left * share - stratum.others_right
        estimate, lowest, highest = estimate + middle, lowest + middle, highest + middle
        below += (middle - (size * low - sure)) ** 2
        above += (size * high - sure - middle) ** 2
    unjudged = sum(stratum.unjudged for stratum in still_open)
    least, most = float(known), float(known + unjudged)
    limits = max(least, lowest - math.sqrt(below)), max(least, min(most, highest + math.sqrt(above)))
    # bounded only as a whole: bounds of each stratum would make the sum too large, and its limits too narrow
    return Corrected(max(least, min(most, estimate)), limits, known, unjudged, judged)


def corrected(kept: int, strata: np.ndarray, classes: Collection[int], *, level: float = LEVEL) -> Corrected:
    """Estimate how many findings of some classes are true.

    Parameters
    ----------
    kept
        Findings of these classes that are not rejected.
    strata
        What became of what models found (:data:`~microscope_qc.analysis.tally.STRATUM_DTYPE`).
    classes
        Places of the classes.
    """
    of_classes = _table(strata, classes)
    rest = int(strata["count"][(strata["outcome"] == UNJUDGED) & of_classes[strata["label"]]].sum())
    found: list[Stratum] = []
    unknown: list[tuple[int, int, Stratum | None]] = []
    for band, outside, stratum in _strata(strata, of_classes):
        found.append(stratum)
        if outside:
            found.append(Stratum(outside, 0, 0))
        if stratum.judged < LEAST_JUDGED and stratum.unjudged:
            unknown.append((stratum.unjudged, band, stratum))
        if outside:
            unknown.append((outside, band, None))
    if sum(left for left, _, _ in unknown) > MOST_UNKNOWN * kept:
        why = _too_few(*max(unknown, key=itemgetter(0, 1)))
        return Corrected(None, None, kept - rest, rest, sum(s.judged for s in found), why)
    return corrected_count(kept - rest, found, level=level)


def _table(strata: np.ndarray, classes: Collection[int]) -> Flags:
    """Boolean for each class, and for the outcomes that are none at the end: whether it is one of these."""
    places = list(classes)
    most = max(int(strata["label"].max(initial=0)), int(strata["outcome"].max(initial=0)), max(places, default=0))
    found = np.zeros(most + 3, bool)
    found[places] = True
    return found


def _strata(strata: np.ndarray, of_classes: Flags) -> Iterator[tuple[int, int, Stratum]]:
    """Band, findings on slides that no sample came to, and the others, of each model, class and band.

    Findings of another class have a part where enough judged ones turned out to be of these.
    """
    unjudged = strata["outcome"] == UNJUDGED
    right = of_classes[strata["outcome"]]
    counts, drawn, reached = strata["count"], strata["drawn"] == DRAWN, strata["drawn"] != NOT_REACHED
    labels = int(strata["label"].max(initial=0)) + 1
    packed = (strata["model"].astype(np.int64) * labels + strata["label"]) * BANDS + strata["band"]
    size = int(packed.max(initial=-1)) + 1
    flags = (
        unjudged & reached, unjudged & ~reached, ~unjudged, right,
        drawn, drawn & right, ~unjudged & reached, right & reached,
    )  # fmt: skip
    sums = np.array([np.bincount(packed[some], weights=counts[some], minlength=size) for some in flags], np.int64)
    own = of_classes[np.arange(size) // BANDS % labels]
    there = np.flatnonzero(np.where(own, sums[:3].any(axis=0), (sums[5] > 0) & (sums[4] >= LEAST_JUDGED)))
    for key, numbers in zip(there.tolist(), sums[:, there].T.tolist(), strict=True):
        left, outside, known, sure, sample, good, near, near_sure = numbers
        if not left + outside:
            yield key % BANDS, 0, Stratum(0, known, sure)
        elif not left:  # no sample came to any of its slides
            yield key % BANDS, 0, Stratum(outside, 0, 0, known, sure)
        else:
            yield key % BANDS, outside, Stratum(left, sample, good, near - sample, near_sure - good)


def _too_few(left: int, band: int, stratum: Stratum | None) -> str:
    of_band = f"a confidence of {band / BANDS:.1f} to {(band + 1) / BANDS:.1f}"
    unreviewed = f"not estimable: {left} unreviewed {plural(left, 'finding')}"
    if stratum is None:
        verb = plural(left, "lies", "lie")
        return f"{unreviewed} with {of_band} {verb} on slides of which none was drawn at random; draw from all slides"
    said = f"{unreviewed} {plural(left, 'has', 'have')} {of_band}, and"
    if stratum.judged:
        was = plural(stratum.judged, "was", "were")
        return f"{said} only {stratum.judged} such {was} drawn at random ({LEAST_JUDGED} are needed)"
    if stratum.others:
        return f"{said} of {stratum.others} such that {plural(stratum.others, 'was', 'were')} judged {NOT_AT_RANDOM}"
    return f"{said} no such was judged ({LEAST_JUDGED} are needed)"
