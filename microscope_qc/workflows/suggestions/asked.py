"""The child's side of learning while a user judges: features of a slide, a round, and how good it is.

It writes features into the user's cache folder, and what is suggested beside the project's database; it may be killed
at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from microscope_qc.core.jobs import HoldOff, Job, Progress, retold
from microscope_qc.ml.devices import choose_device, use_threads
from microscope_qc.ml.features.embedding import WAITING
from microscope_qc.ml.features.trunk import Trunk
from microscope_qc.project import Project
from microscope_qc.project.suggestions import read_suggestions, write_how_good
from microscope_qc.workflows.intake.changes import require_unchanged_now
from microscope_qc.workflows.suggestions.checking import check_known
from microscope_qc.workflows.suggestions.embedding import embed_slide
from microscope_qc.workflows.suggestions.foretold import replace_suggestions
from microscope_qc.workflows.suggestions.labels import KnownSlide, digest_of, known_slides
from microscope_qc.workflows.suggestions.round import learn, suggestions_on

T = TypeVar("T")


def embed_as_asked(path: Path, slide_id: int, *, hold_off: HoldOff | None = None) -> Job[None]:
    """Compute the features of a slide of a project, as far as they are not there.

    Parameters
    ----------
    hold_off
        It waits as long as this asks for it.

    Raises
    ------
    MicroscopeQCError
        When the project or the slide cannot be read, or something cannot be written.
    """
    yield Progress(0, 0, "", "opening the slide")
    use_threads()
    with Project.open(path, write=False) as project:
        for slide in known_slides(project, slide_ids=[slide_id]):
            if not slide.store.complete:
                yield from _embedded(project, slide, hold_off)


def suggest_as_asked(path: Path, *, first: int | None = None, hold_off: HoldOff | None = None) -> Job[None]:
    """Bring what is suggested on the slides of a project that have features up to date with its labels.

    Parameters
    ----------
    first
        Slide that comes first; its features are computed if need be.
    hold_off
        Computing features waits as long as this asks for it.

    Raises
    ------
    MicroscopeQCError
        When the project or the first slide cannot be read, or something cannot be written.
    """
    yield Progress(0, 0, "", "reading labels")
    use_threads()
    with Project.open(path, write=False) as project:
        known = sorted(known_slides(project), key=lambda slide: slide.record.id != first)
        if known and not known[0].store.complete:
            yield from _embedded(project, known[0], hold_off)
        ready, digest = [slide for slide in known if slide.store.complete], digest_of(known)
        labels = sum(
            len(slide.class_ids) for slide in ready
        )  # those of other slides are learned from when these are read
        if not labels or _is_up_to_date(project, ready, digest):
            return
        learned = yield from _noted(learn(known), f"learning from {labels} labels")
        for slide in ready:
            found = yield from _noted(suggestions_on(slide, learned), f"looking at {slide.record.name}")
            replace_suggestions(project, slide, found)
            slide.store.used()
        good = yield from _noted(check_known(project, known), "finding out how good it is")
        codes = {defect.id: defect.code for defect in project.classes}
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        write_how_good(project.path, good.sentences(codes, judged=False), made=now)


def _is_up_to_date(project: Project, known: Sequence[KnownSlide], digest: str) -> bool:
    said = (read_suggestions(project.path, slide.record) for slide in known)
    return all(found is not None and found.round == digest for found in said)


def _embedded(project: Project, slide: KnownSlide, hold_off: HoldOff | None) -> Job[object]:
    require_unchanged_now(project, slide.record)
    job = embed_slide(slide.record, Trunk(choose_device()), hold_off=hold_off)
    return _noted(job, f"reading {slide.record.name} once")


def _noted(job: Job[T], note: str) -> Job[T]:
    return retold(job, lambda step: replace(step, note=WAITING if step.note == WAITING else note))
