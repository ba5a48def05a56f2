"""The gate of a new model: measured against another on the same places, with what chance alone would show."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.matching import require_shares
from microscope_qc.core.wording import listed, plural, things
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.learned import read_learned, without_learned
from microscope_qc.ml.datasets.parts import read_parts
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, full_names
from microscope_qc.ml.evaluation.report import WEAKEST, Report, figure_words
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.project import Project
from microscope_qc.workflows.learning.from_project import is_project
from microscope_qc.workflows.learning.kept_apart import not_learned_from, to_measure_on
from microscope_qc.workflows.learning.reading import read_dataset
from microscope_qc.workflows.learning.which_findings import ProjectFindings
from microscope_qc.workflows.models.comparison_text import difference_text, p_text, speed_text
from microscope_qc.workflows.models.wrong_places import KINDS, WrongPlace, find_wrong_places, kind_words

if TYPE_CHECKING:
    from microscope_qc.ml.evaluation.detection import Tally
    from microscope_qc.ml.evaluation.on_slides import Finder
    from microscope_qc.ml.evaluation.paired import Difference, FoundBy, Paired

_NAMES = {"map50": "mAP50", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """One of the models: its card, its figures, and how long it took.

    ``mm2`` is the area that was looked at; None where a pixel size is not known.
    """

    card: ModelCard
    report: Report
    seconds: float
    pictures: int
    mm2: float | None

    @property
    def speed_words(self) -> str:
        """``1.2 s per picture, 40 s per mm²``."""
        return speed_text(self.seconds / max(1, self.pictures), self.seconds / self.mm2 if self.mm2 else None)

    def document(self) -> dict[str, object]:
        """Values that JSON can store."""
        return {
            "model": self.card.name, "seconds_per_picture": round(self.seconds / max(1, self.pictures), 4),
            "seconds_per_mm2": round(self.seconds / self.mm2, 3) if self.mm2 else None, **self.report.metrics(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Two models on the same places of a data set.

    Attributes
    ----------
    classes
        Those that both know, which are compared.
    paired
        Differences, new less old, and which true defects each found.
    verdict
        One sentence; it calls a model better only where chance would hardly show such a difference.
    wrong
        Where one of them is wrong, or both are.
    sentences
        What was left out, and what should be known.
    images
        What was measured on, as the outcomes of both reports are.
    """

    new: MeasuredModel
    old: MeasuredModel
    dataset: str
    classes: list[str]
    paired: Paired
    verdict: str
    wrong: list[WrongPlace]
    sentences: list[str] = field(default_factory=list)
    images: Sequence[AnnotatedImage] = ()

    def document(self) -> dict[str, object]:
        """Everything, as values that JSON can store."""
        found = self.paired.found
        return {
            "verdict": self.verdict, "ahead": {1: "new", -1: "old"}.get(ahead_sign(self.paired)),
            "dataset": self.dataset, "pictures": self.new.pictures,
            "places": self.paired.places, "truth": found.truths, "classes": self.classes,
            "new": self.new.document(), "old": self.old.document(),
            "differences": {name: _difference_json(of) for name, of in self.paired.differences.items()},
            "class_differences": {
                self.classes[index]: {"ap50": _difference_json(of.ap50), "mcnemar": _mcnemar_json(of.found)}
                for index, of in self.paired.per_class.items()
            },
            "mcnemar": _mcnemar_json(found),
            "disagreements": [one.document() for one in self.wrong if one.differs],
            "both_wrong": [one.document() for one in self.wrong if not one.differs], "notes": self.sentences,
        }  # fmt: skip

    def counts(self) -> dict[str, int]:
        """How many disagreements there are of each kind, with the names of the models."""
        counts = Counter(one.kind for one in self.wrong if one.differs)
        return {self.kind_words(kind): counts[kind] for kind in KINDS if counts[kind]}

    def kind_words(self, kind: str) -> str:
        """A kind of wrong places with the names of the models: ``found by A only``."""
        return kind_words(kind, self.new.card.name, self.old.card.name)

    def words(self) -> list[str]:
        """Lines to show the user."""
        found, names = self.paired.found, (self.new.card.name, self.old.card.name)
        width = max(16, *(len(name) for name in names))
        lines = [
            self.verdict,
            f"{things(found.truths, 'true defect')} in {things(self.paired.places, 'place')} of "
            f"{things(self.new.pictures, 'picture')}",
        ]
        for measured in (self.new, self.old):
            name = f"{measured.card.name:<{width}}"
            lines.append(f"{name}  {_figures(measured.report)}; {measured.speed_words}")
        lines += [f"{_NAMES[name]}: {difference_words(of)}" for name, of in self.paired.differences.items()]
        lines.append(
            f"of the same defects {found.both} found by both, {found.only_first} by {names[0]} only, "
            f"{found.only_second} by {names[1]} only, {found.neither} by none; McNemar's exact p {p_text(found.p)}"
        )
        for code in self.classes:
            said = [f"{of.card.name} {_class_figures(of.report, code)}" for of in (self.new, self.old)]
            own = self.paired.per_class.get(self.classes.index(code))
            said += [] if own is None else [f"AP50 {difference_words(own.ap50)}"]
            lines.append(f"{code}: {'; '.join(said)}")
        return [*lines, *self.sentences]


def compare_models(
    new: str | Path, old: str | Path, dataset: Path | str, *, iou: float = 0.5, device: str = "auto"
) -> Job[ModelComparison]:
    """Measure two detectors on the same places of a data set: its test part, else its validation part, else all.

    What one of the models has learned from, as far as the folder of the model says so, is left out for both. Each model
    is measured at its own default confidence, on the classes that both know.

    Parameters
    ----------
    new, old
        Name of a bundled model, or a folder.
    dataset
        See :func:`microscope_qc.workflows.learning.reading.read_dataset`.
    iou
        Smallest overlap at which a box counts as found.

    Raises
    ------
    ModelError
        When a model or the data set cannot be used, the models have no class in common, or nothing is left to measure.
    """
    require_shares(iou=iou)
    cards = load_card(new), load_card(old)
    for card in cards:
        if card.task != "detect":
            raise ModelError(f"{card.name} is no detector; two detectors can be compared.")
    read = yield from read_dataset(dataset)
    data, said = to_measure_on(read)
    for card, model in zip(cards, (new, old), strict=True):
        data, more = yield from without_learned_places(data, card.name, model_folder(model))
        said = [*said, *more]
    if not sum(len(image.boxes) for image in data.images):
        raise ModelError(
            "There is nothing to measure on: the models have learned from every place with a marked defect.",
            hint="Confirm or draw defects on slides that no model has learned from.",
        )
    classes, more = _common(cards, data)
    data = _of_classes(data, classes)
    said = [*read.sentences(), *said, *more]
    yield Progress(0, 2 * len(data.images), "pictures", "loading the models")
    from microscope_qc.ml.devices import use_threads
    from microscope_qc.ml.tasks.images import TaskFinder

    use_threads()
    finders = [TaskFinder(open_task(model, device=device, threshold=WEAKEST)) for model in (new, old)]
    tallies, seconds = yield from _tallies(finders, data)
    compared = partial(_compared, cards, tallies, seconds, data, str(dataset), iou, said)
    if not is_project(Path(dataset)):
        return compared()
    with Project.open(dataset, write=False) as project:
        return compared(ProjectFindings(project))


def without_learned_places(data: Dataset, name: str, folder: Path) -> Job[tuple[Dataset, list[str]]]:
    """Without what the model in a folder, or one that it started from, has learned from; what is to be said of that."""
    data, learned = not_learned_from(data, read_parts(folder))
    known = read_learned(folder)
    said = []
    if known is not None:
        data, more = yield from without_learned(data, known)
        learned += more
        if not known.complete:
            said.append(f"{name} started from a model that does not say what it learned from: it may know more places.")
    if learned:
        said.append(f"{things(learned, 'place')} left out: {name} has learned from {_them(learned)}.")
    return data, said


def _compared(
    cards: tuple[ModelCard, ModelCard],
    tallies: list[Tally],
    seconds: list[float],
    data: Dataset,
    dataset: str,
    iou: float,
    said: list[str],
    findings: ProjectFindings | None = None,
) -> ModelComparison:
    from microscope_qc.ml.evaluation.on_slides import detection_report
    from microscope_qc.ml.evaluation.paired import compare_tallies

    limits = cards[0].confidence, cards[1].confidence
    paired = compare_tallies(tallies[0], tallies[1], confidences=limits, iou=iou)
    measured = [
        MeasuredModel(
            card, detection_report(tally, confidence=card.confidence, iou=iou, complete=True), taken, len(data.images),
            _area_mm2(data),
        )
        for card, tally, taken in zip(cards, tallies, seconds, strict=True)
    ]  # fmt: skip
    return ModelComparison(
        measured[0], measured[1], dataset, data.classes, paired, verdict(cards[0].name, cards[1].name, paired),
        find_wrong_places(tallies, limits, data, iou, findings), said, data.images,
    )  # fmt: skip


def _common(cards: tuple[ModelCard, ModelCard], data: Dataset) -> tuple[list[str], list[str]]:
    """Classes of the data set that both models know, and what is to be said of the others."""
    there = {code for code, count in data.counts().items() if count}
    both = [code for code in cards[0].classes if code in cards[1].classes and code in there]
    if not both:
        raise ModelError(
            f"{cards[0].name} and {cards[1].name} have no class in common that is marked in the data set.",
            hint="Compare models for the same classes.",
        )
    said = []
    for own, other in (cards, cards[::-1]):
        alone = [code for code in own.classes if code not in other.classes]
        if alone:
            said.append(f"Only {own.name} looks for {listed(alone)}: not compared.")
    unknown = sorted(there - set(cards[0].classes) - set(cards[1].classes))
    if unknown:
        said.append(f"No model looks for {listed(unknown)}: not compared.")
    return both, said


def _of_classes(data: Dataset, classes: list[str]) -> Dataset:
    """Only these classes; places of the others are neither defect nor background."""
    place = np.array([classes.index(code) if code in classes else -1 for code in data.classes])
    images = []
    for image in data.images:
        labels = place[image.labels].astype(np.int64)
        mine = labels >= 0
        images.append(
            replace(
                image, boxes=image.boxes[mine], labels=labels[mine],
                open_boxes=np.concatenate([image.open_boxes, image.boxes[~mine]]), homes=None,
            )
        )  # fmt: skip
    return replace(data, classes=classes, names=full_names(classes), images=images)


def _tallies(finders: Sequence[Finder], data: Dataset) -> Job[tuple[list[Tally], list[float]]]:
    """What both models find in every picture, and the seconds that each took."""
    from microscope_qc.ml.evaluation.detection import Tally
    from microscope_qc.ml.evaluation.on_slides import find_in_image, place_px

    tallies, seconds = [], []
    for number, finder in enumerate(finders):
        tally = Tally(list(data.classes), place_px=place_px(data))
        places = [data.classes.index(code) if code in data.classes else -1 for code in finder.card.classes]
        taken = 0.0
        for index, image in enumerate(data.images):
            done = number * len(data.images) + index
            yield Progress(done, len(finders) * len(data.images), "pictures", f"{finder.card.name}: {image.path.name}")
            begun = time.perf_counter()
            found, model_px = find_in_image(finder, image)
            taken += time.perf_counter() - begun
            labels = np.array(places, np.int64)[found["label"]]
            found, labels = found[labels >= 0], labels[labels >= 0]
            tally.add(
                boxes=np.stack([found[name] for name in ("y0", "x0", "y1", "x1")], axis=1), labels=labels,
                confidence=found["confidence"], model_px=model_px, truth=image.boxes, truth_labels=image.labels,
                still_open=image.open_boxes,
            )  # fmt: skip
        tallies.append(tally)
        seconds.append(taken)
    return tallies, seconds


def _area_mm2(data: Dataset) -> float | None:
    sizes = [_image_mm2(image) for image in data.images]
    return None if any(size is None for size in sizes) else math.fsum(size or 0.0 for size in sizes)


def _image_mm2(image: AnnotatedImage) -> float | None:
    if image.pixel_size_um is None:
        return None
    y0, x0, y1, x1 = image.area
    return (y1 - y0) * (x1 - x0) * math.prod(image.pixel_size_um) / 1e6


def ahead_sign(paired: Paired) -> int:
    """1 where the first model is better in everything that is compared, -1 where the second is, else 0."""
    signs = {difference.sign for difference in paired.differences.values()}
    return signs.pop() if len(signs) == 1 else 0


def verdict(new: str, old: str, paired: Paired) -> str:
    """One sentence about two models; ``better`` only where both intervals lie above 0."""
    signs = {name: difference.sign for name, difference in paired.differences.items()}
    if any(difference.interval is None for difference in paired.differences.values()):
        where = things(paired.places, "place")
        return f"Whether {new} or {old} is ahead cannot be told from {where}: mark more defects, in more places."
    said = "; ".join(f"{_NAMES[name]} {difference_words(of)}" for name, of in paired.differences.items())
    if ahead_sign(paired):
        return f"{new} is {'better' if ahead_sign(paired) > 0 else 'worse'} than {old}: {said}."
    if not any(signs.values()):
        return f"No difference between {new} and {old} is shown: {said}. Each interval contains 0."
    ahead = [f"{_NAMES[name]} is {'higher' if sign > 0 else 'lower'}" for name, sign in signs.items() if sign]
    same = [_NAMES[name] for name, sign in signs.items() if not sign]
    rest = f", while no difference in {listed(same)} is shown" if same else ""
    return f"With {new} {listed(ahead)} than with {old}{rest}: {said}."


def difference_words(of: Difference) -> str:
    """``+0.034 [+0.010, +0.058], p 0.006``; without an interval where there are too few places."""
    return difference_text(of.difference, of.interval, of.p)


def _difference_json(difference: Difference) -> dict[str, Any]:
    sides = None if difference.interval is None else [round(side, 4) for side in difference.interval]
    return {
        "new": difference.first, "old": difference.second, "difference": difference.difference, "interval": sides,
        "p": difference.p,
    }  # fmt: skip


def _mcnemar_json(found: FoundBy) -> dict[str, Any]:
    return {
        "both": found.both, "only_new": found.only_first, "only_old": found.only_second, "neither": found.neither,
        "p": found.p,
    }  # fmt: skip


def _figures(report: Report) -> str:
    shown = (("map50", "mAP50"), ("f1", "F1"), ("precision", "precision"), ("recall", "recall"))
    return "  ".join(f"{words} {figure_words(report.figures, report.intervals, name)}" for name, words in shown)


def _class_figures(report: Report, code: str) -> str:
    own, sides = report.per_class[code], report.class_intervals.get(code, {})
    shown = (("ap50", "AP50"), ("precision", "precision"), ("recall", "recall"))
    return ", ".join(f"{words} {figure_words(own, sides, name)}" for name, words in shown)


def _them(count: int) -> str:
    return plural(count, "it", "them")
