"""Places where one of two models is wrong, or both are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.matching import overlapping_pairs
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.workflows.learning.which_findings import ListedPlaces, ProjectFindings, Spot

if TYPE_CHECKING:
    from microscope_qc.ml.evaluation.detection import Tally

ONLY_NEW, ONLY_OLD, NONE = "found by new only", "found by old only", "found by none"
FALSE_NEW, FALSE_OLD, FALSE_BOTH = "false in new", "false in old", "false in both"
KINDS = (ONLY_NEW, ONLY_OLD, FALSE_NEW, FALSE_OLD, NONE, FALSE_BOTH)
SIDES = {
    "only new is right": (ONLY_NEW, FALSE_OLD), "only old is right": (ONLY_OLD, FALSE_NEW),
    "both are wrong": (NONE, FALSE_BOTH),
}  # fmt: skip
"""Kinds by who is right there."""
_BOTH_WRONG = (NONE, FALSE_BOTH)
_SAME_PLACE = 0.5


@dataclass(frozen=True, slots=True)
class WrongPlace:
    """A place where a model is wrong, or both are.

    Attributes
    ----------
    kind
        One of KINDS: a true defect that one of them misses or both do, or a false finding of one or of both.
    path, scene
        The picture or slide.
    image
        The same among the ``images`` of the comparison.
    box
        y0, x0, y1, x1 in its full-resolution pixels.
    code
        Class: the true one, or that of the false finding.
    confidence
        Of a false finding; of both, that of the new model.
    slide, number
        Of a project: its slide, and the finding that is there; None for other data, 0 where there is no finding.
    """

    kind: str
    path: Path
    scene: str | None
    box: tuple[float, float, float, float]
    code: str
    confidence: float | None = None
    slide: int | None = None
    number: int = 0
    image: int = 0

    @property
    def differs(self) -> bool:
        """Whether only one of the models is wrong."""
        return self.kind not in _BOTH_WRONG

    def document(self) -> dict[str, object]:
        """Values that JSON can store."""
        return {
            "kind": self.kind, "picture": str(self.path), "scene": self.scene,
            "box": [round(side, 2) for side in self.box], "class": self.code, "confidence": self.confidence,
            "slide": self.slide, "finding": self.number or None,
        }  # fmt: skip


def find_wrong_places(
    tallies: Sequence[Tally],
    limits: tuple[float, float],
    data: Dataset,
    iou: float,
    findings: ProjectFindings | None,
) -> list[WrongPlace]:
    """Where the new model is wrong, the old one, or both, by kind and picture by picture.

    Parameters
    ----------
    tallies, limits
        Of the new and of the old model on the images of ``data``: what they found, and from which confidence it counts.
    findings
        Those of the project that the data are from, None for other data.
    """
    found = [tally.found_truth(confidence=limit, iou=iou) for tally, limit in zip(tallies, limits, strict=True)]
    wrong = [tally.false_findings(confidence=limit, iou=iou) for tally, limit in zip(tallies, limits, strict=True)]
    said: list[WrongPlace] = []
    for number, image in enumerate(data.images):
        slide = None if findings is None else findings.slide(image)
        true = [0] * len(image.boxes) if findings is None else findings.true(image, image.boxes).tolist()
        new, old = (flags[number] for flags in found)
        for kind, there in ((ONLY_NEW, new & ~old), (ONLY_OLD, old & ~new), (NONE, ~new & ~old)):
            for index in np.flatnonzero(there).tolist():
                code, box = data.classes[int(image.labels[index])], _box(image.boxes[index])
                said.append(WrongPlace(kind, image.path, image.scene, box, code, None, slide, true[index], number))
        said += _false(wrong, number, data, slide, findings)
    return sorted(said, key=lambda one: KINDS.index(one.kind))


def _false(
    wrong: Sequence[Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]],
    number: int,
    data: Dataset,
    slide: int | None,
    findings: ProjectFindings | None,
) -> list[WrongPlace]:
    """False findings in one picture; those of both models at the same place are one."""
    image, (new, old) = data.images[number], (of_model[number] for of_model in wrong)
    with_new, with_old, _ = overlapping_pairs(new[0], old[0], iou=_SAME_PLACE)
    said = []
    for (boxes, labels, scores), shared, alone in ((new, with_new, FALSE_NEW), (old, with_old, FALSE_OLD)):
        both = np.isin(np.arange(len(boxes)), shared)
        there = [0] * len(boxes) if findings is None else findings.at(image, boxes).tolist()
        for index, box in enumerate(boxes):
            if both[index] and alone == FALSE_OLD:
                continue
            kind, code = FALSE_BOTH if both[index] else alone, data.classes[int(labels[index])]
            score = round(float(scores[index]), 4)
            said.append(WrongPlace(kind, image.path, image.scene, _box(box), code, score, slide, there[index], number))
    return said


def wrong_places_of(stored: Sequence[Mapping[str, Any]], kinds: Collection[str]) -> ListedPlaces:
    """Findings and places of a project that documents of wrong places of some kinds are about."""
    mine = [one for one in stored if one["kind"] in kinds and one.get("slide") is not None]
    spots = [Spot.of_document({**one, "confidence": one["confidence"] or 0.0}) for one in mine if not one["finding"]]
    return ListedPlaces.of((int(one["finding"]) for one in mine if one["finding"]), spots)


def kind_words(kind: str, new: str, old: str) -> str:
    """A kind, or who is right, with the names of the models: ``found by A only``."""
    names = {"new": new, "old": old}
    return " ".join(names.get(word, word) for word in kind.split())


def _box(sides: np.ndarray) -> tuple[float, float, float, float]:
    y0, x0, y1, x1 = (float(side) for side in sides)
    return y0, x0, y1, x1
