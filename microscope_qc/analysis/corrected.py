"""How many findings are true where only some of them were judged.

What a user judged is known. Of the others, in each band of confidence of a model, as many are true as of those that
were judged there; only they are uncertain. What no model found is not estimated here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.shares import normal_quantile, wilson_interval
from microscope_qc.analysis.tally import BANDS, UNJUDGED
from microscope_qc.core.wording import plural

LEAST_JUDGED = 5
"""Fewer judged findings in a band say nothing of the others in it."""
MOST_UNKNOWN = 0.1
"""So large a share of the kept findings may lie in such bands: all or none of them may be true."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Findings of one model, class and band of confidence: ``right`` of the ``judged`` ones are what was asked for."""

    unjudged: int
    judged: int
    right: int


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
        Judged findings from which the share of the true ones among them is estimated.
    """

    count: float | None
    interval: tuple[float, float] | None
    known: int
    unjudged: int
    judged: int
    reason: str = ""


def corrected_count(known: int, strata: Sequence[Stratum], *, level: float = LEVEL) -> Corrected:
    """Add what is true among the findings that nobody judged to those that are known to be.

    Those that were judged are taken as drawn from their stratum at random. The limits of a stratum are Wilson's with
    the correction for finite populations, so that nothing is uncertain where all are judged, and those of the sum
    recover its variance from them (MOVER). Of a stratum with fewer than :data:`LEAST_JUDGED` judged findings all or
    none of the others may be true.

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
        share, size = stratum.right / stratum.judged, stratum.judged + rest
        low, high = wilson_interval(share, stratum.judged * (size - 1) / rest, quantile)
        middle = rest * share
        estimate, lowest, highest = estimate + middle, lowest + middle, highest + middle
        below += (middle - max(0.0, size * low - stratum.right)) ** 2
        above += (min(float(rest), size * high - stratum.right) - middle) ** 2
    limits = max(float(known), lowest - math.sqrt(below)), highest + math.sqrt(above)
    return Corrected(estimate, limits, known, sum(stratum.unjudged for stratum in still_open), judged)


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
    unjudged = strata["outcome"] == UNJUDGED
    counts = strata["count"]
    right = np.isin(strata["outcome"], list(classes))
    own = np.isin(strata["label"], list(classes))
    labels = int(strata["label"].max(initial=0)) + 1
    packed = (strata["model"].astype(np.int64) * labels + strata["label"]) * BANDS + strata["band"]
    keys, place = np.unique(packed, return_inverse=True)
    sums = [
        np.bincount(place, weights=counts * chosen, minlength=len(keys)).astype(np.int64)
        for chosen in (unjudged, ~unjudged, right)
    ]
    rest = int(counts[unjudged & own].sum())
    found, unknown = [], []
    for key, left, judged, good in zip(keys.tolist(), *(column.tolist() for column in sums), strict=True):
        label, band = key // BANDS % labels, key % BANDS
        # findings of another class have a part where enough judged ones turned out to be of these
        if label in classes or (good and judged >= LEAST_JUDGED):
            found.append(Stratum(left, judged, good))
            if left and judged < LEAST_JUDGED:
                unknown.append((left, judged, band))
    if sum(left for left, _, _ in unknown) > MOST_UNKNOWN * kept:
        return Corrected(None, None, kept - rest, rest, sum(s.judged for s in found), _too_few(*max(unknown)))
    return corrected_count(kept - rest, found, level=level)


def _too_few(left: int, judged: int, band: int) -> str:
    where = f"{band / BANDS:.1f} to {(band + 1) / BANDS:.1f}"
    such = f"only {judged} such {plural(judged, 'was', 'were')}" if judged else "no such was"
    return (
        f"not estimable: {left} unreviewed {plural(left, 'finding')} {plural(left, 'has', 'have')} a confidence of "
        f"{where}, and {such} judged ({LEAST_JUDGED} are needed)"
    )
