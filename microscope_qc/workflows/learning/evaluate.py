"""Measures a model on annotated images: tiles, merging and default confidence as in detection."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.matching import require_shares
from microscope_qc.core.wording import things
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets import Dataset, LeftOutOfData
from microscope_qc.ml.datasets.learned import LearnedShare, learned_share, read_learned
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.ml.evaluation.report import WEAKEST, Report
from microscope_qc.ml.library import bundled_folder, load_card, model_folder
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.workflows.detection.pixel_fit import pixel_fit_words
from microscope_qc.workflows.learning.kept_apart import ALL, LEARNED, TEST, VALIDATION, other_classes, to_measure_on
from microscope_qc.workflows.learning.reading import read_dataset, without_pixel_size

PART_WORDS = {
    TEST: "what is kept for the test", VALIDATION: "what was held out", LEARNED: "what is learned from",
    ALL: "everything that is marked",
}  # fmt: skip
_OF_TRUTH = ("recall", "f1", "map50", "map50_11", "map", "ap50")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result: the model's card, the data set, the number of images, and the metrics.

    ``background`` counts the images without a box; ``left_out`` is what the annotations contain besides; ``learned`` is
    how much of it the model learned from, None where that is not known; ``sentences`` are about all of them.
    ``images`` are what was measured on, and ``seconds_per_picture`` is how long that took, reading included.
    """

    card: ModelCard
    dataset: str
    pictures: int
    report: Report
    background: int = 0
    left_out: LeftOutOfData = field(default_factory=LeftOutOfData)
    learned: LearnedShare | None = None
    sentences: list[str] = field(default_factory=list)
    images: Sequence[AnnotatedImage] = ()
    seconds_per_picture: float = 0.0

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        about: dict[str, object] = {"model": self.card.name, "dataset": self.dataset, "pictures": self.pictures}
        about |= {"notes": self.sentences, "background_pictures": self.background, "left_out": self.left_out.document()}
        about["learned_from"] = None if self.learned is None else self.learned.document()
        about["part"] = self.part
        about["seconds_per_picture"] = round(self.seconds_per_picture, 4)
        if self.report.outcomes:
            about["outcomes"] = self.outcomes()
        return {**about, "classes": self.card.classes, **self.known_figures()}

    @property
    def part(self) -> str:
        """The part of the data set that was measured on, see :data:`PART_WORDS`."""
        parts = {image.part for image in self.images}
        return parts.pop() or ALL if len(parts) == 1 else ALL

    def known_figures(self) -> dict[str, Any]:
        """The report as values that JSON can store; None for what is not known."""
        return _without_unknown(self.report.document())

    def outcomes(self) -> dict[str, int]:
        """How many findings are right, at a defect with a wrong box or class, or false, and how many defects missed."""
        found = Counter(outcome for image in self.report.outcomes for outcome in image.outcomes)
        found[Outcome.MISSED] = sum(image.truth_outcomes.count(Outcome.MISSED) for image in self.report.outcomes)
        return {str(outcome): found[outcome] for outcome in Outcome}

    def words(self) -> list[str]:
        """Lines to show the user."""
        lines = TASKS.get(self.card.task).words(self.report)
        if self.report.outcomes:
            lines.append(", ".join(f"{count} {outcome}" for outcome, count in self.outcomes().items()))
        return [*lines, f"{self.seconds_per_picture:.3g} s per picture", *self.sentences]


def _without_unknown(figures: dict[str, Any]) -> dict[str, Any]:
    """None for what nothing was divided by: it is not known, and not 0."""
    known = {
        name: _without_unknown(value) if isinstance(value, dict)
        else None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }  # fmt: skip
    for count, names in (("truth", _OF_TRUTH), ("finds", ("precision",))):
        if known.get(count) == 0:
            known |= {name: None for name in names if name in known}
    return known


def evaluate(
    model: str | Path,
    dataset: Path | str,
    *,
    confidence: float | None = None,
    iou: float = 0.5,
    part: str = "",
    device: str = "auto",
) -> Job[Evaluation]:
    """Compare the findings of a model with a data set.

    Parameters
    ----------
    model
        Name of a bundled model, or a folder.
    dataset
        Folder or file of annotated pictures, see :func:`microscope_qc.workflows.learning.reading.read_dataset`.
    confidence
        Threshold; the model's default when it is None.
    iou
        Smallest overlap at which a box counts as found.
    part
        What of the data set is measured on, see :func:`microscope_qc.workflows.learning.kept_apart.to_measure_on`.

    Raises
    ------
    InputError
        When a number is not from 0 to 1.
    ModelError
        When the model or the data set cannot be used, or their classes differ.
    """
    require_shares(iou=iou, confidence=confidence)
    card = load_card(model)
    if card.task not in TASKS:
        raise ModelError(f"Models for the task {card.task} cannot be measured by this version.")
    kind = TASKS.get(card.task)
    kind.require_measurable()
    read = yield from read_dataset(dataset, model_um=card.pixel_size_um)
    data, told = to_measure_on(read, part)
    others: dict[str, int] = {}
    if kind.one_class:
        data = data.as_one_class(card.classes[0])
    elif any(image.place for image in data.images):  # a project may have classes of which there was too little to learn
        data, others = data.known_to(card.classes)
    data = data.with_classes(card.classes)
    known = read_learned(model_folder(model))
    learned = None if known is None else (yield from learned_share(data, known))
    yield Progress(0, len(data.images), "pictures", "loading the model")
    from microscope_qc.ml.devices import use_threads

    use_threads()
    at = card.confidence if confidence is None else confidence
    opened, start = open_task(model, device=device, threshold=WEAKEST), time.perf_counter()
    report = yield from kind.measure(opened, data, confidence=at, iou=iou)
    seconds = (time.perf_counter() - start) / max(1, len(data.images))
    said = [*read.sentences(), *told, *_learned(learned, model), *other_classes(others), *_pixel_sizes(card, data)]
    said += _too_few(report)
    return Evaluation(
        card, str(dataset), len(data.images), report, data.background, data.left_out, learned, said,
        images=data.images, seconds_per_picture=seconds,
    )  # fmt: skip


def _learned(share: LearnedShare | None, model: str | Path) -> list[str]:
    """What a user should know where the model was measured on pictures that it knows."""
    if share is not None:
        return share.sentences()
    if model_folder(model).parent == bundled_folder():
        return []  # it learned from drawn pictures
    return ["Whether the model learned from some of the pictures is not known: it was trained by an older version."]


def _too_few(report: Report) -> list[str]:
    """What a user should do where no interval can be estimated."""
    if not report.intervals or any(sides is not None for sides in report.intervals.values()):
        return []
    where = things(int(report.figures.get("places", 0)), "place")
    return [f"How far these figures may be off cannot be estimated from {where}: mark defects at more places."]


def _pixel_sizes(card: ModelCard, data: Dataset) -> list[str]:
    """What a user should know about the pixel sizes of the model and the pictures."""
    if card.pixel_size_um is None:
        return []
    fits = Counter(pixel_fit_words(card, image.pixel_size_um) for image in data.images)
    of = things(len(data.images), "picture")
    said = [f"{count} of {of}: {words}" for words, count in fits.items() if words]
    return said + without_pixel_size(data, card.pixel_size_um)
