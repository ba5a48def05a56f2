"""Judging a random sample: in which order, and what it says so far of the findings that nobody has judged yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.corrected import LEAST_JUDGED, Corrected, Stratum, corrected_count
from microscope_qc.analysis.drawn import BANDS, DRAWN, band_of, chance, last_drawn, part_in_sample
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.wording import count_text, significant_text, things

AHEAD = 50
"""The interval is foretold for so many more judgements."""


def sample_order(ids: Ints, confidence: Floats) -> Ints:
    """Order findings so that the first ones are a random sample of all, however many they are.

    In each band of confidence the order is one of chance; of the bands as much comes as they are large, after the first
    few of each, without which nothing can be said of it. What users drew comes last: it is known. The order of two
    findings depends on their numbers alone, so that others that come or go do not change it.
    """
    drawn = np.isnan(confidence)
    band = np.where(drawn, BANDS, band_of(confidence))
    number = chance(ids)
    order = np.lexsort((number, band))
    counts = np.bincount(band, minlength=BANDS + 1)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
    few = LEAST_JUDGED + 1  # one of them may not count, see drawn.part_in_sample
    turn = np.where(rank < few, rank - few, (rank + 0.5) / np.maximum(counts[band], 1))
    found: Ints = np.lexsort((number, turn, drawn))
    return found


@dataclass(frozen=True, slots=True)
class SampleEstimate:
    """How many of some findings are true, from those that were judged.

    Attributes
    ----------
    of
        Number of findings.
    judged, others
        Those of models that were judged at random, and for another reason.
    now
        The estimate.
    soon
        Half the width of its interval after :data:`AHEAD` more judgements; None when that is known already.
    """

    of: int
    judged: int
    others: int
    now: Corrected
    soon: float | None


def sample_estimate(ids: Ints, confidence: Floats, *, known: Flags, kept: Flags, at_random: Flags) -> SampleEstimate:
    """Estimate how many findings are true from those that were judged at random, by bands of confidence.

    Parameters
    ----------
    ids, confidence
        Of all findings of which the sample is; a confidence of NaN of what users drew.
    known, kept, at_random
        Whether a user judged or drew it, whether it was not rejected, and whether it was judged as the next one of a
        random sample.
    """
    found = ~np.isnan(confidence)
    band, judged, right, number = band_of(confidence[found]), known[found], (known & kept)[found], ids[found]
    at_random = at_random[found] & judged
    last = last_drawn([(band[at_random], number[at_random])])
    drawn = part_in_sample(band, number, known=judged, at_random=at_random, last=last) == DRAWN
    # of a band of which all are judged nothing is left to chance
    drawn |= judged & ~np.isin(band, band[~judged])
    left, sample, good, others, others_good = (
        np.bincount(band[flags], minlength=BANDS).tolist()
        for flags in (~judged, drawn, drawn & right, judged & ~drawn, right & ~drawn)
    )
    sure = int((known & kept).sum())
    strata = [Stratum(*numbers) for numbers in zip(left, sample, good, others, others_good, strict=True)]
    now, unjudged = corrected_count(sure, strata), sum(left)
    soon = None
    if unjudged > AHEAD:
        further = [_further(stratum, AHEAD / unjudged) for stratum in strata]
        more = sum(after.right - before.right for after, before in zip(further, strata, strict=True))
        soon = half_width(corrected_count(sure + more, further))
    return SampleEstimate(len(confidence), sum(sample), sum(others), now, soon)


def _further(stratum: Stratum, share: float) -> Stratum:
    """What a stratum is likely to be when this share of the rest is judged, too."""
    more = round(stratum.unjudged * share)
    true = round(more * stratum.right / stratum.judged) if stratum.judged else more
    after = stratum.unjudged - more, stratum.judged + more, stratum.right + true
    return Stratum(*after, stratum.others, stratum.others_right)


def half_width(found: Corrected) -> float:
    """Half the width of the interval of an estimate; 0 of what is known."""
    return 0.0 if found.interval is None else (found.interval[1] - found.interval[0]) / 2


def estimate_words(found: SampleEstimate) -> str:
    """Say what a sample tells so far: ``1 013 of 1 240 findings are true (970 to 1 052, 95 %), from 160 judged``."""
    if not found.judged and found.now.unjudged:
        unknown = f"how many of {things(found.of, 'finding')} are true is not known."
        if not found.others:
            return f"Nothing is judged yet: {unknown}"
        of_them = things(found.others, "judged finding")
        return f"Of {of_them} none was drawn at random: {unknown} Judge in this order, without leaving any out."
    now = found.now
    assert now.count is not None and now.interval is not None
    low, high = (count_text(round(limit)) for limit in now.interval)
    words = f"{count_text(round(now.count))} of {things(found.of, 'finding')} are true"
    if not now.unjudged:
        return f"{words}: all are judged."
    words += f" ({low} to {high}, 95 %), from {count_text(found.judged)} judged"
    words += " at random." if found.others else "."
    if found.soon is None:
        return words
    here = significant_text(half_width(now), 2)
    return f"{words} ± {here} now, about ± {significant_text(found.soon, 2)} after {AHEAD} more."
