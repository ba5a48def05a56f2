"""The task of a run, from its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.tasks.base import Task


def load_task(card: Mapping[str, Any]) -> Task:
    """The task of a run, from its card.

    Raises
    ------
    ModelError
        When the model cannot be used, or does nothing that is run over slides.
    """
    from microscope_qc.ml.library import load_card

    device = str(card.get("device") or "auto")
    task = load_card(card["model"]).task
    threshold = float(card.get("candidate_confidence", 0.05))
    if task == "detect":
        from microscope_qc.ml.tasks.detect import Detector, DetectTask

        return DetectTask(Detector.load(card["model"], device=device), threshold=threshold)
    if task == "classify":
        from microscope_qc.ml.tasks.classify import WindowTask

        return WindowTask.load(card["model"], device=device, threshold=threshold)
    if task == "anomaly":
        from microscope_qc.ml.tasks.anomaly import AnomalyTask

        return AnomalyTask.load(card["model"], device=device, threshold=threshold)
    raise ModelError(f"Models for the task {task} cannot be run over slides by this version.")
