"""Anomaly detection: what a network that knows only normal windows cannot reconstruct."""

from __future__ import annotations

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.classify import check_windows
from microscope_qc.ml.tasks.kinds import TaskKind


class AnomalyDetection(TaskKind):
    """Scores of windows, a map of them, and boxes around anomalies."""

    name, title, does, model = (
        "anomaly", "Anomaly detection", "finds anomalies", "an anomaly model",
    )  # fmt: skip
    learns_from_boxes = False

    def check(self, card: ModelCard) -> None:
        """See :class:`TaskKind`."""
        check_windows(card)
        if card.anomaly is None:
            raise ValueError("an anomaly model needs anomaly settings")
        if len(card.classes) != 1:
            raise ValueError("an anomaly model has one class")


ANOMALY = AnomalyDetection()
