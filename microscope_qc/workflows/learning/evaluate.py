"""Measures a model on annotated images: tiles, merging and default confidence as in detection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets import load_dataset
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tasks.kinds import TASKS


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result: the model's card, the data set, the number of images, and the metrics."""

    card: ModelCard
    dataset: str
    pictures: int
    report: Report

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        about = {"model": self.card.name, "dataset": self.dataset, "pictures": self.pictures}
        return {**about, "classes": self.card.classes, **self.report.document()}

    def words(self) -> list[str]:
        """Lines to show the user."""
        return TASKS.get(self.card.task).words(self.report)


def evaluate(
    model: str | Path, dataset: Path | str, *, confidence: float | None = None, iou: float = 0.5, device: str = "auto"
) -> Job[Evaluation]:
    """Compare the findings of a model with a data set.

    Parameters
    ----------
    model
        Name of a bundled model, or a folder.
    dataset
        COCO or Pascal VOC folder.
    confidence
        Threshold; the model's default when it is None.
    iou
        Smallest overlap at which a box counts as found.

    Raises
    ------
    ModelError
        When the model or the data set cannot be used, or their classes differ.
    """
    card = load_card(model)
    if card.task not in TASKS:
        raise ModelError(f"Models for the task {card.task} cannot be measured by this version.")
    kind = TASKS.get(card.task)
    kind.require_measurable()
    data = load_dataset(dataset).with_classes(card.classes)
    yield Progress(0, len(data.images), "pictures", "loading the model")
    from microscope_qc.ml.devices import use_threads

    use_threads()
    at = card.confidence if confidence is None else confidence
    report = yield from kind.measure(open_task(model, device=device), data, confidence=at, iou=iou)
    return Evaluation(card, str(dataset), len(data.images), report)
