"""How good the learning model is so far: on labels that were left out, and on suggestions that were judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from microscope_qc.analysis.shares import pooled_share
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.core.matching import match_by_score
from microscope_qc.core.wording import percent_text, things
from microscope_qc.ml.features.grid import FINE
from microscope_qc.project import Project
from microscope_qc.workflows.suggestions.foretold import Foretold, foretold_by_rounds
from microscope_qc.workflows.suggestions.judging import judged_suggestions
from microscope_qc.workflows.suggestions.labels import KnownSlide, known_slides
from microscope_qc.workflows.suggestions.round import learn, suggestions_on
from microscope_qc.workflows.suggestions.so_far import LEAST, wanted_words

FOLDS = 3
BLOCK_CELLS, BLOCKS = 64, 6
"""Side of a place in cells of stride 16, at most: so many places lie side by side. Its labels are left out together."""
_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Recovered:
    """Labels that were left out in turn: how many, how many were found again, and how many of them with their class.

    ``of_class`` has found and all by the number of the class.
    """

    of: int = 0
    found: int = 0
    right_class: int = 0
    of_class: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def recovered(known: Sequence[KnownSlide], *, folds: int = FOLDS, seed: int = 0) -> Job[Recovered]:
    """Leave out the labels of some places, learn from the others, and look for those; in turn for all places."""
    ready = [slide for slide in known if slide.store.complete]
    parts = _folds(ready, folds, seed=seed)
    found, right, of = Counter[int](), 0, Counter[int]()
    for number in range(folds):

        def tell(step: Progress, number: int = number) -> Progress:
            return Progress(number + step.fraction, folds, "", "finding out how good it is")

        without = [_left_out(slide, part == number) for slide, part in zip(ready, parts, strict=True)]
        if not any(len(slide.class_ids) for slide in without):
            continue
        learned = yield from retold(learn(without, seed=seed), tell)
        for slide, part, rest in zip(ready, parts, without, strict=True):
            held = np.flatnonzero(part == number)
            if not len(held):
                continue
            # what was left out may be suggested
            free = replace(rest, lesson=replace(rest.lesson, unknown=slide.lesson.unknown))
            said = yield from retold(suggestions_on(free, learned), tell)
            mine, theirs = match_by_score(said.boxes, said.scores, slide.lesson.boxes[held], iou=_IOU)
            true = slide.class_ids[held]
            of.update(true.tolist())
            found.update(true[theirs].tolist())
            right += int((said.class_ids[mine] == true[theirs]).sum())
    each = {number: (found[number], of[number]) for number in sorted(of)}
    return Recovered(of.total(), found.total(), right, each)


def _folds(known: Sequence[KnownSlide], folds: int, *, seed: int) -> list[Ints]:
    """A fold for every label; those of one place have the same, and all folds have nearly as many."""
    places = []
    for slide in known:
        cells = slide.store.grid.from_slide(slide.lesson.boxes, stride=FINE)
        side = max(1, min(BLOCK_CELLS, max(slide.store.grid.shape) // BLOCKS))
        blocks = (cells[:, :2] + cells[:, 2:]) / 2 // side
        places.append([(slide.record.id, *block) for block in blocks.tolist()])
    sizes = Counter(place for of in places for place in of)
    order = list(sizes)
    np.random.default_rng(seed).shuffle(order)
    filled, fold_of = [0] * folds, {}
    for place in sorted(order, key=lambda place: -sizes[place]):
        fold = filled.index(min(filled))
        fold_of[place] = fold
        filled[fold] += sizes[place]
    return [np.array([fold_of[place] for place in of], np.int64) for of in places]


def _left_out(slide: KnownSlide, held: np.ndarray) -> KnownSlide:
    """A slide of which some labels are not known to be anything."""
    lesson = slide.lesson
    rest = replace(
        lesson, boxes=lesson.boxes[~held], unknown=np.concatenate([lesson.unknown, lesson.boxes[held]]), complete=None
    )
    return replace(slide, lesson=rest, class_ids=slide.class_ids[~held], numbers=slide.numbers[~held])


@dataclass(frozen=True, slots=True)
class HowGood:
    """How good it is: what was found again of what was left out, and what the user made of what was suggested.

    ``of_class`` has the labels by the number of the class.
    """

    labels: int
    recovered: Recovered
    judged: int
    confirmed: int
    of_class: Mapping[int, int] = field(default_factory=dict)
    foretold: Foretold = field(default_factory=Foretold)

    def document(self, codes: Mapping[int, str]) -> dict[str, Any]:
        """Values that JSON can store; shares are missing where there is too little to say."""
        again = self.recovered
        return {
            "labels": self.labels, "left_out": again.of, "found_again": again.found, "right_class": again.right_class,
            "classes": {
                codes[number]: {"found_again": found, "left_out": of}
                for number, (found, of) in again.of_class.items()
                if number in codes
            },
            "judged": self.judged, "confirmed": self.confirmed,
            "foretold": {"defects": self.foretold.defects, "found": self.foretold.found, "wrong": self.foretold.wrong,
                         "recall": _share_document(self.foretold.found, self.foretold.defects)},
            "recall": _share_document(again.found, again.of), "precision": _share_document(self.confirmed, self.judged),
        }  # fmt: skip

    def sentences(self, codes: Mapping[int, str], *, judged: bool = True) -> list[str]:
        """For the user; ``codes`` are those of classes by their numbers.

        ``judged=False`` leaves out what was judged, where that is said as it is at the moment.
        """
        said = [_judged_words(self.confirmed, self.judged)] if judged else []
        if judged or self.foretold.defects >= LEAST:
            said.insert(0, _foretold_words(self.foretold))
        wanted = [words for words in (wanted_words(self.of_class, codes),) if words]
        if self.recovered.of < LEAST:
            return [
                f"Learned from {things(self.labels, 'label')}: too few to say how good it is.",
                *said,
                *wanted,
            ]
        again = _share_words(self.recovered.found, self.recovered.of)
        said.insert(
            0,
            f"Of {things(self.recovered.of, 'label')} left out in turn it found {self.recovered.found} again "
            f"({again}), {self.recovered.right_class} of them with their class.",
        )
        weakest = [
            f"{codes[number]} {found} of {of}"
            for number, (found, of) in sorted(self.recovered.of_class.items(), key=lambda item: item[1][0] / item[1][1])
            if number in codes
        ]
        by_class = f"By class: {', '.join(weakest)}." if weakest else ""
        return [*said, *([by_class] if by_class else []), *wanted]


def check_project(project: Project, *, slide_ids: Sequence[int] | None = None, seed: int = 0) -> Job[HowGood]:
    """Find out how good it is on the slides of a project that have features; under 8 labels nothing is learned.

    Raises
    ------
    ModelError
        When no slide has features.
    """
    yield Progress(0, 0, "", "reading labels")
    known = known_slides(project, slide_ids=slide_ids)
    return (yield from check_known(project, known, seed=seed))


def check_known(project: Project, known: Sequence[KnownSlide], *, seed: int = 0) -> Job[HowGood]:
    """As :func:`check_project`, with what is known of its slides."""
    labels = sum(len(slide.class_ids) for slide in known)
    again = Recovered() if labels < LEAST else (yield from recovered(known, seed=seed))
    states = judged_suggestions(project)
    confirmed = sum(state == ReviewState.CONFIRMED for state in states)
    of_class = Counter[int]()
    for slide in known:
        of_class.update(slide.class_ids.tolist())
    return HowGood(labels, again, len(states), confirmed, of_class, foretold_by_rounds(project, known))


def _foretold_words(foretold: Foretold) -> str:
    if foretold.defects < LEAST:
        return f"{things(foretold.defects, 'defect')} labelled since the first round: too few to say what it foresees."
    share = _share_words(foretold.found, foretold.defects)
    return (
        f"Of the last {foretold.defects} defects that were labelled the round before had suggested {foretold.found} "
        f"({share})."
    )


def _judged_words(confirmed: int, judged: int) -> str:
    if judged < LEAST:
        return f"{things(judged, 'suggestion')} judged: too few to say how many are right."
    return f"Of {judged} suggestions that were judged {confirmed} were right ({_share_words(confirmed, judged)})."


def _share_document(count: int, of: int) -> dict[str, Any] | None:
    share = pooled_share([count], [of]) if of >= LEAST else None
    return None if share is None else {"value": share.value, "interval": [*share.interval]}


def _share_words(count: int, of: int) -> str:
    share = pooled_share([count], [of])
    assert share is not None
    low, high = share.interval
    return f"{percent_text(share.value)}, between {percent_text(low)} and {percent_text(high)}"
