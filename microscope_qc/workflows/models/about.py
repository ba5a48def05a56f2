"""What is to be said of a model, for the Models page and the command line: facts and scores per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microscope_qc.core.wording import significant_text, things
from microscope_qc.ml.evaluation.report import interval_words

if TYPE_CHECKING:
    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.workflows.models.shelf import ModelEntry

COLUMNS = ("Class", "Name", "Precision", "Recall", "AP50", "Marked")
_FIGURES = (("precision", "finds"), ("recall", "truth"), ("ap50", "truth"))
_OVERALL = (("map50", "mAP50"), ("f1", "F1"), ("precision", "precision"), ("recall", "recall"))


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well one class is found: texts for the columns after class and name."""

    code: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AboutModel:
    """Facts by name, and scores per class under ``columns``."""

    facts: list[tuple[str, str]]
    scores: list[ClassScore]
    columns: Sequence[str] = COLUMNS


def about_model(entry: ModelEntry) -> AboutModel:
    """What is to be said of a model."""
    card = entry.card
    if card is None:
        return AboutModel([("Problem", entry.problem), ("Folder", str(entry.folder))], [])
    per_class = card.metrics.get("per_class")
    known = per_class if isinstance(per_class, dict) else {}
    return AboutModel(
        _facts(entry, card),
        [
            ClassScore(code, name, _cells(known.get(code)))
            for code, name in zip(card.classes, card.class_names, strict=True)
        ],
    )


def _facts(entry: ModelEntry, card: ModelCard) -> list[tuple[str, str]]:
    size = "any" if card.pixel_size_um is None else f"{significant_text(card.pixel_size_um)} µm"
    if card.trained_at_um is not None:
        size += f", trained on slides of {significant_text(card.trained_at_um)} µm"
    facts = [("Pixel size", size), ("Data", _data_words(card)), ("Scores", _scores(card.metrics))]
    start = card.training.get("start")
    if isinstance(start, dict):
        facts.append(("Started from", str(start.get("name") or "another model")))
    facts.append(("Default confidence", f"{card.confidence:.2f}"))
    facts.append(("Speed here", entry.speed or "not measured yet: detect with it"))
    return [*facts, ("Licence", entry.licence), ("Folder", str(entry.folder))]


def _data_words(card: ModelCard) -> str:
    said = [str(card.trained_on).strip().rstrip(".")] if card.trained_on else []
    pictures, boxes = card.training.get("pictures"), card.training.get("boxes")
    if isinstance(pictures, int):
        counted = things(pictures, "picture")
        if isinstance(boxes, dict):
            marked = sum(count for count in boxes.values() if isinstance(count, int))
            counted += f" with {things(marked, 'defect')}"
        said.append(f"learned from {counted}")
    return "; ".join(said) or "not known"


def _scores(metrics: Mapping[str, Any]) -> str:
    said = [f"{words} {figure(metrics, name)}" for name, words in _OVERALL if _number(metrics.get(name)) is not None]
    truth, places = _number(metrics.get("truth")), _number(metrics.get("places"))
    if truth is not None:
        where = f" in {things(int(places), 'place')}" if places is not None else ""
        said.append(f"on {things(int(truth), 'defect')}{where} that were held out")
    return ", ".join(said) or "not measured"


def _cells(own: object) -> tuple[str, ...]:
    if not isinstance(own, dict):
        return ("–",) * (len(_FIGURES) + 1)
    cells = [figure(own, name) if own.get(divided) else "–" for name, divided in _FIGURES]
    truth = _number(own.get("truth"))
    return (*cells, "–" if truth is None else str(int(truth)))


def figure(values: Mapping[str, Any], name: str) -> str:
    """``0.914 [0.880, 0.941]``: a figure with its interval, where a card has one, or says that none is estimable."""
    value = _number(values.get(name))
    if value is None:
        return "–"
    text, sides = f"{value:.3f}", values.get(f"{name}_interval")
    if sides is None:
        return f"{text}{interval_words(None)}" if f"{name}_interval" in values else text
    low, high = [_number(side) for side in sides] if isinstance(sides, list) and len(sides) == 2 else (None, None)
    return text if low is None or high is None else f"{text}{interval_words((low, high))}"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
