"""Findings against truth: precision, recall, average precision, confusion. Boxes are y0, x0, y1, x1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.matching import areas, match_by_overlap, match_by_score, overlapping_pairs
from microscope_qc.ml.evaluation.bootstrap import (
    Draws,
    Intervals,
    MatchedFindings,
    mean_over_classes,
)
from microscope_qc.ml.evaluation.curves import reliability, thinned
from microscope_qc.ml.evaluation.outcomes import ImageOutcomes, outcomes_of

COCO_IOU = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SIZES_PX = {"small": (0.0, 32.0), "medium": (32.0, 96.0), "large": (96.0, np.inf)}
"""Square root of the area."""
_SAME_PLACE = _HALF = 0.5


@dataclass
class Tally:
    """Findings and truth of several images.

    Attributes
    ----------
    classes : list of str
    place_px
        Large images are divided into places with this side in full-resolution pixels, see
        :mod:`microscope_qc.ml.evaluation.bootstrap`; None takes every image as one place.
    """

    classes: list[str]
    place_px: float | None = None
    _finds: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _truth: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _sizes_px: list[float] = field(default_factory=list)
    _matched: dict[float, MatchedFindings] = field(default_factory=dict)

    def add(
        self,
        *,
        boxes: np.ndarray,
        labels: np.ndarray,
        confidence: np.ndarray,
        truth: np.ndarray,
        truth_labels: np.ndarray,
        still_open: np.ndarray | None = None,
        model_px: float = 1.0,
    ) -> None:
        """Add one image's findings (n, 4) and truth (m, 4).

        A finding at one of the places ``still_open`` (k, 4) that hits no true defect does not count: nobody has said
        what is there. ``model_px`` is the side of one of the model's pixels in pixels of the image.
        """
        if still_open is not None and len(still_open):
            hit = match_by_score(boxes, confidence, truth, iou=_SAME_PLACE, classes=(labels, truth_labels))[0]
            counts = np.zeros(len(boxes), bool)
            counts[hit] = True
            found = overlapping_pairs(boxes, still_open, iou=_SAME_PLACE)[0]
            counts[np.setdiff1d(np.arange(len(boxes)), found)] = True
            boxes, labels, confidence = boxes[counts], labels[counts], confidence[counts]
        self._matched.clear()
        order = np.argsort(-confidence, kind="stable")
        self._finds.append((np.asarray(boxes, float)[order].reshape(-1, 4), labels[order], confidence[order]))
        self._truth.append((np.asarray(truth, float).reshape(-1, 4), np.asarray(truth_labels, int)))
        self._sizes_px.append(model_px)

    @property
    def truths(self) -> int:
        """Number of true defects."""
        return sum(len(labels) for _, labels in self._truth)

    def hits(self, *, iou: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Confidence, label and whether it hit, of every finding of every image, strongest first."""
        found = self.matches(iou=iou)
        return found.score, found.label, found.hit

    def matches(self, *, iou: float = 0.5) -> MatchedFindings:
        """Every finding of every image, strongest first, and the truth.

        Matched within a class, the strongest first (:func:`match_by_score`). A finding that hits lies where the defect
        lies.
        """
        if iou not in self._matched:
            self._matched[iou] = self._match(iou)
        return self._matched[iou]

    def _match(self, iou: float) -> MatchedFindings:
        return numbered([self.placed(iou=iou)])[0]

    def placed(self, *, iou: float = 0.5) -> MatchedFindings:
        """The same as :meth:`matches`, with places as image, row and column (n, 3), and the findings in any order."""
        parts, there = [], []
        for number, ((boxes, label, score), (truth, truth_label)) in enumerate(
            zip(self._finds, self._truth, strict=True)
        ):
            mine, theirs = match_by_score(boxes, score, truth, iou=iou, classes=(label, truth_label))
            hit = np.zeros(len(boxes), bool)
            hit[mine] = True
            place, truth_place = self._places(number, boxes), self._places(number, truth)
            place[mine] = truth_place[theirs]
            parts.append((score, label, hit, place))
            there.append((truth_label, truth_place))
        if not parts:
            none = np.zeros((0, 3), np.int64)
            return MatchedFindings(np.zeros(0), np.zeros(0, int), np.zeros(0, bool), none, np.zeros(0, int), none)
        score, label, hit, place = (np.concatenate(column) for column in zip(*parts, strict=True))
        truth_label, truth_place = (np.concatenate(column) for column in zip(*there, strict=True))
        return MatchedFindings(score, label, hit, place, truth_label, truth_place)

    def _places(self, image: int, boxes: np.ndarray) -> np.ndarray:
        """Image, row and column (n, 3) of the places in which boxes have their centre."""
        places = np.zeros((len(boxes), 3), np.int64)
        places[:, 0] = image
        if self.place_px is not None and len(boxes):
            places[:, 1:] = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / self.place_px)
        return places

    def found_truth(self, *, confidence: float, iou: float = 0.5) -> list[np.ndarray]:
        """For each image, which of its true defects (m,) are found."""
        found = []
        for (boxes, label, score), (truth, truth_label) in zip(self._finds, self._truth, strict=True):
            shown = score >= confidence
            there = match_by_score(boxes[shown], score[shown], truth, iou=iou, classes=(label[shown], truth_label))[1]
            flags = np.zeros(len(truth), bool)
            flags[there] = True
            found.append(flags)
        return found

    def false_findings(self, *, confidence: float, iou: float = 0.5) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each image boxes (k, 4), labels and confidences of the findings that hit no true defect."""
        wrong = []
        for (boxes, label, score), (truth, truth_label) in zip(self._finds, self._truth, strict=True):
            left = score >= confidence
            shown = np.flatnonzero(left)
            left[
                shown[
                    match_by_score(boxes[shown], score[shown], truth, iou=iou, classes=(label[shown], truth_label))[0]
                ]
            ] = False
            wrong.append((boxes[left], label[left], score[left]))
        return wrong

    def best_confidence(self, *, iou: float = 0.5) -> float:
        """Confidence with the best F1 while precision and recall stay close to each other."""
        score, _, hit = self.hits(iou=iou)
        if not hit.any():
            return 0.5
        good = np.cumsum(hit)
        precision, recall = good / np.arange(1, len(hit) + 1), good / max(self.truths, 1)
        merit = 2 * precision * recall / np.maximum(precision + recall, 1e-9) + np.minimum(precision, recall)
        merit[np.r_[score[1:] == score[:-1], False]] = -1  # no threshold is between equal confidences
        best = int(np.argmax(merit))
        below = float(score[best + 1]) if best + 1 < len(score) else 0.0
        return round((float(score[best]) + below) / 2, 4)

    def report(self, *, confidence: float, iou: float = 0.5) -> dict[str, Any]:
        """All metrics at one threshold, as plain numbers.

        Returns
        -------
        dict
            precision, recall and f1 at ``confidence`` and ``iou``; finds, truth, places; map50, map50_11 (11-point),
            map (0.50 to 0.95) and the classes' ap50, at their own overlaps; per_class, confusion (rows: true class,
            then background; columns: found class, then missed).
        """
        found, at_half = self.matches(iou=iou), self.matches(iou=_HALF)
        shown = found.shown(confidence)
        per_class: dict[str, dict[str, float]] = {}
        for index, code in enumerate(self.classes):
            mine, half = shown.of_class(index), at_half.of_class(index)
            truths = len(half.truth_label)
            per_class[code] = shown_rates(mine.hit, truths) | {"ap50": average_precision(half.hit, truths)}
        return shown_rates(shown.hit, self.truths) | {
            "confidence": confidence,
            "iou": iou,
            "map50": mean_ap(at_half),
            "map50_11": mean_ap(at_half, eleven=True),
            "map": float(np.mean([mean_ap(self.matches(iou=threshold)) for threshold in COCO_IOU])),
            "places": found.places,
            "per_class": per_class,
            "confusion": self.confusion(confidence=confidence, iou=iou).tolist(),
        }

    def intervals(self, *, confidence: float, iou: float = 0.5) -> tuple[Intervals, dict[str, Intervals]]:
        """95 % intervals of the figures of :meth:`report`, of all and per class; None where too little is known."""
        found, at_half = self.matches(iou=iou), self.matches(iou=_HALF)
        draws = Draws(found)
        overall = _rate_intervals(draws, found.shown(confidence))
        if self.truths:
            for name, (values, estimate) in self._drawn_maps(draws).items():
                overall[name] = draws.interval(values, estimate, of=found.truth_place)
        per_class = {}
        for index, code in enumerate(self.classes):
            half = at_half.of_class(index)
            own = _rate_intervals(draws, found.of_class(index).shown(confidence))
            if len(half.truth_label):
                average = average_precision(half.hit, len(half.truth_label))
                own["ap50"] = draws.interval(draws.average_precision(half), average, of=half.truth_place)
            per_class[code] = own
        return overall, per_class

    def _drawn_maps(self, draws: Draws) -> dict[str, tuple[Floats, float]]:
        """Every mean average precision of every draw, and that of the places as they are."""

        def drawn(iou: float, *, eleven: bool = False) -> Floats:
            found = self.matches(iou=iou)
            classes = [found.of_class(index) for index in found.true_classes]
            return mean_over_classes([draws.average_precision(own, eleven=eleven) for own in classes])

        at_half = self.matches(iou=_HALF)
        return {
            "map50": (drawn(_HALF), mean_ap(at_half)),
            "map50_11": (drawn(_HALF, eleven=True), mean_ap(at_half, eleven=True)),
            "map": (
                np.mean([drawn(iou) for iou in COCO_IOU], axis=0),
                float(np.mean([mean_ap(self.matches(iou=iou)) for iou in COCO_IOU])),
            ),
        }

    def by_size(self) -> dict[str, dict[str, float]]:
        """Average precision of defects of one size (COCO's bounds, in the model's pixels), and how many there are.

        As in COCO, defects of another size count neither as found nor as missed.
        """
        result = {}
        for name, (low, high) in SIZES_PX.items():
            parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
            truths = dict.fromkeys(range(len(self.classes)), 0)
            for (boxes, label, score), (truth, truth_label), model_px in zip(
                self._finds, self._truth, self._sizes_px, strict=True
            ):
                mine, theirs = (
                    (np.sqrt(areas(b)) / model_px >= low) & (np.sqrt(areas(b)) / model_px < high)
                    for b in (boxes, truth)
                )
                hit = np.zeros(len(boxes), bool)
                hit[match_by_score(boxes, score, truth[theirs], iou=_HALF, classes=(label, truth_label[theirs]))[0]] = (
                    True
                )
                left = np.flatnonzero(~hit)
                other = match_by_score(
                    boxes[left], score[left], truth[~theirs], iou=_HALF, classes=(label[left], truth_label[~theirs])
                )[0]
                counts = hit | mine
                counts[left[other]] = False
                for index in truths:
                    own = counts & (label == index)
                    parts.setdefault(index, []).append((score[own], hit[own]))
                    truths[index] += int((truth_label[theirs] == index).sum())
            precisions = []
            for index in (index for index, count in truths.items() if count):
                score, hit = (np.concatenate(column) for column in zip(*parts[index], strict=True))
                precisions.append(average_precision(hit[np.argsort(-score, kind="stable")], truths[index]))
            result[name] = {"ap50": _mean(precisions), "truth": float(sum(truths.values()))}
        return result

    def outcomes(self, *, confidence: float, iou: float = 0.5) -> list[ImageOutcomes]:
        """What became of the findings from a confidence on, and of the defects, of each image."""
        found = []
        for (boxes, labels, score), truth in zip(self._finds, self._truth, strict=True):
            shown = score >= confidence
            found.append(outcomes_of((boxes[shown], labels[shown], score[shown]), truth, iou=iou))
        return found

    def curves(self) -> dict[str, list[list[float]]]:
        """Points of curves.

        "pr CODE": recall, precision, confidence; "calibration": see
        :func:`microscope_qc.ml.evaluation.curves.reliability`.
        """
        found = self.matches(iou=_HALF)
        curves: dict[str, list[list[float]]] = {}
        for index in found.true_classes:
            mine = found.of_class(index)
            good, seen = np.cumsum(mine.hit), np.arange(1, len(mine.hit) + 1)
            points = np.column_stack([good / len(mine.truth_label), good / seen, mine.score])
            curves[f"pr {self.classes[index]}"] = thinned(points)
        if len(found.score):
            curves["calibration"] = reliability(found.score, found.hit)
        return curves

    def confusion(self, *, confidence: float, iou: float = 0.5) -> np.ndarray:
        """Table (classes + 1, classes + 1): true class against found class, matched regardless of class."""
        count = len(self.classes)
        table = np.zeros((count + 1, count + 1), int)
        for (all_boxes, labels, score), (truth, truth_label) in zip(self._finds, self._truth, strict=True):
            shown = score >= confidence
            boxes, label = all_boxes[shown], labels[shown]
            found, there = match_by_overlap(boxes, truth, iou=iou)
            np.add.at(table, (truth_label[there], label[found]), 1)
            table[:count, count] += np.bincount(np.delete(truth_label, there), minlength=count)
            table[count, :count] += np.bincount(np.delete(label, found), minlength=count)
        return table


def numbered(several: Sequence[MatchedFindings]) -> list[MatchedFindings]:
    """Number the places of :meth:`Tally.placed` alike in all of them, and sort the findings, strongest first."""
    places = [place for found in several for place in (found.place, found.truth_place)]
    _, numbers = np.unique(np.concatenate(places), axis=0, return_inverse=True)
    parts = np.split(numbers.reshape(-1), np.cumsum([len(place) for place in places])[:-1])
    result = []
    for found, place, truth_place in zip(several, parts[::2], parts[1::2], strict=True):
        order = np.argsort(-found.score, kind="stable")
        result.append(
            MatchedFindings(
                found.score[order], found.label[order], found.hit[order], place[order], found.truth_label, truth_place
            )
        )
    return result


def mean_ap(found: MatchedFindings, *, eleven: bool = False) -> float:
    """Mean of the average precision of the classes that have a true defect."""
    parts = [found.of_class(index) for index in found.true_classes]
    return _mean([average_precision(own.hit, len(own.truth_label), eleven=eleven) for own in parts])


def average_precision(hit: np.ndarray, truths: int, *, eleven: bool = False) -> float:
    """Area under the precision-recall curve of findings sorted by falling confidence (0 without any truth)."""
    if truths == 0 or len(hit) == 0:
        return 0.0
    good = np.cumsum(hit)
    recall, precision = good / truths, good / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if eleven:
        steps = np.linspace(0, 1, 11)
        first = np.searchsorted(recall, steps - 1e-12)
        return float(np.mean(np.where(first < len(recall), envelope[np.minimum(first, len(recall) - 1)], 0.0)))
    return float(np.sum(np.diff(np.r_[0.0, recall]) * envelope))


def shown_rates(hit: np.ndarray, truths: int) -> dict[str, Any]:
    """Precision, recall and F1 of findings, each of which is right or not, with their number and that of the truth."""
    good = int(hit.sum())
    precision = good / len(hit) if len(hit) else 0.0
    recall = good / truths if truths else 0.0
    f1 = 2 * precision * recall / (precision + recall) if good else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "finds": len(hit), "truth": truths}


def _rate_intervals(draws: Draws, found: MatchedFindings) -> Intervals:
    """Intervals of precision, recall and F1, of those that divide by something."""
    values, rates = draws.rates(found), shown_rates(found.hit, len(found.truth_label))
    places = {"recall": found.truth_place, "f1": np.concatenate([found.truth_place, found.place])}
    there = ({"precision": found.place} if len(found.place) else {}) | (places if len(found.truth_place) else {})
    return {name: draws.interval(values[name], rates[name], of=place) for name, place in there.items()}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
