"""A round: a head learns from all that is labelled, and what it finds becomes the suggestions on each slide."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.fitting import BoxFit, FitLesson, learn_fit
from microscope_qc.ml.features.head import SuggestionHead
from microscope_qc.ml.features.learning import learn_with_left_out
from microscope_qc.ml.features.looks import looks_of
from microscope_qc.ml.features.suggesting import find_places
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.suggestions import SuggestionSet
from microscope_qc.slides import Mosaic
from microscope_qc.slides.plane_choice import default_plane
from microscope_qc.workflows.scenes import open_scene
from microscope_qc.workflows.suggestions.foretold import replace_suggestions
from microscope_qc.workflows.suggestions.judging import free_places
from microscope_qc.workflows.suggestions.labels import KnownSlide, digest_of, known_slides

MOST = 2000
"""Suggestions on a slide."""


@dataclass(frozen=True, slots=True)
class LearnedHead:
    """What was learned from the labels of a project."""

    head: SuggestionHead
    fit: BoxFit | None
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

    def tell(step: Progress, start: float) -> Progress:
        return replace(step, done=start + step.fraction / 2, total=1, unit="")

    known_head = learn_with_left_out([slide.lesson for slide in ready], seed=seed)
    learned = yield from retold(known_head, lambda step: tell(step, 0.0))
    lessons = [
        FitLesson(slide.lesson.boxes, left_out, partial(_opened, slide.record))
        for slide, left_out in zip(ready, learned.left_out, strict=True)
    ]
    fit = yield from retold(learn_fit(lessons, seed=seed), lambda step: tell(step, 0.5))
    looks = [looks_of(slide.store, slide.lesson.boxes) for slide in ready]
    class_ids = np.concatenate([slide.class_ids for slide in ready])
    classes = LinearClasses(np.concatenate(looks), class_ids)
    return LearnedHead(learned.head, fit, classes, len(class_ids), digest_of(known))


@contextlib.contextmanager
def _opened(record: SlideRecord) -> Iterator[Mosaic]:
    """A slide as its features were computed."""
    with open_scene(record) as whole:
        yield whole.on(default_plane(whole))


def suggestions_on(slide: KnownSlide, learned: LearnedHead) -> Job[SuggestionSet]:
    """What was learned finds on a slide, without what is a finding already."""
    with _opened(slide.record) if learned.fit else contextlib.nullcontext() as mosaic:
        fit = partial(learned.fit.fitted, mosaic) if learned.fit and mosaic else None
        found = yield from find_places(learned.head, slide.store, fit=fit)
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
