"""What of a project there is to learn from: per class and in all, and what would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.boxes import SAYS_NOTHING, ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed, things
from microscope_qc.ml.evaluation.report import NOT_ESTIMABLE
from microscope_qc.project import Project
from microscope_qc.workflows.learning.dataset import trusted
from microscope_qc.workflows.learning.project_parts import WORDS, kept_parts

ENOUGH = 50
"""Defects from which a training is worth while."""
ENOUGH_OF_CLASS = 10
FEW_OF_CLASS = 3
_SPECIMEN = "specimen"


@dataclass(frozen=True, slots=True)
class ClassSupply:
    """Confirmed and drawn findings of one class, and how many slides they are on."""

    defect: DefectClass
    truths: int
    slides: int


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is to learn from on some slides.

    Attributes
    ----------
    classes
        Those of which something is confirmed or drawn, the most frequent first, then the others of the project.
    rejected
        Findings that are learned as background, by the reason for which they were rejected.
    unsure
        Findings that were rejected for reasons that do not say that no defect is there, by the reason.
    unreviewed
        Findings of models that nobody has judged: neither defects nor background.
    complete
        Places that were declared complete.
    slides, slides_judged, specimens
        Slides looked at here, those with something judged on them, and the specimens of these.
    parts
        How many slides or blocks are kept for what, as far as that is settled: "validated on", 3.
    """

    classes: tuple[ClassSupply, ...] = ()
    rejected: tuple[tuple[str, int], ...] = ()
    unsure: tuple[tuple[str, int], ...] = ()
    unreviewed: int = 0
    complete: int = 0
    slides: int = 0
    slides_judged: int = 0
    specimens: int = 0
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def truths(self) -> int:
        """Confirmed and drawn findings of all classes."""
        return sum(one.truths for one in self.classes)

    def advice(self) -> list[str]:
        """What is missing, and what would help most."""
        said = []
        there = [one for one in self.classes if one.truths]
        if not there:
            return [f"Confirm or draw about {ENOUGH} defects first."]
        if self.truths < ENOUGH:
            said.append(f"About {ENOUGH - self.truths} more defects would make this worth while.")
        few = [one.defect.code for one in there if one.truths < FEW_OF_CLASS]
        if few:
            said.append(f"Hardly anything can be learned of {listed(few)}: fewer than {FEW_OF_CLASS} of each.")
        scarce = [
            f"{ENOUGH_OF_CLASS - one.truths} more of {one.defect.code}"
            for one in there
            if FEW_OF_CLASS <= one.truths < ENOUGH_OF_CLASS
        ]
        if scarce:
            said.append(f"{listed(scarce)} would help most.")
        missing = [one.defect.code for one in self.classes if not one.truths]
        if missing:
            said.append(f"Not learned, as there is none: {listed(missing)}.")
        if self.slides_judged == 1:
            said.append("All of them are on one slide: those of a second slide, best of another specimen, help more.")
        if not self.rejected and not self.complete:
            said.append("Nothing was rejected or declared complete: rejecting wrong finds teaches what is no defect.")
        return said

    def held_words(self) -> str:
        """What is kept to measure on; "" before that is settled."""
        held = [f"{things(count, 'place')} {words}" for words, count in self.parts]
        return f"{listed(held)}." if held else ""


def supply_of(project: Project, slide_ids: Sequence[int]) -> Job[Supply]:
    """Count what there is to learn from on some slides; every step takes one slide, and reads no pixels."""
    truths: Counter[int] = Counter()
    on_slides: Counter[int] = Counter()
    reasons: Counter[str] = Counter()
    unreviewed = complete = judged = 0
    specimens: set[str] = set()
    for number, slide_id in enumerate(slide_ids):
        yield Progress(number, len(slide_ids), "slides")
        record = project.slides.by_id(slide_id)
        rows, areas = project.boxes.table(slide_id).rows, len(project.areas.of(slide_id))
        true = trusted(rows)
        ids, counts = np.unique(true["class_id"], return_counts=True)
        for class_id, count in zip(ids.tolist(), counts.tolist(), strict=True):
            truths[class_id] += count
            on_slides[class_id] += 1
        said_no = rows["state"] == ReviewState.REJECTED
        reasons.update(str(reason) for reason in rows["reason"][said_no])
        unreviewed += len(rows) - len(true) - int(said_no.sum())
        complete += areas
        judged += bool(len(true) or areas)
        specimen = str(record.fields.get(_SPECIMEN, "") or "").strip()
        specimens.update([specimen] if specimen and (len(true) or areas) else [])
    classes = [ClassSupply(one, truths[one.id], on_slides[one.id]) for one in project.classes]
    parts = Counter(WORDS[part] for part in kept_parts(project).table.parts.values())
    rejected, unsure = (
        tuple(
            (why or "no reason given", count) for why, count in reasons.most_common() if (why in SAYS_NOTHING) == aside
        )
        for aside in (False, True)
    )
    return Supply(
        tuple(sorted(classes, key=lambda one: -one.truths)), rejected, unsure, unreviewed, complete, len(slide_ids),
        judged, len(specimens), tuple(parts.items()),
    )  # fmt: skip


def outcome(metrics: dict[str, object], *, pictures: int, start: object = None) -> list[str]:
    """What a finished training amounts to, in sentences: how good it is on what was kept apart, and what to do.

    Parameters
    ----------
    metrics
        Those of the model's card.
    pictures
        Number of slides or places that it was measured on.
    start
        What its card says of the model that it started from.
    """
    if "auroc" in metrics:
        return [_of_windows(metrics), *_known_to_start(start)]
    truth, finds = (int(_number(metrics.get(name))) for name in ("truth", "finds"))
    found_any = _number(metrics.get("map50")) > 0 and (finds or "finds" not in metrics)
    if not found_any:
        return [
            f"It found nothing of the {things(truth, 'defect')} that were kept apart to measure it."
            if truth
            else "It found nothing of what was kept apart to measure it.",
            "Let it learn for longer, or confirm and draw more defects of the classes that matter; then train again.",
        ]
    named = (("map50", "score (mAP50)"), ("precision", "precision"), ("recall", "recall"))
    figures = [f"{words} {_with_interval(metrics, name)}" for name, words in named if name in metrics]
    on = f"Measured on {things(truth, 'defect')} at {things(pictures, 'place')} that it did not learn from"
    said = [f"{on}: {', '.join(figures)}.", *_known_to_start(start)]
    if truth < ENOUGH_OF_CLASS * 2:
        said.append("So few defects say little: see what it finds on a slide before you rely on it.")
    return said


def _of_windows(metrics: dict[str, object]) -> str:
    """How good a classifier of windows or pictures is."""
    count, truth = (int(_number(metrics.get(name))) for name in ("count", "truth"))
    named = (("accuracy", "accuracy"), ("f1", "F1"), ("auroc", "AUROC"))
    figures = [f"{words} {_with_interval(metrics, name)}" for name, words in named if name in metrics]
    of = f"{things(count, 'window or picture', 'windows or pictures')}, {truth} with a defect"
    return f"Measured on {of}, that it did not learn from: {', '.join(figures)}."


def _known_to_start(start: object) -> list[str]:
    known = start.get("knew_of_validation") if isinstance(start, dict) else None
    if not isinstance(start, dict) or not isinstance(known, dict):
        return []
    if _number(known.get("pictures")):
        places = things(int(_number(known["pictures"])), "place")
        return [f"{start.get('name')}, from which it started, had learned from {places} of them: it is not as good."]
    if not known.get("complete"):
        return [f"What {start.get('name')}, from which it started, learned from is not known: it may be less good."]
    return []


def _with_interval(metrics: dict[str, object], name: str) -> str:
    value, interval = _number(metrics[name]), metrics.get(f"{name}_interval")
    if interval is None and f"{name}_interval" in metrics:
        return f"{value:.2f} (95 %: {NOT_ESTIMABLE}, too few places)"
    if not isinstance(interval, list) or len(interval) != 2:
        return f"{value:.2f}"
    low, high = (_number(side) for side in interval)
    return f"{value:.2f} (95 %: {low:.2f} to {high:.2f})"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
