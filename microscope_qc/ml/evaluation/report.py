"""The result of an evaluation as plain numbers. No torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """

    confidence: float
    figures: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: Mapping[str, list[list[int]]] = field(default_factory=dict)

    def metrics(self) -> dict[str, object]:
        """What is stored in a model's card."""
        kept: dict[str, object] = {**self.figures, "confidence": self.confidence}
        if self.per_class:
            kept["per_class"] = {code: dict(own) for code, own in self.per_class.items()}
        return kept

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        return self.metrics() | dict(self.tables)
