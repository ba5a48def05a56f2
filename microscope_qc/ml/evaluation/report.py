"""What was measured of a model, as plain numbers. No torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of a model on a data set.

    Attributes
    ----------
    confidence
        Threshold they hold for.
    figures
        One number for each name, such as "precision" or "auroc"; they stand in the curve of a training, too.
    per_class
        The same of each class, by its code.
    tables
        What is a table of numbers, such as "confusion".
    """

    confidence: float
    figures: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: Mapping[str, list[list[int]]] = field(default_factory=dict)

    def metrics(self) -> dict[str, object]:
        """What a model's card keeps."""
        kept: dict[str, object] = {**self.figures, "confidence": self.confidence}
        if self.per_class:
            kept["per_class"] = {code: dict(own) for code, own in self.per_class.items()}
        return kept

    def document(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        return self.metrics() | dict(self.tables)
