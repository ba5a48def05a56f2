"""Scores of windows or pictures against their true classes: accuracy, F1, AUROC, AUPRC, confusion, and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.ml.evaluation.bootstrap import Draws, Intervals, MatchedFindings, mean_over_classes
from microscope_qc.ml.evaluation.curves import reliability, thinned
from microscope_qc.ml.evaluation.report import Report

_LIMITS = 101
"""Confidences that are tried for the best one."""
_ALIKE = 1e-9
_AVERAGED = ("precision", "recall", "f1", "auroc", "auprc")


@dataclass
class ClassTally:
    """Scores and true classes of windows or pictures.

    Attributes
    ----------
    classes : list of str
        A thing of none of them has the label ``len(classes)``.
    """

    classes: list[str]
    _scores: list[np.ndarray] = field(default_factory=list)
    _labels: list[np.ndarray] = field(default_factory=list)
    _places: list[np.ndarray] = field(default_factory=list)

    def add(self, scores: np.ndarray, labels: np.ndarray, places: np.ndarray) -> None:
        """Add things.

        Parameters
        ----------
        scores : ndarray, (n, classes)
            Confidence that it is of each class.
        labels : ndarray of int, (n,)
            True class; ``len(classes)`` is none.
        places : ndarray of int, (n,)
            Where each is: things of one place are seen under the same light, see
            :mod:`microscope_qc.ml.evaluation.bootstrap`.
        """
        self._scores.append(np.asarray(scores, float).reshape(-1, len(self.classes)))
        self._labels.append(np.asarray(labels, np.int64))
        self._places.append(np.asarray(places, np.int64))

    @property
    def scores(self) -> Floats:
        """Confidence of each class, (n, classes)."""
        found: Floats = np.concatenate([np.zeros((0, len(self.classes))), *self._scores])
        return found

    @property
    def labels(self) -> Ints:
        """True classes, (n,)."""
        found: Ints = np.concatenate([np.zeros(0, np.int64), *self._labels])
        return found

    @property
    def places(self) -> Ints:
        """Places, (n,)."""
        found: Ints = np.concatenate([np.zeros(0, np.int64), *self._places])
        return found

    def found(self, confidence: float) -> Ints:
        """The strongest class of each thing, none where no class reaches the confidence, (n,)."""
        scores = self.scores
        found: Ints = np.where(scores.max(axis=1, initial=-1.0) >= confidence, scores.argmax(axis=1), len(self.classes))
        return found

    @property
    def true_classes(self) -> list[int]:
        """Classes of which there is something."""
        return [int(index) for index in np.unique(self.labels) if index < len(self.classes)]

    def best_confidence(self) -> float:
        """The confidence at which the mean F1 over the classes is highest; 0.5 where nothing is known.

        In the middle between scores that were met, and of all that are as good.
        """
        strongest = self.scores.max(axis=1, initial=0.0)
        if not len(strongest) or not self.true_classes:
            return 0.5
        met = np.unique(np.quantile(strongest, np.linspace(0, 1, _LIMITS), method="nearest"))
        between = np.append(0.0, (met[1:] + met[:-1]) / 2)
        scored = [(self._mean_f1(limit), limit) for limit in between.tolist()]
        best = max(score for score, _ in scored)
        good = [limit for score, limit in scored if score > best - _ALIKE]
        return round(float(good[len(good) // 2]), 4)

    def _mean_f1(self, confidence: float) -> float:
        labels, found = self.labels, self.found(confidence)
        return _mean([
            _f1(int(((labels == index) & (found == index)).sum()), int((found == index).sum()),
                int((labels == index).sum()))
            for index in self.true_classes
        ])  # fmt: skip

    def report(self, *, confidence: float, complete: bool = True) -> Report:
        """All metrics at a confidence; ``complete`` adds intervals and curves.

        F1, AUROC and AUPRC are those of each class against the rest; without a class they are means over the classes
        of which there is something. ``f1_micro`` counts all classes together. What nothing was divided by is NaN.
        """
        labels, found, scores = self.labels, self.found(confidence), self.scores
        per_class = {code: self._class(index, labels, found, scores) for index, code in enumerate(self.classes)}
        own = [per_class[self.classes[index]] for index in self.true_classes]
        hits = (labels == found) & (labels < len(self.classes))
        figures = {
            "accuracy": _share(int((labels == found).sum()), len(labels)),
            **{name: _mean([known[name] for known in own]) for name in _AVERAGED},
            "f1_micro": _f1(int(hits.sum()), int((found < len(self.classes)).sum()),
                            int((labels < len(self.classes)).sum())),
            "truth": float((labels < len(self.classes)).sum()), "count": float(len(labels)),
            "places": float(len(np.unique(self.places))),
        }  # fmt: skip
        table = {"confusion": self.confusion(confidence=confidence).tolist()}
        if not complete:
            return Report(confidence, figures, per_class, table)
        intervals, class_intervals = self._intervals(confidence, figures, per_class)
        return Report(confidence, figures, per_class, table, intervals, class_intervals, curves=self.curves())

    def _class(self, index: int, labels: Ints, found: Ints, scores: Floats) -> dict[str, float]:
        true, said = labels == index, found == index
        hits = int((true & said).sum())
        order = np.argsort(-scores[:, index], kind="stable")
        weights = np.ones((1, len(order)))
        auroc, auprc = _areas(weights, true[order], scores[order, index])
        return {
            "precision": _share(hits, int(said.sum())), "recall": _share(hits, int(true.sum())),
            "f1": _f1(hits, int(said.sum()), int(true.sum())), "auroc": float(auroc[0]), "auprc": float(auprc[0]),
            "truth": float(true.sum()), "finds": float(said.sum()),
        }  # fmt: skip

    def confusion(self, *, confidence: float) -> Ints:
        """Table (classes + 1, classes + 1): true class against found class, the last being none."""
        side = len(self.classes) + 1
        pairs = self.labels * side + self.found(confidence)
        table: Ints = np.bincount(pairs, minlength=side * side).reshape(side, side)
        return table

    def _intervals(
        self, confidence: float, figures: dict[str, float], per_class: dict[str, dict[str, float]]
    ) -> tuple[Intervals, dict[str, Intervals]]:
        """95 % intervals of all figures and of those of each class, by a bootstrap over places."""
        draws, labels, found, places = self._draws(), self.labels, self.found(confidence), self.places
        values, drawn_per_class = self._drawn(draws, confidence)
        overall = {name: draws.interval(drawn, figures[name], of=places) for name, drawn in values.items()}
        of_classes: dict[str, Intervals] = {}
        for index, code in enumerate(self.classes):
            there = {"precision": places[found == index], "recall": places[labels == index]}
            of_classes[code] = {
                name: draws.interval(drawn, per_class[code][name], of=there.get(name, places))
                for name, drawn in drawn_per_class[code].items()
                if np.isfinite(per_class[code][name])
            }
        return overall, of_classes

    def _draws(self) -> Draws:
        nothing = np.zeros(0, np.int64)
        return Draws(MatchedFindings(np.zeros(0), nothing, np.zeros(0, bool), nothing, self.labels, self.places))

    def _drawn(self, draws: Draws, confidence: float) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
        """Every figure of every draw."""
        labels, found, scores, places = self.labels, self.found(confidence), self.scores, self.places
        none = len(self.classes)
        per_class: dict[str, dict[str, Floats]] = {}
        for index, code in enumerate(self.classes):
            true, said = places[labels == index], places[found == index]
            both = places[(labels == index) & (found == index)]
            per_class[code] = _rates(draws.counts(both), draws.counts(said), draws.counts(true))
            order = np.argsort(-scores[:, index], kind="stable")
            auroc, auprc = np.zeros(len(draws.counts(places))), np.zeros(len(draws.counts(places)))
            for part, weights in draws.of(places[order], at_once=max(1, len(order))):
                auroc[part], auprc[part] = _areas(weights, labels[order] == index, scores[order, index])
            per_class[code] |= {"auroc": auroc, "auprc": auprc}
        with np.errstate(invalid="ignore", divide="ignore"):
            values: dict[str, Floats] = {"accuracy": draws.counts(places[labels == found]) / draws.counts(places)}
        right = (labels == found) & (labels < none)
        values["f1_micro"] = _rates(
            draws.counts(places[right]), draws.counts(places[found < none]), draws.counts(places[labels < none])
        )["f1"]
        own = [per_class[self.classes[index]] for index in self.true_classes]
        values |= {name: mean_over_classes([known[name] for known in own]) for name in _AVERAGED if own}
        return values, per_class

    def curves(self) -> dict[str, list[list[float]]]:
        """Points of curves.

        "pr CODE": recall, precision, confidence; "roc CODE": false positive rate, true positive rate, confidence;
        "calibration": see :func:`microscope_qc.ml.evaluation.curves.reliability`.
        """
        labels, scores = self.labels, self.scores
        curves: dict[str, list[list[float]]] = {}
        for index in self.true_classes:
            order = np.argsort(-scores[:, index], kind="stable")
            good, bad, last = _steps(np.ones((1, len(order))), labels[order] == index, scores[order, index])
            limits = scores[order, index][last]
            curves[f"pr {self.classes[index]}"] = thinned(
                np.column_stack([good[0] / good[0, -1], good[0] / (good[0] + bad[0]), limits])
            )
            if bad[0, -1]:
                points = np.column_stack([bad[0] / bad[0, -1], good[0] / good[0, -1], limits])
                curves[f"roc {self.classes[index]}"] = thinned(np.vstack([[0, 0, 1], points]))
        if len(labels) and self.classes:
            strongest = scores.argmax(axis=1)
            curves["calibration"] = reliability(scores.max(axis=1), strongest == labels)
        return curves


def _steps(weights: np.ndarray, true: np.ndarray, score: np.ndarray) -> tuple[Floats, Floats, Ints]:
    """Weights of true and of other things from each different score on (draws, k), and where these scores end (k,)."""
    last: Ints = np.flatnonzero(np.append(np.diff(score) != 0, True)) if len(score) else np.zeros(0, np.int64)
    good: Floats = np.cumsum(weights * true, axis=1, dtype=float)[:, last]
    bad: Floats = np.cumsum(weights * ~true, axis=1, dtype=float)[:, last]
    return good, bad, last


def _areas(weights: np.ndarray, true: np.ndarray, score: np.ndarray) -> tuple[Floats, Floats]:
    """Areas under the ROC curve and the precision-recall curve of each draw (draws,); NaN where nothing divides.

    AUROC by trapezoids, AUPRC by steps (average precision), both with equal scores taken together.
    """
    good, bad, last = _steps(weights, true, score)
    if not len(last):
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = [np.pad(some / some[:, -1:], ((0, 0), (1, 0))) for some in (good, bad)]
        auroc: Floats = (np.diff(rates[1], axis=1) * (rates[0][:, 1:] + rates[0][:, :-1]) / 2).sum(axis=1)
        precision = np.where(good + bad > 0, good / (good + bad), 0.0)
        auprc: Floats = (np.diff(rates[0], axis=1) * precision).sum(axis=1)
    return auroc, auprc


def _rates(hits: Floats, said: Floats, true: Floats) -> dict[str, Floats]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"precision": hits / said, "recall": hits / true, "f1": 2 * hits / (said + true)}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _f1(hits: int, said: int, true: int) -> float:
    return 2 * hits / (said + true) if said + true else float("nan")


def _mean(values: list[Any]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
