"""The task of a run, from its plan."""

from __future__ import annotations

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.tasks.base import Task
from microscope_qc.project.runs.plan import RunPlan


def load_task(plan: RunPlan) -> Task:
    """The task of a run, from its plan.

    Raises
    ------
    ModelError
        When the model cannot be used, or does nothing that is run over slides.
    """
    from microscope_qc.ml.library import load_card

    device, threshold = plan.device, plan.candidate_confidence
    task = load_card(plan.model).task
    if task == "detect":
        from microscope_qc.ml.tasks.detect import Detector, DetectTask

        return DetectTask(Detector.load(plan.model, device=device), threshold=threshold)
    if task == "classify":
        from microscope_qc.ml.tasks.classify import WindowTask

        return WindowTask.load(plan.model, device=device, threshold=threshold)
    if task == "anomaly":
        from microscope_qc.ml.tasks.anomaly import AnomalyTask

        return AnomalyTask.load(plan.model, device=device, threshold=threshold)
    raise ModelError(f"Models for the task {task} cannot be run over slides by this version.")
