"""Whether the files of a project's slides are still those that its findings were made on.

Size and time of a file are compared at every use. Where they differ from what was noted its content decides, and that
is noted with the new size and time, so that no file is read twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ChangedSlideError, SlideError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text
from microscope_qc.project import Project
from microscope_qc.project.identity import hold_the_same
from microscope_qc.project.records import LogEntry, SlideRecord
from microscope_qc.project.scenes import SceneFacts, read_known
from microscope_qc.workflows.intake.identity import located_facts

NAMED = 5
"""A sentence names so many slides at most."""

_LONGEST_PAUSE_S = 0.5
_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zmetadata")
"""What a folder of a slide is known by; its pixels lie in thousands of files."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What was found out about the file of a slide.

    Attributes
    ----------
    stamp
        Size and time of the file when it was compared with the slide.
    fingerprint, content
        Those of the slide that it was compared with.
    changed
        Whether it held something else.
    """

    stamp: tuple[int, int]
    fingerprint: str
    content: str
    changed: bool = False

    @classmethod
    def of(cls, slide: SlideRecord, stamp: tuple[int, int], *, changed: bool = False) -> FileState:
        """What is known of a file after it was compared with a slide."""
        return cls(stamp, slide.fingerprint, slide.content, changed)

    def is_about(self, slide: SlideRecord) -> bool:
        """Whether the slide is still the same: another file may have been accepted, and that be undone."""
        return self.fingerprint == slide.fingerprint and self.content in ("", slide.content)


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in ns of a slide's file, or of what describes its folder; None without one."""
    try:
        about = path.stat()
        parts = [path / name for name in _METADATA] if path.is_dir() else []
        found = [part.stat() for part in parts if part.exists()] or [about]
    except (OSError, ValueError):
        return None
    return sum(part.st_size for part in found), max(part.st_mtime_ns for part in found)


def known_state(project: Project, slide_id: int) -> FileState | None:
    """What was noted of a slide's file; None where it was never compared."""
    return _state_from(project.settings.get(_key(slide_id)))


def is_changed(project: Project, slide: SlideRecord) -> bool:
    """Whether the file is known to hold something else than the findings were made on; asks no disk."""
    state = known_state(project, slide.id)
    return state is not None and state.is_about(slide) and state.changed and not slide.missing


def compare(
    slides: Iterable[SlideRecord], known: Mapping[int, FileState | None], *, idle: bool = False
) -> Job[dict[int, FileState]]:
    """Compare files with their slides, as far as size and time say that this is due; return what is new.

    In any thread: it does not touch the project. Files that are missing or cannot be read are left out. With ``idle``
    it rests as long as it worked, so that disk and processor are there for others.
    """
    slides = [slide for slide in slides if not slide.missing]
    found: dict[int, FileState] = {}
    for done, slide in enumerate(slides):
        yield Progress(done, len(slides), "slides", f"Comparing {slide.name}")
        stamp, before = file_stamp(slide.path), known.get(slide.id)
        if stamp is None or (before is not None and before.stamp == stamp and before.is_about(slide)):
            continue
        began = time.perf_counter()
        try:
            facts = yield from located_facts(slide, slide.path)
        except SlideError:
            continue
        if idle:
            time.sleep(min(time.perf_counter() - began, _LONGEST_PAUSE_S))
        same = hold_the_same(slide, facts) and facts.shape_px == slide.shape_px
        found[slide.id] = FileState.of(slide, stamp, changed=not same)
    return found


def note(project: Project, found: Mapping[int, FileState]) -> bool:
    """Keep what was found out; whether a slide is now known to have changed, or to be as it was again.

    In a project that is open for reading it is kept in memory.
    """
    before = {number: known_state(project, number) for number in found}
    project.settings.keep({_key(number): asdict(state) for number, state in found.items()})
    return any(state.changed != (known is not None and known.changed) for known, state in zip(
        before.values(), found.values(), strict=True
    ))  # fmt: skip


def note_as_added(project: Project, slides: Iterable[SlideRecord]) -> None:
    """Note the files of slides that were read just now."""
    stamps = [(slide, file_stamp(slide.path)) for slide in slides]
    note(project, {slide.id: FileState.of(slide, stamp) for slide, stamp in stamps if stamp is not None})


def changed_slides(project: Project, slide_ids: Collection[int] | None = None) -> Job[list[SlideRecord]]:
    """Return the slides whose files hold something else than their findings were made on: of all, or of some."""
    slides = [slide for slide in project.slides if slide_ids is None or slide.id in slide_ids]
    found = yield from compare(slides, {slide.id: known_state(project, slide.id) for slide in slides})
    note(project, found)
    return [slide for slide in slides if is_changed(project, slide)]


def require_unchanged(project: Project, slide_ids: Collection[int] | None = None) -> Job[None]:
    """Refuse to go on with slides that have changed, see :func:`changed_slides`.

    Raises
    ------
    ChangedSlideError
        It names them.
    """
    changed = yield from changed_slides(project, slide_ids)
    if changed:
        raise _changed_error(project, changed)


def require_unchanged_now(project: Project, slide: SlideRecord) -> SlideRecord:
    """As :func:`require_unchanged`, for one slide, which it returns, and at once: large files by samples only.

    Raises
    ------
    ChangedSlideError
        When it holds something else.
    """
    stamp, before = file_stamp(slide.path), known_state(project, slide.id)
    if stamp is not None and (before is None or before.stamp != stamp or not before.is_about(slide)):
        try:
            facts = read_known(slide, slide.path)
        except SlideError:
            return slide  # whoever opens it says why
        if hold_the_same(slide, facts) and facts.shape_px == slide.shape_px:
            return slide
        note(project, {slide.id: FileState.of(slide, stamp, changed=True)})
    if is_changed(project, slide):
        raise _changed_error(project, [slide])
    return slide


def accept(project: Project, slide_id: int) -> Job[LogEntry | None]:
    """Take the file that is there now for the slide (one step of undo); its findings are of an earlier version then.

    Raises
    ------
    SlideError
        When it cannot be opened.
    """
    facts = yield from facts_of_changed([project.slides.by_id(slide_id)])
    return accept_facts(project, slide_id, facts[slide_id])


def facts_of_changed(slides: Iterable[SlideRecord]) -> Job[dict[int, SceneFacts]]:
    """Read what the files of slides hold now, in any thread.

    Raises
    ------
    SlideError
        When one cannot be opened.
    """
    found = {}
    for slide in slides:
        found[slide.id] = yield from located_facts(slide, slide.path)
    return found


def accept_facts(project: Project, slide_id: int, facts: SceneFacts) -> LogEntry | None:
    """As :func:`accept`, with what was read by :func:`facts_of_changed`."""
    slide = project.slides.by_id(slide_id)
    stamp = file_stamp(slide.path)
    rows = project.boxes.table(slide_id).rows
    newest = int(rows["id"].max()) if len(rows) else 0
    versions = [*_versions(project, slide_id), [slide.fingerprint, slide.content, newest]]
    project.settings.set(_versions_key(slide_id), versions)  # undone, the slide has this version again
    entry = project.slides.accept(slide_id, facts)
    if stamp is not None:
        note(project, {slide_id: FileState.of(project.slides.by_id(slide_id), stamp)})
    return entry


def last_earlier_finding(project: Project, slide: SlideRecord) -> int:
    """Number of the last finding that was made on an earlier version of a slide; 0 where there is none."""
    if is_changed(project, slide):
        rows = project.boxes.table(slide.id).rows
        return int(rows["id"].max()) if len(rows) else 0
    present = [slide.fingerprint, slide.content]
    return max((version[2] for version in _versions(project, slide.id) if version[:2] != present), default=0)


def changed_words(slides: Sequence[SlideRecord]) -> str:
    """A sentence about slides that have changed."""
    names = ", ".join(slide.name for slide in slides[:NAMED])
    more = f" and {count_text(len(slides) - NAMED)} more" if len(slides) > NAMED else ""
    if len(slides) == 1:
        return f"The file of the slide {names} has changed since its findings were made."
    return f"The files of the slides {names}{more} have changed since their findings were made."


def _changed_error(project: Project, slides: Sequence[SlideRecord]) -> ChangedSlideError:
    name = slides[0].name
    return ChangedSlideError(
        changed_words(slides),
        hint="Compare them. Then put the earlier file back, or accept the new one: in the window with Slide, Accept the"
        f" changed file, or with “microscope-qc slides {os.fspath(project.path.name)} accept {name}”.",
        slide_ids=tuple(slide.id for slide in slides),
    )


def _versions_key(slide_id: int) -> str:
    return f"versions:{slide_id}"


def _versions(project: Project, slide_id: int) -> list[Any]:
    """Earlier versions of a slide: fingerprint, content, number of the last finding."""
    stored = project.settings.get(_versions_key(slide_id), [])
    return [
        version
        for version in (stored if isinstance(stored, list) else [])
        if isinstance(version, list) and len(version) == 3 and isinstance(version[2], int)
    ]


def _key(slide_id: int) -> str:
    return f"file:{slide_id}"


def _state_from(stored: Any) -> FileState | None:
    try:
        size, time = stored["stamp"]
        return FileState(
            (int(size), int(time)), str(stored["fingerprint"]), str(stored["content"]), bool(stored["changed"])
        )
    except (TypeError, ValueError, KeyError, OverflowError):
        return None
