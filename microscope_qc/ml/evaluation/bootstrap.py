"""How far figures of an evaluation may be off: intervals by a stratified bootstrap over places.

Defects of one picture are seen under the same light, by the same eyes, and often repeat each other: so not single
defects but whole places (a picture, or a block of a large slide) are drawn again with replacement, those with a rare
class among themselves, as in Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 2.4 and 3.

Quantiles of the draws are too narrow where places are few: of 5 places they hold the true value in 80 % of cases, and
those corrected for bias (BCa) do little better. So the interval is that of Student for the spread of the draws, with as
many degrees of freedom as there are places (Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter
12), on the scale of logits, where a share is not cut off at 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats, Ints

DRAWS = 1000
LEAST_PLACES = 4
"""With fewer places hardly anything is known about how they differ: no interval is estimated."""
SHARE = 0.95
_LEAST_STRATUM = 5
_ALIKE = 1e-12
_HALF = 0.5
_AT_ONCE = 2_000_000
"""Numbers in memory at once."""

Interval = tuple[float, float]
Intervals = dict[str, Interval | None]
"""By the name of a figure; None where it cannot be estimated."""


@dataclass(frozen=True, slots=True)
class MatchedFindings:
    """Findings, strongest first, and the truth they were compared with.

    Attributes
    ----------
    score, label, hit, place
        Of every finding (n,): confidence, class, whether it is right, and where it is.
    truth_label, truth_place
        Of every true defect (m,).
    """

    score: np.ndarray
    label: np.ndarray
    hit: np.ndarray
    place: np.ndarray
    truth_label: np.ndarray
    truth_place: np.ndarray

    def of_class(self, index: int) -> MatchedFindings:
        """Findings and truth of one class."""
        mine, true = self.label == index, self.truth_label == index
        return MatchedFindings(
            self.score[mine], self.label[mine], self.hit[mine], self.place[mine],
            self.truth_label[true], self.truth_place[true],
        )  # fmt: skip

    def shown(self, confidence: float) -> MatchedFindings:
        """Findings from a confidence on."""
        kept = self.score >= confidence
        return MatchedFindings(
            self.score[kept], self.label[kept], self.hit[kept], self.place[kept], self.truth_label, self.truth_place
        )

    @property
    def true_classes(self) -> list[int]:
        """Classes with a true defect."""
        return [int(index) for index in np.unique(self.truth_label)]

    @property
    def places(self) -> int:
        """Places with a finding or a defect."""
        return len(np.union1d(self.place, self.truth_place))


class Draws:
    """The same draws for every figure, so that figures can be compared with each other.

    Parameters
    ----------
    matches
        All findings and all truth.
    """

    def __init__(self, matches: MatchedFindings, *, draws: int = DRAWS, seed: int = 0) -> None:
        self._numbers = np.union1d(matches.place, matches.truth_place)
        strata = _strata(matches, self._numbers)
        rng = np.random.default_rng([seed, 31])
        # places of a stratum differ more than their draws do, see _student_interval
        self._wider = len(self._numbers) / max(1, len(self._numbers) - len(np.unique(strata)) + 1)
        self._weights = np.zeros((draws, len(self._numbers)), np.int32)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            self._weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), draws)

    def interval(self, values: Floats, estimate: float, *, of: np.ndarray) -> Interval | None:
        """95 % interval of a figure between 0 and 1; None where there is too little to estimate one.

        Where all places say the same, drawing them again tells nothing about others, and where less than one thing is
        missing to 0 or 1, hardly anything: it is that of a share then which was found in each of as many places.

        Parameters
        ----------
        values
            The figure in every draw (draws,); NaN where it has none.
        estimate
            The figure itself.
        of
            Where each of the things is of which it is a share or a mean (n,).
        """
        places, known = len(np.unique(of)), values[np.isfinite(values)]
        if places < LEAST_PLACES or not np.isfinite(estimate) or len(known) < _HALF * len(values):
            return None
        one = 1 / len(of)
        if np.ptp(known) <= _ALIKE or not one <= estimate <= 1 - one:
            low, high = exact_interval(estimate, places)
            return min(low, estimate), max(high, estimate)
        return _student_interval(known, estimate, places=places, half=one / 2, wider=self._wider)

    def of(self, place: np.ndarray, *, at_once: int) -> Iterator[tuple[slice, Ints]]:
        """How often each thing at a place is drawn (draws, n), in portions of the draws."""
        columns = np.searchsorted(self._numbers, place)
        step = max(1, _AT_ONCE // max(at_once, 1))
        for start in range(0, len(self._weights), step):
            part = slice(start, min(start + step, len(self._weights)))
            yield part, self._weights[part][:, columns]

    def counts(self, place: np.ndarray) -> Floats:
        """How many things at these places are drawn (draws,)."""
        per_place = np.bincount(np.searchsorted(self._numbers, place), minlength=len(self._numbers))
        counts: Floats = self._weights @ per_place.astype(float)
        return counts

    def rates(self, matches: MatchedFindings) -> dict[str, Floats]:
        """Precision, recall and F1 of every draw; NaN where nothing was drawn to divide by."""
        good = self.counts(matches.place[matches.hit])
        found, truths = self.counts(matches.place), self.counts(matches.truth_place)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"precision": good / found, "recall": good / truths, "f1": 2 * good / (found + truths)}

    def average_precision(self, matches: MatchedFindings, *, eleven: bool = False) -> Floats:
        """Average precision of one class of every draw (draws,); NaN where none of its defects was drawn."""
        truths = self.counts(matches.truth_place)
        result = np.zeros(len(truths))
        for part, weights in self.of(matches.place, at_once=max(1, len(matches.place))):
            if weights.shape[1]:
                result[part] = _weighted_ap(weights, matches.hit, truths[part], eleven=eleven)
        result[truths == 0] = np.nan
        return result


def mean_over_classes(values: list[Floats]) -> Floats:
    """Mean over classes of every draw, of those classes that were drawn."""
    table = np.stack(values)
    known = np.isfinite(table)
    total = np.where(known, table, 0).sum(0)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / known.sum(0)
    return mean


def interval_of(values: Floats, *, share: float = SHARE) -> Interval | None:
    """The interval that holds this share of the draws; None where hardly any draw has a value."""
    known = values[np.isfinite(values)]
    if len(known) < 0.5 * len(values) or len(known) == 0:
        return None
    low, high = np.quantile(known, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _student_interval(values: Floats, estimate: float, *, places: int, half: float, wider: float) -> Interval:
    """Values are kept away from 0 and 1 by ``half`` a thing; ``wider`` is what strata add to the variance."""
    from scipy.special import expit, logit
    from scipy.stats import t

    variance = wider * float(logit(np.clip(values, half, 1 - half)).var())
    reach = float(t.ppf((1 + SHARE) / 2, places - 1)) * np.sqrt(variance)
    middle = float(logit(np.clip(estimate, half, 1 - half)))
    return min(estimate, float(expit(middle - reach))), max(estimate, float(expit(middle + reach)))


def exact_interval(share: float, count: int) -> Interval:
    """Interval of a share that was found in each of so many independent places (Clopper and Pearson, 1934)."""
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(SHARE, method="exact")
    return float(found.low), float(found.high)


def _strata(matches: MatchedFindings, numbers: np.ndarray) -> Ints:
    """Stratum of each place: its rarest true class, or none; small ones are joined."""
    labels, counts = np.unique(matches.truth_label, return_counts=True)
    strata = np.full(len(numbers), -1, np.int64)
    column = np.searchsorted(numbers, matches.truth_place)
    for label in labels[np.argsort(-counts, kind="stable")]:  # the rarest last, so that it stays
        strata[column[matches.truth_label == label]] = label
    for stratum in np.unique(strata):
        members = strata == stratum
        if members.sum() < _LEAST_STRATUM:
            strata[members] = -2
    return strata


def _weighted_ap(weights: Ints, hit: np.ndarray, truths: Floats, *, eleven: bool) -> Floats:
    """Area under the precision-recall curve, where each finding (n) counts ``weights`` (draws, n) times."""
    good = np.cumsum(weights * hit[None], axis=1, dtype=np.float64)
    seen = np.cumsum(weights, axis=1, dtype=np.float64)
    precision = good / np.maximum(seen, 1)
    recall = good / np.maximum(truths, 1)[:, None]
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if not eleven:
        steps = np.diff(recall, axis=1, prepend=0.0)
        area: Floats = (steps * envelope).sum(1)
        return area
    total = np.zeros(len(weights))
    for step in np.linspace(0, 1, 11):
        reached = recall >= step - 1e-12
        first = reached.argmax(1)
        total += np.where(reached.any(1), envelope[np.arange(len(first)), first], 0.0)
    return total / 11
