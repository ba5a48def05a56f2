"""Anomaly detection: what a network that knows only normal windows cannot reconstruct."""

from __future__ import annotations

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.classify import WindowScores, check_windows

ODD, ODD_NAME = "ODD", "Unlike the rest"
"""Class of what a model finds that knows only what is normal."""


class AnomalyDetection(WindowScores):
    """Scores of windows, a map of them, and boxes around anomalies."""

    name, title, does, model = (
        "anomaly", "Anomaly detection", "finds anomalies", "an anomaly model",
    )  # fmt: skip
    headline = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC"}  # noqa: RUF012 - not changed
    learns_from_boxes = False
    one_class = True

    def check(self, card: ModelCard) -> None:
        """See :class:`TaskKind`."""
        check_windows(card)
        if card.anomaly is None:
            raise ValueError("an anomaly model needs anomaly settings")
        if len(card.classes) != 1:
            raise ValueError("an anomaly model has one class")


ANOMALY = AnomalyDetection()
