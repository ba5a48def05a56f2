"""The page of HTML about an evaluation: figures with intervals, curves, confusion, and what was found and missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import confidence_text, count_text, things
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.ml.evaluation.outcomes import ImageOutcomes, Outcome
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.reports.charts import Line, confusion_chart, curves, share_text
from microscope_qc.reports.page import Page, Section, Shown, write_page
from microscope_qc.reports.plots import Chart
from microscope_qc.workflows.learning.evaluate import Evaluation
from microscope_qc.workflows.learning.place_pictures import FOUND_COLOUR, TRUE_COLOUR, place_picture

MOST_SHOWN = 24
_COUNTS = ("finds", "truth", "places", "count", "iou", "confidence")
_WORDS = {
    "map50": "mAP50", "map50_11": "mAP50, 11 points", "map": "mAP50-95", "ap50": "AP50", "f1": "F1",
    "f1_micro": "F1, all classes together", "auroc": "AUROC", "auprc": "AUPRC", "finds": "found",
}  # fmt: skip
_GALLERIES = {
    Outcome.MISSED: "Missed", Outcome.FALSE: "False", Outcome.WRONG_BOX: "Wrong box",
    Outcome.WRONG_CLASS: "Wrong class", Outcome.RIGHT: "Right",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """A finding or a defect that is shown: where, what it is, and how sure the model was."""

    image: int
    box: np.ndarray
    words: str
    rank: float
    missed: bool = False


def write_evaluation_page(path: Path | str, done: Evaluation) -> Job[Path]:
    """Write the page; pictures that cannot be read are left out of the galleries.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    report = done.report
    sections = [_figures(done), *_tables(done)]
    charts = _curves(report)
    if charts:
        sections.append(Section("Curves", charts=charts))
    by_outcome = _places(done)
    wanted = {outcome: places[:MOST_SHOWN] for outcome, places in by_outcome.items() if places}
    total = sum(len(places) for places in wanted.values())
    number = 0
    for outcome, places in wanted.items():
        pictures = []
        for place in places:
            yield Progress(number, total, "pictures", "cutting pictures of findings")
            number += 1
            shown = _shown(done.images[place.image], report.outcomes[place.image], place)
            pictures += [] if shown is None else [shown]
        count = len(by_outcome[outcome])
        some = f", {len(places)} of them shown" if count > len(places) else ""
        notes = [f"{things(count, 'place')}{some}. Green: true boxes. Orange: what the model found."]
        sections.append(Section(_GALLERIES[outcome], notes, pictures=pictures))
    known = done.known_figures()
    numbers = [
        (share_text(known[name], report.intervals, name), _WORDS.get(name, name))
        for name in ("map50", "accuracy", "precision", "recall", "f1", "auroc")
        if name in report.figures
    ]
    subtitle = f"{things(done.pictures, 'picture or place', 'pictures or places')} of {Path(done.dataset).name}"
    page = Page(f"{done.card.name}: evaluation", subtitle, sections, warnings=done.sentences, numbers=numbers)
    return write_page(path, page)


def _figures(done: Evaluation) -> Section:
    report, known = done.report, done.known_figures()
    rows = [
        (_WORDS.get(name, name), share_text(known[name], report.intervals, name))
        for name in report.figures
        if name not in _COUNTS
    ]
    counts = [(_WORDS.get(name, name), count_text(int(report.figures[name])))
              for name in ("truth", "finds", "count", "places") if name in report.figures]  # fmt: skip
    speed = ("seconds per picture", f"{done.seconds_per_picture:.3g}")
    note = f"At confidence {confidence_text(report.confidence)}. In brackets: 95 % intervals, as places differ."
    return Section("Figures", [note], ("", ""), [*rows, *counts, speed])


def _tables(done: Evaluation) -> list[Section]:
    report, known = done.report, done.known_figures()
    sections = []
    if report.per_class:
        sections.append(_named("Classes", "Class", known["per_class"], report.class_intervals))
    if report.by_size:
        sections.append(_named("Sizes", "Defects", known["by_size"], {}))
    table = report.tables.get("confusion")
    if table is not None:
        names = [*done.card.classes, "none"]
        counts = np.array(table)
        rows = [
            [f"true {name}", *map(count_text, row.tolist()), count_text(int(row.sum()))]
            for name, row in zip(names, counts, strict=True)
        ]
        rows.append(["all", *map(count_text, counts.sum(axis=0).tolist()), count_text(int(counts.sum()))])
        head = ["", *(f"found {name}" for name in names), "all"]
        sections.append(Section("Confusion", head=head, rows=rows, charts=[confusion_chart(names, table)]))
    return sections


def _named(
    title: str, first: str, rows: Mapping[str, Mapping[str, Any]],
    intervals: Mapping[str, Mapping[str, tuple[float, float] | None]],
) -> Section:  # fmt: skip
    names = [name for name in next(iter(rows.values())) if not name.endswith("_interval")]
    cells = [
        [code, *(
            count_text(int(own[name])) if name in _COUNTS else share_text(own[name], intervals.get(code, {}), name)
            for name in names
        )]
        for code, own in rows.items()
    ]  # fmt: skip
    return Section(title, head=[first, *(_WORDS.get(name, name) for name in names)], rows=cells)


def _curves(report: Report) -> list[Chart]:
    kinds: dict[str, list[Line]] = {"pr": [], "roc": []}
    for name, points in report.curves.items():
        kind, _, code = name.partition(" ")
        if kind in kinds:
            kinds[kind].append(Line(code, np.array(points).reshape(-1, 3)[:, :2]))
    rows = np.array(report.curves.get("calibration", [])).reshape(-1, 5)
    tips = [f"{share:.2f} right of {count:.0f} at confidence {at:.2f}" for at, share, count, _, _ in rows.tolist()]
    reliability = Line("right", rows[:, :2], rows[:, 3:], tips)
    charts = (
        curves("Precision and recall", kinds["pr"], x="recall", y="precision"),
        curves("ROC", kinds["roc"], x="false positive rate", y="true positive rate", diagonal=True),
        curves("Reliability", [reliability], x="confidence", y="share that is right", diagonal=True),
    )
    return [chart for chart in charts if chart is not None]


def _places(done: Evaluation) -> dict[Outcome, list[_Place]]:
    """What is shown of each outcome: the largest missed defects, the surest of the other findings first."""
    classes = done.card.classes
    found: dict[Outcome, list[_Place]] = {outcome: [] for outcome in _GALLERIES}
    for number, of_image in enumerate(done.report.outcomes):
        name = done.images[number].path.name
        for box, label, outcome in zip(of_image.truth, of_image.truth_labels, of_image.truth_outcomes, strict=True):
            if outcome is Outcome.MISSED:
                size = float(np.prod(box[2:] - box[:2]))
                found[outcome].append(_Place(number, box, f"{classes[label]}, {name}", size, missed=True))
        for box, label, sure, outcome in zip(
            of_image.boxes, of_image.labels, of_image.confidence, of_image.outcomes, strict=True
        ):
            words = f"{classes[label]} {confidence_text(float(sure))}, {name}"
            found[outcome].append(_Place(number, box, words, float(sure)))
    return {outcome: sorted(places, key=lambda place: -place.rank) for outcome, places in found.items()}


def _shown(image: AnnotatedImage, outcomes: ImageOutcomes, place: _Place) -> Shown | None:
    """A finding with the true boxes around it, or a defect with all findings."""
    found = outcomes.boxes if place.missed else place.box[None]
    return place_picture(image, place.box, [(TRUE_COLOUR, outcomes.truth), (FOUND_COLOUR, found)], place.words)
