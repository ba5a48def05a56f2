"""Watches a folder into which a microscope writes: each new slide is added to a project and scanned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.errors import Cancelled, InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things
from microscope_qc.project import SUFFIX, Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.detection.many import detect_many
from microscope_qc.workflows.intake.adding import IntakePlan, add_slides
from microscope_qc.workflows.intake.finding import find_files
from microscope_qc.workflows.results.report import write_report

if TYPE_CHECKING:
    from microscope_qc.workflows.detection.run import ChosenModel

SETTLED_S = 10.0
"""A file that has not changed for so long is taken for complete."""
MOST_ENTRIES = 20_000
"""So many files of a folder that is a slide are looked at to see whether it still grows."""
_STEP_S = 0.5

Signature = tuple[int, int, int]
"""Files, bytes and the newest time (ns): what changes while something is being written."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of one slide, or of a file that is none: ``findings`` count at the project's confidence limit.

    ``why_not`` is a sentence where it could not be added or scanned, "" where it was.
    """

    name: str
    path: Path
    findings: int | None = None
    seconds: float | None = None
    why_not: str = ""


@dataclass(slots=True)
class WatchedFolder:
    """Everything that was done since the watch began."""

    done: list[Watched] = field(default_factory=list)

    @property
    def failed(self) -> list[Watched]:
        """What could not be added or scanned."""
        return [one for one in self.done if one.why_not]


def watch_folder(
    project: Project,
    folder: Path | str,
    model: str | ChosenModel,
    *,
    report: Path | str | None = None,
    once: bool = False,
    subfolders: bool = True,
    settled_s: float = SETTLED_S,
    device: str = "auto",
    tell: Callable[[Watched], None] = lambda watched: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Job[WatchedFolder]:
    """Add what appears in a folder to a project and scan it, until the job is stopped.

    A file is taken when it has not changed for ``settled_s``; one that cannot be read is named and tried again once it
    has changed. What was interrupted is continued at the next start, what is finished is not repeated.

    Parameters
    ----------
    model
        Name or folder of a model.
    report
        Report of the whole project, written again after each round that found something; its name says of what kind.
        One that cannot be written, because it is open elsewhere for instance, is told, and the watch goes on.
    once
        End when everything that is there now is done.
    tell
        Called with each slide when it is done.
    clock, sleep
        Seconds, and waiting for some.

    Raises
    ------
    InputError
        When there is no such folder, or it cannot be listed.
    ModelError
        When the model cannot be used.
    DetectionFailed
        When nothing can be scanned any more; what was found before is kept.
    """
    root = _require_folder(folder)
    all_done = WatchedFolder()
    growing = _Growing(settled_s, clock)
    first = True

    def note(watched: Watched) -> None:
        all_done.done.append(watched)
        tell(watched)

    def wait(words: str) -> Job[None]:
        return _wait(words, max(_STEP_S, settled_s / 4), clock, sleep)

    while True:
        try:
            found = yield from find_files([root], subfolders=subfolders)
        except MicroscopeQCError:
            if once or root.is_dir():
                raise
            yield from wait(f"waiting for {root}, which is out of reach")  # a drive of the network that is away
            continue
        known = {slide.path for slide in project.slides}
        waiting = [path for path in found.slides if path not in known]
        ready = growing.settled(waiting)
        new: list[SlideRecord] = []
        if ready:
            new = yield from _added(project, ready, note)
        # at the start also what was added before and never finished
        wanted = [slide for slide in project.slides if _is_below(slide, root)] if first else new
        before = len(all_done.done)
        if wanted:
            yield from _scanned(project, wanted, model, device, note, said=[slide.id for slide in new])
        if report is not None and (len(all_done.done) > before or (first and wanted)):
            yield from _reported(project, Path(report), note)
        first = False
        if once and not growing.pending:
            return all_done
        yield from wait(_waiting_words(root, growing.pending, all_done))


def project_of_folder(folder: Path | str, path: Path | str | None = None) -> Project:
    """Open the project that a watched folder is added to, or make it: the folder's name with ``.mqc`` beside it.

    Raises
    ------
    InputError
        When there is no such folder.
    ProjectError
        When the project can be neither opened nor made.
    """
    root = _require_folder(folder)
    named = root.with_name(root.name + SUFFIX) if path is None else Path(path)
    return Project.open(named) if named.exists() else Project.create(named, slides=[])


def _require_folder(folder: Path | str) -> Path:
    root = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 - a link stays a link
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.", hint="Name the folder that the microscope writes into.")
    return root


def _wait(words: str, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> Job[None]:
    until = clock() + seconds
    while clock() < until:
        yield Progress(0, 0, "", words)
        sleep(_STEP_S)


def _reported(project: Project, report: Path, note: Callable[[Watched], None]) -> Job[None]:
    try:
        yield from write_report(project, report)
    except Cancelled:
        raise
    except MicroscopeQCError as error:
        note(Watched(report.name, report, why_not=str(error)))


def _waiting_words(root: Path, pending: int, done: WatchedFolder) -> str:
    still = f"; {things(pending, 'file')} still growing" if pending else ""
    return f"waiting for new slides in {root.name}: {things(len(done.done), 'slide')} so far{still}"


def _is_below(slide: SlideRecord, root: Path) -> bool:
    return not slide.missing and root in slide.path.parents


def _added(project: Project, paths: Sequence[Path], note: Callable[[Watched], None]) -> Job[list[SlideRecord]]:
    """Add files; what cannot be is noted, and the others are added all the same."""
    try:
        result = yield from add_slides(project, paths)
        plan, added = result.plan, result.added
    except Cancelled:
        raise
    except MicroscopeQCError as error:  # nothing of it could be added
        if len(paths) == 1:
            note(Watched(paths[0].name, paths[0], why_not=str(error)))
            return []
        alone: list[SlideRecord] = []
        for path in paths:
            alone += yield from _added(project, [path], note)
        return alone
    for watched in _left_out(plan, paths):
        note(watched)
    return list(added)


def _left_out(plan: IntakePlan, paths: Iterable[Path]) -> list[Watched]:
    named = set(paths)
    left = [Watched(one.path.name, one.path, why_not=one.words) for one in plan.left_out if one.path in named]
    return left + [Watched(same.path.name, same.path, why_not=same.words) for same in plan.same]


def _scanned(
    project: Project, slides: Sequence[SlideRecord], model: str | ChosenModel, device: str,
    note: Callable[[Watched], None], *, said: Sequence[int],
) -> Job[None]:  # fmt: skip
    """Scan slides; what was finished before is told only where it is in ``said``."""
    finished = {run.id for run in project.runs if run.state == "finished"}
    done = yield from detect_many(project, model, slide_ids=[slide.id for slide in slides], device=device)
    for one in done.slides:
        if one.result.run_id not in finished or one.slide.id in said:
            note(Watched(one.slide.name, one.slide.path, one.result.shown, one.result.seconds))
    by_name: Mapping[str, Path] = {slide.name: slide.path for slide in slides}
    for left in done.left_out:
        note(Watched(left.slide, by_name.get(left.slide, Path(left.slide)), why_not=str(left.error)))


class _Growing:
    """Tells files that are complete from those that are still being written."""

    def __init__(self, settled_s: float, clock: Callable[[], float]) -> None:
        self._settled_s, self._clock = settled_s, clock
        self._since: dict[Path, tuple[Signature, float]] = {}
        self._taken: dict[Path, Signature] = {}
        self.pending = 0

    def settled(self, paths: Iterable[Path]) -> list[Path]:
        """Return those that have not changed for long enough; each is returned once, until it changes again."""
        now, ready = self._clock(), []
        self.pending = 0
        for path in paths:
            signature = signature_of(path)
            if signature is None or self._taken.get(path) == signature:
                continue
            last, since = self._since.get(path, (None, now))
            if last != signature:
                since = now
                # a file that was complete long before the watch began need not be waited for
                if last is None and time.time_ns() - signature[2] > self._settled_s * 1e9:
                    since = now - self._settled_s
            self._since[path] = (signature, since)
            if now - since >= self._settled_s:
                self._taken[path] = signature
                del self._since[path]
                ready.append(path)
            else:
                self.pending += 1
        return ready


def signature_of(path: Path) -> Signature | None:
    """Return what changes while a file, or a folder that is a slide, is being written; None when it is gone."""
    files = size = newest = 0
    try:
        every = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        for one in islice(every, MOST_ENTRIES) if path.is_dir() else [path]:
            about = one.stat()
            files, size, newest = files + 1, size + about.st_size, max(newest, about.st_mtime_ns)
    except OSError:
        return None
    return files, size, newest
