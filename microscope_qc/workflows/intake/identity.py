"""Reads slides whole, so that each is known by its content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path

from microscope_qc.core.errors import SlideError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project.identity import format_of
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import SceneFacts, read_known
from microscope_qc.slides.content import content_of

LOCATED_BYTES = 4 << 30
"""A slide up to this size is read whole before it is taken for one that was lost."""

_LONGEST_PAUSE_S = 0.5


def read_contents(slides: Iterable[SlideRecord], *, idle: bool = False) -> Job[dict[int, str]]:
    """Read slides whole; their contents by id, without those that cannot be read.

    Parameters
    ----------
    idle
        Rest as long as was worked, so that disk and processor are there for others.
    """
    by_path: dict[Path, list[SlideRecord]] = {}
    for slide in slides:
        if not slide.missing:
            by_path.setdefault(slide.path, []).append(slide)
    found: dict[int, str] = {}
    for done, (path, scenes) in enumerate(by_path.items()):
        note = f"{path.name} ({done + 1} of {len(by_path)})" if len(by_path) > 1 else path.name
        try:
            content = yield from _noted(content_of(path), note, rest=_rest if idle else None)
        except SlideError:
            continue
        found.update((scene.id, content) for scene in scenes)
    return found


def located_facts(slide: SlideRecord, path: Path) -> Job[SceneFacts]:
    """Return what is stored about a file that may be a lost slide; up to 4 GB are read whole where that decides.

    Raises
    ------
    SlideError
        When it cannot be opened.
    """
    yield Progress(0, 0, "", f"Reading {path.name}")
    facts = read_known(slide, path)
    decides = slide.content and not facts.content and format_of(slide.path) == format_of(facts.path)
    if decides and facts.fingerprint == slide.fingerprint and path.is_file() and path.stat().st_size <= LOCATED_BYTES:
        content = yield from _noted(content_of(path), f"Comparing {path.name} with what is known of {slide.name}")
        return replace(facts, content=content)
    return facts


def without_content(slides: Sequence[SlideRecord], *, most: int, but: Set[tuple[int, Path]]) -> list[SlideRecord]:
    """Return the first ``most`` slides that were not read whole yet, but not those in ``but``, by id and path."""
    found: list[SlideRecord] = []
    for slide in slides:
        if not slide.content and not slide.missing and (slide.id, slide.path) not in but:
            found.append(slide)
            if len(found) == most:
                break
    return found


def _noted(job: Job[str], note: str, *, rest: Callable[[float], object] | None = None) -> Job[str]:
    """Say with every step what is being read."""
    try:
        while True:
            began = time.perf_counter()
            step = next(job)
            if rest is not None:
                rest(time.perf_counter() - began)
            yield replace(step, note=note)
    except StopIteration as stop:
        return str(stop.value)
    finally:
        job.close()


def _rest(seconds: float) -> None:
    time.sleep(min(seconds, _LONGEST_PAUSE_S))
