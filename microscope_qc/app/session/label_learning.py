"""Learning from the labels of the open project while a user judges: the switch, and what runs because of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.jobs import JobState
from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.base.signals import link
from microscope_qc.core.arrays import Ints
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.project.suggestions import (
    SuggestionSet,
    is_half_kept,
    read_how_good,
    read_suggestions,
    suggestions_stamp,
)
from microscope_qc.workflows.suggestions.following import WorkerLost, follow_embedding, follow_round
from microscope_qc.workflows.suggestions.judging import free_indices

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.app.session.suggested import Suggested
    from microscope_qc.core.boxes import BoxChange
    from microscope_qc.project.records import SlideRecord

SETTING = "learn_from_labels"
JUDGEMENTS = 5
"""A round starts after so many,"""
QUIET_MS = 10_000
"""or when nothing was judged for so long."""
LOOK_MS = 500
MOST_CANCELLED = 2
"""So often in a row a round gives way to a newer one; then one is done, or a quick user would never see any."""

Follow = Callable[..., Job[Any]]


@dataclass(frozen=True, slots=True)
class _Read:
    """What lies in the files, and for which slide."""

    slide_id: int
    stamp: tuple[int, int]
    found: SuggestionSet
    places: Ints
    how_good: tuple[list[str], str]


class LabelLearning(QObject):
    """Has slides looked at once, and a round done when there is something new to learn.

    ``changed`` is sent when anything about it is new.

    Attributes
    ----------
    paused
        Whether the user has stopped it for now.
    failed
        Why it has stopped, for the user; "" while it has not.
    left_out
        Why some slides cannot be looked at, by the number of the slide.
    how_good
        Sentences of how good it is, and when they were found out.
    """

    changed = Signal()

    def __init__(
        self, session: SessionState, jobs: JobRunner, suggested: Suggested, parent: QObject | None = None, *,
        follow_round: Follow = follow_round, follow_embedding: Follow = follow_embedding,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session, self._jobs, self._suggested = session, jobs, suggested
        self._follow_round, self._follow_embedding = follow_round, follow_embedding
        self.paused, self.failed = False, ""
        self.left_out: dict[int, str] = {}
        self.how_good: tuple[list[str], str] = [], ""
        self._handle: JobHandle | None = None
        self._keeping: JobHandle | None = None
        self._task = ""
        self._due = self._gives_way = self._lost = False
        self._judged = self._cancelled = self._newest = 0
        self._looked_at: set[int] = set()
        self._stamp: tuple[int, tuple[int, int]] | None = None
        self._reader = NewestWork("suggestions", self)
        self._quiet, self._look = QTimer(self), QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(QUIET_MS)
        self._quiet.timeout.connect(self._want_round)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.look)
        link(self, session.project_changed, self._on_project_changed)
        link(self, session.slide_changed, self._on_slide_changed)
        link(self, session.slides_changed, self._on_slides_changed)
        link(self, session.history_changed, self._on_history_changed)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.classes_changed, self._read)
        self._on_project_changed()

    def close(self) -> None:
        """Wait for the thread that reads (the window is closing)."""
        self._quiet.stop()
        self._look.stop()
        self._reader.close()

    # -- the switch --------------------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether it learns from the labels of the open project."""
        project = self._session.project
        return project is not None and not project.read_only and bool(project.settings.get(SETTING, False))

    def set_on(self, on: bool) -> None:
        """Begin to learn from the labels of the open project, or stop; remembered with the project."""
        project = self._session.project
        if project is None or project.read_only or on == self.on:
            return
        project.settings.remember(SETTING, on)
        self.paused, self.failed = False, ""
        if on:
            self._begin()
        else:
            self._end()
        self.changed.emit()

    def pause(self) -> None:
        """Stop what runs, and begin nothing until :meth:`go_on`; what was computed is kept."""
        self.paused = True
        self._quiet.stop()
        if self._handle is not None:
            self._handle.cancel()
        self.changed.emit()

    def go_on(self) -> None:
        """Continue after a pause, or try again after a failure."""
        self.paused, self.failed = False, ""
        self._due = True
        self._step()
        self.changed.emit()

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def handle(self) -> JobHandle | None:
        """What runs: a slide is looked at, or a round is done."""
        return self._handle

    # -- when something is done --------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._due = True
        self._newest = self._newest_step()
        self._stamp = None
        self.look()
        self._step()

    def _end(self) -> None:
        self._quiet.stop()
        self._look.stop()
        self._reader.forget_all()
        self._due, self._judged = False, 0
        self._suggested.clear()
        if self._handle is not None:
            self._gives_way = True
            self._handle.cancel()

    def _newest_step(self) -> int:
        project = self._session.project
        entry = None if project is None else project.history.undo_entry
        return 0 if entry is None else entry.id

    def _on_project_changed(self) -> None:
        self._end()
        self.paused, self.failed, self.how_good = False, "", ([], "")
        self.left_out, self._looked_at = {}, set()
        self._finish_half_kept()
        if self.on:
            self._begin()
        self.changed.emit()

    def _finish_half_kept(self) -> None:
        """Finish what was being kept as a detection when the program was killed."""
        project = self._session.project
        if project is None or project.read_only or not any(is_half_kept(run) for run in project.runs):
            return
        from microscope_qc.workflows.suggestions.keeping import finish_half_kept

        self.keep(finish_half_kept(project))

    @property
    def keeping(self) -> bool:
        """Whether suggestions are being kept as a detection."""
        return self._keeping is not None and self._keeping.state is JobState.RUNNING

    def keep(self, job: Job[Any], on_done: Callable[[Any], None] = lambda _: None) -> None:
        """Do a job that keeps suggestions as a detection, between the events of the window."""
        self._keeping = self._jobs.run_in_slices(job, "Keeping suggestions as a detection", on_done=on_done)

    def before_closing(self) -> None:
        """Do what a user asked for: the project is about to be closed."""
        if self._keeping is not None:
            self._jobs.finish_now(self._keeping)

    def _on_slide_changed(self) -> None:
        self._suggested.clear()
        self._stamp = None
        if not self.on:
            return
        self.look()
        slide = self._session.slide
        if slide is not None and self._task == "others" and not self._knows(slide.id):
            self._give_way()  # the slide on screen goes first
        self._step()

    def _on_slides_changed(self) -> None:
        self.left_out = {}
        self._step()

    def _on_history_changed(self) -> None:
        """Count what was judged since the last round began."""
        project = self._session.project
        if not self.on or project is None or project.is_writing:
            return
        entry, before = project.history.undo_entry, self._newest
        self._newest = 0 if entry is None else entry.id
        if self._newest == before:
            return
        undone = entry is None or self._newest < before
        self._judged += 1 if undone or entry is None else max(1, entry.box_count)
        if self._judged >= JUDGEMENTS:
            self._want_round()
        else:
            self._quiet.start()
        self.changed.emit()

    def _on_boxes_changed(self, change: BoxChange) -> None:
        # what lay there, as before an undo, is suggested again; what is being read does not know what came meanwhile
        if change.kind in {"removed", "reset"} or self._reader.busy("read"):
            self._read()

    def _want_round(self) -> None:
        self._quiet.stop()
        self._judged, self._due = 0, True
        if self._task == "others" or (self._task == "round" and self._cancelled < MOST_CANCELLED):
            self._give_way()
        self._step()

    def _give_way(self) -> None:
        """Stop what runs for something that matters more; it is done later."""
        if self._handle is not None and not self._handle.cancelling:
            self._gives_way = True
            self._cancelled += self._task == "round"
            self._handle.cancel()

    def _knows(self, slide_id: int) -> bool:
        return slide_id in self._looked_at or slide_id in self.left_out

    def _step(self) -> None:
        """Begin what is to be done next: the slide on screen, a round, the other slides."""
        project, slide = self._session.project, self._session.slide
        if not self.on or self.paused or self.failed or self._handle is not None or self._jobs.closed:
            return
        if project is None or slide is None:
            return
        others = [one for one in project.slides if not self._knows(one.id) and not one.missing]
        if not self._knows(slide.id) and not slide.missing:
            self._run("slide", self._look_at(project.path, [slide]), f"Reading {slide.name} once")
        elif self._due:
            self._due = False
            self._look.start()
            job = self._follow_round(project.path, self._jobs.detector, first=slide.id)
            self._run("round", job, "Learning from your labels")
        elif others:
            self._run("others", self._look_at(project.path, others), "Reading the other slides once")

    def _run(self, task: str, job: Job[Any], title: str) -> None:
        self._task = task
        self._handle = self._jobs.run(
            job, title, on_done=lambda _: self._ended(), on_failed=self._on_failed, on_cancelled=self._on_cancelled,
            listed=task != "round",
        )  # fmt: skip
        self._handle.changed.connect(self.changed)
        self.changed.emit()

    def _look_at(self, path: Path, slides: list[SlideRecord]) -> Job[None]:
        """Have the features of slides computed, one after the other; those that cannot be are left out."""
        return self._look_at_each(path, slides, self._looked_at, self.left_out)

    def _look_at_each(
        self, path: Path, slides: list[SlideRecord], looked_at: set[int], left_out: dict[int, str]
    ) -> Job[None]:  # fmt: skip
        for number, slide in enumerate(slides):
            job = self._follow_embedding(path, self._jobs.detector, slide.id)
            try:
                if len(slides) == 1:
                    yield from job
                else:
                    yield from retold(job, partial(_named, f"{slide.name}, {number + 1} of {len(slides)}"))
            except WorkerLost:
                raise
            except MicroscopeQCError as error:
                left_out[slide.id] = f"{slide.name}: {error}"
            else:
                looked_at.add(slide.id)

    # -- how it ends -------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        self._lost = False
        if self._task == "round":
            self._cancelled = 0
            self._look.stop()
        elif self._task == "others":
            self._due = True  # what is learned is looked for on them, too
        self._handle, self._task, self._gives_way = None, "", False
        self.look()
        self._step()
        self.changed.emit()

    def _on_cancelled(self) -> None:
        task, gave_way = self._task, self._gives_way
        self._handle, self._task, self._gives_way = None, "", False
        self._look.stop()
        if task == "round":
            self._due = True
        if self.on and not gave_way:
            self.paused = True
        self._step()
        self.changed.emit()

    def _on_failed(self, error: BaseException) -> None:
        self._due |= self._task == "round"
        self._handle, self._task, self._gives_way = None, "", False
        self._look.stop()
        if isinstance(error, WorkerLost) and not self._lost:
            self._lost = True  # once more, with another process
            self._step()
            self.changed.emit()
            return
        known = isinstance(error, MicroscopeQCError)
        self.failed = str(error) if known else f"Learning from your labels has stopped ({error}); see the log."
        self.changed.emit()

    # -- reading what was suggested ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Read what is suggested on the slide on screen, in another thread, if it is new."""
        project, slide = self._session.project, self._session.slide
        if self.on and project is not None and slide is not None and not self._reader.busy("read"):
            path, number = project.path, slide.id
            self._reader.ask("stamp", lambda: (number, suggestions_stamp(path, number)), self._on_stamp)

    def _on_stamp(self, stamp: tuple[int, tuple[int, int]]) -> None:
        if stamp != self._stamp:
            self._read()

    def _read(self) -> None:
        project, slide = self._session.project, self._session.slide
        if not self.on or project is None or slide is None:
            return
        path, findings = project.path, self._session.table.corners.T.copy()
        classes = [item.id for item in self._session.classes]

        def read() -> _Read:
            stamp = suggestions_stamp(path, slide.id)
            found = read_suggestions(path, slide) or SuggestionSet.none()
            return _Read(slide.id, stamp, found, free_indices(found, findings, classes), read_how_good(path))

        self._reader.ask("read", read, self._take)

    def _take(self, read: _Read) -> None:
        slide = self._session.slide
        if slide is None or read.slide_id != slide.id or not self.on:
            return
        self._stamp = read.slide_id, read.stamp
        self.how_good = read.how_good
        self._suggested.show(read.found, read.places)
        self.changed.emit()


def _named(note: str, step: Progress) -> Progress:
    return replace(step, note=note)
