"""Each judgement is scored against the round before it: had that place been suggested, and how surely?

What the user says next is what a learning model is to foresee, so that every judgement is a test of the round before
(Gama, Sebastiao and Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90, 2013: prequential).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.matching import overlapping_pairs
from microscope_qc.project import Project
from microscope_qc.project.suggestions import (
    SuggestionSet,
    read_foretold,
    read_suggestions,
    write_foretold,
    write_suggestions,
)
from microscope_qc.workflows.suggestions.judging import SAME_PLACE
from microscope_qc.workflows.suggestions.keeping import CONFIDENCE
from microscope_qc.workflows.suggestions.labels import KnownSlide

LAST = 50
"""Of so many judgements it is told, the last ones: it learns with each."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """Of the last judgements that came after a round: how many it had foreseen.

    ``found`` of ``defects`` had been suggested with a confidence of at least 0.3, and so had ``wrong`` of what was
    rejected.
    """

    defects: int = 0
    found: int = 0
    wrong: int = 0


def replace_suggestions(project: Project, slide: KnownSlide, found: SuggestionSet) -> None:
    """Replace what is suggested on a slide; before, score what was judged since against it.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    scored = read_foretold(project.path)
    boxes = np.concatenate([slide.lesson.boxes, slide.lesson.rejected])
    numbers = np.concatenate([slide.numbers, slide.rejected_numbers])
    new = np.array([number not in scored for number in numbers.tolist()], bool)
    if new.any():
        before = read_suggestions(project.path, slide.record)
        scores = _scores_at(boxes[new], before)
        order = np.argsort(numbers[new], kind="stable")
        told = {int(numbers[new][row]): None if scores is None else float(scores[row]) for row in order}
        write_foretold(project.path, scored | told)
    write_suggestions(project.path, slide.record, found)


def _scores_at(boxes: Floats, before: SuggestionSet | None) -> Floats | None:
    """The score of the surest suggestion at each of some boxes, 0 where there is none; None before the first round."""
    if before is None:
        return None
    scores = np.zeros(len(boxes))
    mine, theirs = overlapping_pairs(boxes, before.boxes, iou=SAME_PLACE)[:2]
    np.maximum.at(scores, mine, before.scores[theirs])
    return scores


def foretold_by_rounds(project: Project, known: Sequence[KnownSlide], *, last: int = LAST) -> Foretold:
    """How many of the last judgements had been foreseen; those that were taken back do not count."""
    scored = read_foretold(project.path)
    right = {number for slide in known for number in slide.numbers.tolist()}
    wrong = {number for slide in known for number in slide.rejected_numbers.tolist()}
    judged = [
        (number in right, score >= CONFIDENCE)
        for number, score in scored.items()
        if score is not None and (number in right or number in wrong)
    ][-last:]
    return Foretold(
        sum(is_defect for is_defect, _ in judged),
        sum(is_defect and said for is_defect, said in judged),
        sum(not is_defect and said for is_defect, said in judged),
    )
