"""Two models on the same places: how much they differ, and whether that could be chance.

Differences of mAP50 and of F1 are drawn by the bootstrap of :mod:`.bootstrap` with the same places for both models, so
that what makes a place easy or hard for both cancels out (Efron and Tibshirani, "An Introduction to the Bootstrap"
(1993), chapters 13 and 16). A percentile interval of few places is too narrow: it is widened as that of a mean would be
(Hesterberg, The American Statistician 69 (2015) 371, "expanded percentile interval"). Of the same true defects, those
that only one of the models finds are compared by the exact test of McNemar (Psychometrika 12 (1947) 153).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.ml.evaluation.bootstrap import (
    SHARE,
    Draws,
    Interval,
    MatchedFindings,
    interval_of,
    mean_over_classes,
)
from microscope_qc.ml.evaluation.detection import Tally, average_precision, mean_ap, numbered, shown_rates

LEAST_PLACES = 6
"""With fewer, even a model that is ahead at every place may be so by chance: 5 coins fall alike in 1 of 16 throws."""
DRAWS = 2000
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two models, and what the first has more of it.

    Attributes
    ----------
    first, second
        The figure of each.
    interval
        95 % interval of the difference; None where there are too few places.
    p
        How often chance alone would show such a difference, two-sided; None where there are too few places.
    """

    first: float
    second: float
    interval: Interval | None
    p: float | None

    @property
    def difference(self) -> float:
        """How much more the first has."""
        return self.first - self.second

    @property
    def sign(self) -> int:
        """1 where the whole interval lies above 0, -1 where it lies below, else 0."""
        if self.interval is None:
            return 0
        low, high = self.interval
        return 1 if low > 0 else -1 if high < 0 else 0


@dataclass(frozen=True, slots=True)
class FoundBy:
    """How many of the same true defects are found by both models, only one, or none.

    ``p`` is that of McNemar's exact test: as often, or more unevenly, chance would divide those that only one finds.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float

    @property
    def truths(self) -> int:
        """All true defects."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True, slots=True)
class PairedClass:
    """One class: the difference in average precision at an overlap of 0.5, and which of its defects each found."""

    ap50: Difference
    found: FoundBy


@dataclass(frozen=True, slots=True)
class Paired:
    """What is to be said of two models on the same places.

    Attributes
    ----------
    places
        Number of places with a true defect or a finding.
    per_class
        Of classes with a true defect, by their index.
    """

    places: int
    differences: Mapping[str, Difference]
    found: FoundBy
    per_class: Mapping[int, PairedClass] = field(default_factory=dict)


def compare_tallies(
    first: Tally, second: Tally, *, confidences: tuple[float, float], iou: float = HALF, seed: int = 0
) -> Paired:
    """Compare two tallies of the same images, in the same order and with the same truth and classes.

    Parameters
    ----------
    confidences
        From which on findings of the first and of the second model count for F1 and as found.
    iou
        Smallest overlap that counts as found; mAP50 is at 0.5.
    """
    by_half = numbered([first.placed(iou=HALF), second.placed(iou=HALF)])
    placed = numbered([first.placed(iou=iou), second.placed(iou=iou)])
    shown = [found.shown(limit) for found, limit in zip(placed, confidences, strict=True)]
    places = len(np.unique(np.concatenate([part for found in placed for part in (found.place, found.truth_place)])))
    drawn = _ap_draws(by_half, seed)
    differences = {
        "map50": _difference(tuple(mean_ap(found) for found in by_half), _map_draws(drawn), places),
        "f1": _difference(
            tuple(shown_rates(found.hit, len(found.truth_label))["f1"] for found in shown),
            _f1_draws(shown, placed, seed), places,
        ),
    }  # fmt: skip
    flags = [
        np.concatenate([np.zeros(0, bool), *tally.found_truth(confidence=limit, iou=iou)])
        for tally, limit in zip((first, second), confidences, strict=True)
    ]
    labels = placed[0].truth_label
    per_class = {
        index: PairedClass(_class_difference(by_half, index, draws), found_by(*(own[labels == index] for own in flags)))
        for index, draws in drawn.items()
    }
    return Paired(places, differences, found_by(*flags), per_class)


def found_by(first: np.ndarray, second: np.ndarray) -> FoundBy:
    """Count which of the same true defects (n,) each model finds."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    uneven = only_first + only_second
    p = float(binomtest(only_first, uneven, 0.5).pvalue) if uneven else 1.0
    return FoundBy(int((first & second).sum()), only_first, only_second, int((~first & ~second).sum()), p)


def widened_interval(draws: Floats, places: int) -> Interval | None:
    """95 % interval of drawn differences (n,); None where hardly any draw has a value."""
    from scipy.stats import norm, t

    wide = math.sqrt(places / (places - 1)) * float(t.ppf((1 + SHARE) / 2, places - 1))
    return interval_of(draws, share=1 - 2 * float(norm.sf(wide)))


def two_sided(draws: Floats, places: int) -> float:
    """The p that belongs to :func:`widened_interval`: from the share of draws on the other side of 0, or at it."""
    from scipy.stats import norm, t

    known = draws[np.isfinite(draws)]
    smaller = min(int((known <= 0).sum()), int((known >= 0).sum()))
    away = float(norm.isf(min(0.5, (smaller + 1) / (len(known) + 1)))) / math.sqrt(places / (places - 1))
    return 2 * float(t.sf(away, places - 1))


def _difference(figures: tuple[float, ...], draws: Floats, places: int) -> Difference:
    interval = widened_interval(draws, places) if places >= LEAST_PLACES else None
    if interval is None:
        return Difference(figures[0], figures[1], None, None)
    here = figures[0] - figures[1]  # draws of places that are all alike may miss it by a little
    sides = min(interval[0], here), max(interval[1], here)
    return Difference(figures[0], figures[1], sides, two_sided(draws, places))


def _draws(pair: list[MatchedFindings], seed: int) -> Draws:
    """Draws over the places of both."""
    one, other = pair
    both = MatchedFindings(
        np.concatenate([one.score, other.score]), np.concatenate([one.label, other.label]),
        np.concatenate([one.hit, other.hit]), np.concatenate([one.place, other.place]),
        one.truth_label, one.truth_place,
    )  # fmt: skip
    return Draws(both, draws=DRAWS, seed=seed)


def _ap_draws(pair: list[MatchedFindings], seed: int) -> dict[int, tuple[Floats, Floats]]:
    """Average precision of every class with a true defect in the draws, of both models."""
    classes = pair[0].true_classes
    if not classes:
        return {}
    draws = _draws(pair, seed)
    found = {index: [draws.average_precision(own.of_class(index)) for own in pair] for index in classes}
    return {index: (one, other) for index, (one, other) in found.items()}


def _map_draws(drawn: Mapping[int, tuple[Floats, Floats]]) -> Floats:
    if not drawn:
        return np.full(DRAWS, np.nan)
    one, other = (mean_over_classes([pair[model] for pair in drawn.values()]) for model in (0, 1))
    difference: Floats = one - other
    return difference


def _class_difference(pair: list[MatchedFindings], index: int, drawn: tuple[Floats, Floats]) -> Difference:
    """Of one class; its places are those with a defect of it, as average precision is about these."""
    own = [found.of_class(index) for found in pair]
    figures = tuple(average_precision(found.hit, len(found.truth_label)) for found in own)
    return _difference(figures, drawn[0] - drawn[1], len(np.unique(own[0].truth_place)))


def _f1_draws(shown: list[MatchedFindings], placed: list[MatchedFindings], seed: int) -> Floats:
    draws = _draws(placed, seed)
    one, other = (draws.rates(found)["f1"] for found in shown)
    difference: Floats = one - other
    return difference
