"""Findings against truth: precision, recall, average precision, confusion. Boxes are y0, x0, y1, x1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.core.matching import match_by_overlap, match_by_score, overlapping_pairs

_SAME_PLACE = 0.5


@dataclass
class Tally:
    """Findings and truth of several images.

    Attributes
    ----------
    classes : list of str
    """

    classes: list[str]
    _finds: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _truth: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(
        self,
        *,
        boxes: np.ndarray,
        labels: np.ndarray,
        confidence: np.ndarray,
        truth: np.ndarray,
        truth_labels: np.ndarray,
        still_open: np.ndarray | None = None,
    ) -> None:
        """Add one image's findings (n, 4) and truth (m, 4).

        A finding at one of the places ``still_open`` (k, 4) that hits no true defect does not count: nobody has said
        what is there.
        """
        if still_open is not None and len(still_open):
            hit = match_by_score(boxes, confidence, truth, iou=_SAME_PLACE, classes=(labels, truth_labels))[0]
            counts = np.zeros(len(boxes), bool)
            counts[hit] = True
            found = overlapping_pairs(boxes, still_open, iou=_SAME_PLACE)[0]
            counts[np.setdiff1d(np.arange(len(boxes)), found)] = True
            boxes, labels, confidence = boxes[counts], labels[counts], confidence[counts]
        order = np.argsort(-confidence, kind="stable")
        self._finds.append((np.asarray(boxes, float)[order].reshape(-1, 4), labels[order], confidence[order]))
        self._truth.append((np.asarray(truth, float).reshape(-1, 4), np.asarray(truth_labels, int)))

    @property
    def truths(self) -> int:
        """Number of true defects."""
        return sum(len(labels) for _, labels in self._truth)

    def hits(self, *, iou: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Confidence, label and whether it hit, of every find of every image, strongest first.

        Matched within a class, the strongest first (:func:`match_by_score`).
        """
        parts = []
        for (boxes, label, score), (truth, truth_label) in zip(self._finds, self._truth, strict=True):
            hit = np.zeros(len(boxes), bool)
            hit[match_by_score(boxes, score, truth, iou=iou, classes=(label, truth_label))[0]] = True
            parts.append((score, label, hit))
        if not parts:
            return np.zeros(0), np.zeros(0, int), np.zeros(0, bool)
        score, label, hit = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(-score, kind="stable")
        return score[order], label[order], hit[order]

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
            precision, recall, f1, finds, truth, map50, map50_11 (11-point), map (0.50 to 0.95), per_class, confusion
            (rows: true class, then background; columns: found class, then missed).
        """
        score, label, hit = self.hits(iou=iou)
        truth_label = np.concatenate([labels for _, labels in self._truth] or [np.zeros(0, int)])
        shown = score >= confidence
        result = _rates(hit[shown], len(truth_label))
        per_class = {}
        for index, code in enumerate(self.classes):
            mine, total = label == index, int((truth_label == index).sum())
            per_class[code] = _rates(hit[mine & shown], total) | {"ap50": average_precision(hit[mine], total)}
        known = [entry["ap50"] for entry in per_class.values() if entry["truth"]]
        eleven = [
            average_precision(hit[label == i], int((truth_label == i).sum()), eleven=True)
            for i in range(len(self.classes))
            if (truth_label == i).any()
        ]
        return result | {
            "confidence": confidence,
            "iou": iou,
            "map50": _mean(known),
            "map50_11": _mean(eleven),
            "map": _mean([self._mean_ap(threshold) for threshold in np.arange(0.5, 0.96, 0.05)]),
            "per_class": per_class,
            "confusion": self.confusion(confidence=confidence, iou=iou).tolist(),
        }

    def _mean_ap(self, iou: float) -> float:
        _, label, hit = self.hits(iou=iou)
        truth_label = np.concatenate([labels for _, labels in self._truth] or [np.zeros(0, int)])
        return _mean(
            [average_precision(hit[label == i], int((truth_label == i).sum())) for i in np.unique(truth_label)]
        )

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


def _rates(hit: np.ndarray, truths: int) -> dict[str, Any]:
    good = int(hit.sum())
    precision = good / len(hit) if len(hit) else 0.0
    recall = good / truths if truths else 0.0
    f1 = 2 * precision * recall / (precision + recall) if good else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "finds": len(hit), "truth": truths}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
