"""Adds slides to a project, one or ten thousand, as one job and one step of undo."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from microscope_qc.core.defect_class import LI_ION_CLASSES, DefectClass
from microscope_qc.core.errors import InputError, MicroscopeQCError, SlideError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.identity import KnownSlides, hold_the_same
from microscope_qc.project.project import require_free
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import SceneFacts, read_known
from microscope_qc.slides.content import content_of
from microscope_qc.workflows.intake.changes import note_as_added
from microscope_qc.workflows.intake.finding import LeftOutFile, Reason, find_files
from microscope_qc.workflows.intake.reading import CHILDREN, Outcome, ReadingChildren, Wanted, read_file

THREADS = 2
"""Files are read by so many threads: one waits for the disk while another decodes."""

MANY = 200
"""So many files are read by child processes, which take a second to begin."""


@dataclass(frozen=True, slots=True)
class SamePicture:
    """A slide that holds the same as another one, which is named by ``other``."""

    path: Path
    other: Path
    scenes: tuple[SceneFacts, ...]

    @property
    def words(self) -> str:
        """A sentence that names both."""
        mine, other = _told_apart(self.path, self.other)
        return f"{mine} is the same picture as {other}."


@dataclass(slots=True)
class IntakePlan:
    """What is to be added: read from the files, not written yet.

    ``there`` counts files that are in the project already; ``contents`` are those of its slides that had to be read.
    """

    files: list[list[SceneFacts]] = field(default_factory=list)
    same: list[SamePicture] = field(default_factory=list)
    left_out: list[LeftOutFile] = field(default_factory=list)
    there: int = 0
    contents: dict[int, str] = field(default_factory=dict)

    def chosen(self, *, again: bool) -> list[Sequence[SceneFacts]]:
        """The scenes of each file to be added; ``again``: those of identical pictures as well."""
        return [*self.files, *((same.scenes for same in self.same) if again else ())]


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """Slides that were added, and what was not."""

    added: list[SlideRecord]
    plan: IntakePlan


def plan_intake(
    named: Sequence[Path | str],
    slides: Sequence[SlideRecord] = (),
    *,
    masks: bool = False,
    subfolders: bool = True,
    scene: str | None = None,
) -> Job[IntakePlan]:
    """Find and read what is to be added; may run in any thread.

    Parameters
    ----------
    named
        See :func:`~microscope_qc.workflows.intake.finding.find_files`, also for ``masks`` and ``subfolders``.
    slides
        Those of the project.
    scene
        Only the scene of this name.

    Raises
    ------
    InputError, SlideError
        When there is nothing of a name, when a single file is named that cannot be read, or when nothing can be added
        and nothing is there already.
    """
    found = yield from find_files(named, masks=masks, subfolders=subfolders)
    plan = IntakePlan(left_out=found.left_out)
    known = KnownSlides[SlideRecord | SceneFacts](slides)

    wanted = [Wanted(path, path in found.doubtful, scene) for path in found.slides]
    yield from _read_all(wanted, lambda outcome: _sort_in(plan, known, outcome))
    if len(wanted) == 1 and not (plan.files or plan.same or plan.there) and len(plan.left_out) == 1:
        raise SlideError(plan.left_out[0].words)
    plan.left_out.sort(key=lambda left: left.reason == Reason.HIDDEN)  # what cannot be read is named before these
    if named and not (plan.files or plan.same or plan.there):
        raise _nothing(named, plan)
    return plan


def add_slides(
    project: Project,
    named: Sequence[Path | str],
    *,
    again: bool = False,
    masks: bool = False,
    subfolders: bool = True,
    scene: str | None = None,
) -> Job[IntakeResult]:
    """Add slides in one step of undo: all of them, or when it is stopped before its end none.

    Parameters
    ----------
    again
        Add pictures that are the same as others, too.
    named, masks, subfolders, scene
        As in :func:`plan_intake`, also for errors.
    """
    plan = yield from plan_intake(named, project.slides, masks=masks, subfolders=subfolders, scene=scene)
    project.slides.note_contents(plan.contents)  # first: they tell slides apart
    added = project.slides.add_many(plan.chosen(again=again), again=again)
    note_as_added(project, added)
    return IntakeResult(added, plan)


def make_project(
    path: Path | str,
    named: Sequence[Path | str],
    *,
    classes: Sequence[DefectClass] = LI_ION_CLASSES,
    program: str = "command",
    again: bool = False,
    masks: bool = False,
    subfolders: bool = True,
) -> Job[tuple[Project, IntakePlan]]:
    """Make a project for slides and open it; nothing is made when it is stopped while they are read.

    Raises
    ------
    ProjectError
        When something of this name exists already, or the folder cannot be written.
    InputError, SlideError
        As in :func:`plan_intake`.
    """
    require_free(path)
    plan = yield from plan_intake(named, masks=masks, subfolders=subfolders)
    project = Project.create(path, classes=classes, program=program)
    try:
        note_as_added(project, project.slides.add_many(plan.chosen(again=again), again=again, kind="made"))
    except BaseException:
        project.close()
        raise
    return project, plan


def _read_all(wanted: Sequence[Wanted], take: Callable[[Outcome], Iterable[Progress]]) -> Job[None]:
    """Read files, and take what was read in their order."""
    many = len(wanted) >= MANY
    children = ReadingChildren()
    read = children.read if many else read_file
    workers = CHILDREN if many else THREADS
    pool = ThreadPoolExecutor(workers, thread_name_prefix="intake")
    waiting: deque[Future[Outcome]] = deque()
    try:
        left = iter(wanted)
        for done in range(len(wanted)):
            yield Progress(done, len(wanted), "files", "Reading slides")
            while len(waiting) < 4 * workers and (file := next(left, None)) is not None:
                waiting.append(pool.submit(read, file))
            yield from take(waiting.popleft().result())
        yield Progress(len(wanted), len(wanted), "files", "Reading slides")
    finally:
        for future in waiting:
            future.cancel()
        children.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _sort_in(plan: IntakePlan, known: KnownSlides[SlideRecord | SceneFacts], read: Outcome) -> Iterable[Progress]:
    """Decide what becomes of one file."""
    if isinstance(read, LeftOutFile):
        plan.left_out.append(read)
        return
    read = [_as_known(known.at(scene), scene) for scene in read]
    path = read[0].path
    changed = [scene for scene in read if (there := known.at(scene)) is not None and not hold_the_same(there, scene)]
    if changed:
        words = f"{path.name} has changed since it was added. Remove the slide first to add it as it is now."
        plan.left_out.append(LeftOutFile(path, Reason.CHANGED, words))
        return
    scenes = [scene for scene in read if known.at(scene) is None]
    if not scenes:
        plan.there += 1
        return
    scenes = yield from _settled(plan, known, scenes)
    other = known.like(scenes[0])
    if other is not None and not getattr(other, "missing", False):
        plan.same.append(SamePicture(path, other.path, tuple(scenes)))
        return
    plan.files.append(scenes)
    for scene in scenes:
        known.add(scene)


def _as_known(there: SlideRecord | SceneFacts | None, scene: SceneFacts) -> SceneFacts:
    """A scene with its pixels turned as those of the slide that was added from its place."""
    return scene if there is None or there.orientation == scene.orientation else read_known(there, scene.path)


def _settled(
    plan: IntakePlan, known: KnownSlides[SlideRecord | SceneFacts], scenes: list[SceneFacts]
) -> Generator[Progress, None, list[SceneFacts]]:
    """Read two files of one fingerprint whole where their contents must say whether they are the same."""
    other = known.in_doubt(scenes[0])
    if other is None or getattr(other, "missing", False):
        return scenes
    mine, name = scenes[0], _told_apart(scenes[0].path, other.path)
    content = mine.content or (yield from _read_whole(mine.path, f"Comparing {name[0]} with {name[1]}"))
    if not other.content:
        theirs = yield from _read_whole(other.path, f"Comparing {name[0]} with {name[1]}")
        if isinstance(other, SlideRecord):
            plan.contents[other.id] = theirs
        known.learn(other, replace(other, content=theirs))
    return [replace(scene, content=content) for scene in scenes]


def _read_whole(path: Path, note: str) -> Generator[Progress, None, str]:
    job = content_of(path)
    try:
        while True:
            step = next(job)
            yield replace(step, note=note)
    except StopIteration as stop:
        return str(stop.value)
    except MicroscopeQCError:
        return ""  # the first look must do
    finally:
        job.close()


def _told_apart(first: Path, second: Path) -> tuple[str, str]:
    """Two file names, with their folders where they are alike."""
    if first.name != second.name:
        return first.name, second.name
    return os.path.join(*first.parts[-2:]), os.path.join(*second.parts[-2:])  # noqa: PTH118 - names to be read


def _nothing(named: Sequence[Path | str], plan: IntakePlan) -> InputError:
    what = str(named[0]) if len(named) == 1 else "What was chosen"
    masks = sum(left.reason == Reason.MASK for left in plan.left_out)
    reasons = [left.words for left in plan.left_out if left.reason in (Reason.UNREADABLE, Reason.CHANGED)]
    if masks:
        reasons.insert(0, f"{masks} of its pictures look like masks of others.")
    labels = sum(left.reason == Reason.LABELS for left in plan.left_out)
    if labels:
        reasons.insert(0, f"{things(labels, 'file')} of it may be annotations: import them into a project of slides.")
    return InputError(f"{what} holds no slide that can be read.", hint=" ".join(reasons[:3]))
