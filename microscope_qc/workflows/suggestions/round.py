"""A round: a head learns from all that is labelled, and what it finds becomes the suggestions on each slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.head import SuggestionHead
from microscope_qc.ml.features.learning import learn_head
from microscope_qc.ml.features.looks import looks_of
from microscope_qc.ml.features.suggesting import find_places
from microscope_qc.project import Project
from microscope_qc.project.suggestions import SuggestionSet
from microscope_qc.workflows.suggestions.foretold import replace_suggestions
from microscope_qc.workflows.suggestions.judging import free_places
from microscope_qc.workflows.suggestions.labels import KnownSlide, digest_of, known_slides

MOST = 2000
"""Suggestions on a slide."""


@dataclass(frozen=True, slots=True)
class LearnedHead:
    """What was learned from the labels of a project."""

    head: SuggestionHead
    classes: LinearClasses
    labels: int
    digest: str


@dataclass(frozen=True, slots=True)
class SuggestedSlide:
    """A slide, and how many places are suggested on it."""

    slide_id: int
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Round:
    """A round: the labels it learned from, what it suggests, and slides that have no features yet."""

    labels: int
    slides: list[SuggestedSlide]
    without: list[str]


def learn(known: Sequence[KnownSlide], *, seed: int = 0) -> Job[LearnedHead]:
    """Learn from all that is labelled on slides with features.

    Raises
    ------
    ModelError
        When nothing is labelled, or no slide has features.
    """
    ready = [slide for slide in known if slide.store.complete]
    if known and not ready:
        raise ModelError("No slide has features yet.", hint="Compute them first (embed on the command line).")
    head = yield from learn_head([slide.lesson for slide in ready], seed=seed)
    looks = [looks_of(slide.store, slide.lesson.boxes) for slide in ready]
    class_ids = np.concatenate([slide.class_ids for slide in ready])
    return LearnedHead(head, LinearClasses(np.concatenate(looks), class_ids), len(class_ids), digest_of(known))


def suggestions_on(slide: KnownSlide, learned: LearnedHead) -> Job[SuggestionSet]:
    """What was learned finds on a slide, without what is a finding already."""
    found = yield from find_places(learned.head, slide.store)
    boxes = np.clip(found.boxes, 0, [*slide.record.shape_px] * 2)
    lesson = slide.lesson
    keep = free_places(boxes, np.concatenate([lesson.boxes, lesson.rejected, lesson.unknown]))[:MOST]
    class_ids, shares = _classified(slide, learned, boxes[keep])
    return SuggestionSet(
        boxes[keep], found.scores[keep], class_ids, shares, learned.digest,
        datetime.now().astimezone().isoformat(timespec="seconds"), learned.labels,
    )  # fmt: skip


def _classified(slide: KnownSlide, learned: LearnedHead, boxes: Floats) -> tuple[Ints, Floats]:
    shares = learned.classes.shares(looks_of(slide.store, boxes)) if len(boxes) else np.zeros((0, 1))
    return learned.classes.labels[shares.argmax(axis=1)], shares.max(axis=1, initial=0.0)


def suggest(
    project: Project, *, slide_ids: Sequence[int] | None = None, first: int | None = None, seed: int = 0
) -> Job[Round]:
    """Do a round on slides with features; what was suggested on them before is replaced.

    Nothing but the suggestions is written, so that a reader of the project may do it.

    Parameters
    ----------
    slide_ids
        Where something is suggested; it is learned from all slides. None takes all.
    first
        Slide that comes first: the one on screen.

    Raises
    ------
    ModelError
        When nothing is labelled, or no slide has features.
    WriteError
        When the disk is full.
    """
    yield Progress(0, 0, "steps", "reading labels")
    known = known_slides(project)
    labels = sum(len(slide.class_ids) for slide in known)
    learned = yield from retold(learn(known, seed=seed), lambda step: _half(step, f"learning from {labels} labels", 0))
    wanted = [slide for slide in known if slide_ids is None or slide.record.id in slide_ids]
    ready = sorted((slide for slide in wanted if slide.store.complete), key=lambda slide: slide.record.id != first)
    done = []
    for number, slide in enumerate(ready):

        def tell(step: Progress, number: int = number) -> Progress:
            return _half(Progress(number + step.fraction, len(ready)), "looking", 1)

        found = yield from retold(suggestions_on(slide, learned), tell)
        replace_suggestions(project, slide, found)
        slide.store.used()
        done.append(SuggestedSlide(slide.record.id, slide.record.name, len(found)))
    return Round(learned.labels, done, [slide.record.name for slide in wanted if not slide.store.complete])


def _half(step: Progress, note: str, half: int) -> Progress:
    return Progress(half + step.fraction, 2, "", note)
