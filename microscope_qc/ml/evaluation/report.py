"""The result of an evaluation as plain numbers. No torch in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from microscope_qc.core.wording import UNKNOWN
from microscope_qc.ml.evaluation.outcomes import ImageOutcomes

Sides = tuple[float, float] | None
NOT_ESTIMABLE = "not estimable"
"""Of an interval: from too few places."""
WEAKEST = 0.01
"""Confidence from which candidates count in measurements: average precision is that over all confidences."""


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics of a model on a data set.

    Attributes
    ----------
    confidence
        Threshold that they are for.
    figures
        Single numbers by name, such as "precision" or "auroc"; they are also in the curve of a training.
    per_class
        The same for each class, by its code.
    tables
        Tables of numbers, such as "confusion".
    intervals, class_intervals
        95 % intervals of figures and of the figures of each class, where they were asked for; None where there is too
        little to estimate one.
    by_size
        Figures of small, medium and large defects.
    curves
        Points of curves by name, such as "pr CODE".
    outcomes
        What became of every finding and every defect of each image, where boxes are compared.
    """

    confidence: float
    figures: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: Mapping[str, list[list[int]]] = field(default_factory=dict)
    intervals: Mapping[str, Sides] = field(default_factory=dict)
    class_intervals: Mapping[str, Mapping[str, Sides]] = field(default_factory=dict)
    by_size: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, list[list[float]]] = field(default_factory=dict)
    outcomes: Sequence[ImageOutcomes] = ()

    def metrics(self) -> dict[str, object]:
        """What is stored in a model's card."""
        kept: dict[str, object] = {**self.figures, **_named(self.intervals), "confidence": self.confidence}
        if self.per_class:
            kept["per_class"] = {
                code: {**own, **_named(self.class_intervals.get(code, {}))} for code, own in self.per_class.items()
            }
        if self.by_size:
            kept["by_size"] = {name: dict(own) for name, own in self.by_size.items()}
        return kept

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        return self.metrics() | dict(self.tables) | ({"curves": dict(self.curves)} if self.curves else {})


def figure_words(values: Mapping[str, float], intervals: Mapping[str, Sides], name: str) -> str:
    """``0.612 [0.540, 0.683]``; what nothing was divided by is not known, and not 0.

    The interval says so where there is too little to estimate one.
    """
    divided = "finds" if name == "precision" else "truth"
    if not math.isfinite(values[name]) or not values.get(divided, 1.0):
        return UNKNOWN
    return f"{values[name]:.3f}{interval_words(intervals[name]) if name in intervals else ''}"


def interval_words(sides: Sides) -> str:
    """`` [0.540, 0.683]``, or `` [not estimable]``."""
    return f" [{NOT_ESTIMABLE}]" if sides is None else f" [{sides[0]:.3f}, {sides[1]:.3f}]"


def _named(intervals: Mapping[str, Sides]) -> dict[str, object]:
    """``map50_interval``: [low, high] beside the number ``map50``, None where it cannot be estimated."""
    return {
        f"{name}_interval": None if sides is None else [round(side, 4) for side in sides]
        for name, sides in intervals.items()
    }
