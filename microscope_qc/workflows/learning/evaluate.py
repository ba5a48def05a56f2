"""Measure a model on annotated slides: tiles, merging and default confidence as in detection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets import load_dataset
from microscope_qc.ml.library import load_card


def evaluate(
    model: str | Path, dataset: Path | str, *, confidence: float | None = None, iou: float = 0.5, device: str = "auto"
) -> Job[dict[str, Any]]:
    """Compare a model's finds with a data set's boxes.

    Parameters
    ----------
    model
        Name of a bundled model, or a folder.
    dataset
        COCO or Pascal VOC folder.
    confidence
        Threshold; the model's default when it is None.

    Returns
    -------
    Job[dict]
        model, dataset, pictures, classes, and the figures of
        :meth:`microscope_qc.ml.evaluation.detection.Tally.report`.

    Raises
    ------
    ModelError
        When the model or the data set cannot be used, or their classes differ.
    """
    card = load_card(model)
    if card.task != "detect":
        raise ModelError(
            f"Models for the task {card.task} cannot be measured by this version.", hint="Choose a detector."
        )
    data = load_dataset(dataset).with_classes(card.classes)
    yield Progress(0, len(data.pictures), "pictures", "loading the model")
    from microscope_qc.ml.devices import use_threads
    from microscope_qc.ml.evaluation.on_slides import tally_dataset
    from microscope_qc.ml.tasks.detect import Detector

    use_threads()
    tally = yield from tally_dataset(Detector.load(model, device=device), data)
    report = tally.report(confidence=card.confidence if confidence is None else confidence, iou=iou)
    return {
        "model": card.name,
        "dataset": str(dataset),
        "pictures": len(data.pictures),
        "classes": card.classes,
    } | report
