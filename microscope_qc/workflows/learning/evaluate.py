"""Measures a model on annotated images: tiles, merging and default confidence as in detection."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """The result: the model's card, the data set, the number of images, and the metrics.

    ``left_out`` counts boxes of the annotations that are no truth, by reason; ``left_out_words`` is about them.
    """

    card: ModelCard
    dataset: str
    pictures: int
    report: Report
    left_out: dict[str, int] = field(default_factory=dict)
    left_out_words: str = ""

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        about = {"model": self.card.name, "dataset": self.dataset, "pictures": self.pictures}
        about |= {"left_out": self.left_out}
        return {**about, "classes": self.card.classes, **self.report.document()}

    def words(self) -> list[str]:
        """Lines to show the user."""
        told = TASKS.get(self.card.task).words(self.report)
        return [*told, self.left_out_words] if self.left_out_words else told


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
    return Evaluation(card, str(dataset), len(data.images), report, data.left_out, data.left_out_words)
