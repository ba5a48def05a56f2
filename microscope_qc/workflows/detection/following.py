"""Runs in a child process, one after another: the project's owner hands them out and takes in their findings."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import LOADING
from microscope_qc.workflows.child import Child, RunAnswer
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.kept_child import Children

POLL_SECONDS = 0.2
MOST_AHEAD = 16
"""Runs that are handed out at once; the child then never waits for the next of many small pictures."""
ENOUGH_TILES = 64
"""With as many tiles handed out, no further run is begun."""
MOST_DEATHS = 3
"""Children that may die one after another without ending a run."""

_ending: dict[Path, threading.Thread] = {}


@dataclass(frozen=True, slots=True)
class ChildProgress(Progress):
    """Progress over all slides.

    ``told`` is the child's message: its speed and device, and what had to be changed. ``slide_id`` is the slide that is
    scanned, ``slides_done`` of ``slides_total`` have ended, ``begun`` counts those that were handed out, ``found`` the
    findings that were taken in since the start.
    """

    told: str = ""
    slide_id: int = 0
    slides_done: int = 0
    slides_total: int = 1
    begun: int = 0
    found: int = 0


class DetectionFailed(MicroscopeQCError, RuntimeError):
    """The child ended before its work was done (``reason`` is its last message); what it found so far is kept."""

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be done.

    ``begin`` makes it or finds the one to be continued, and may raise; ``tiles`` is how many it has as far as known;
    ``first`` is the part of the slide that comes first.
    """

    slide_id: int
    name: str
    tiles: int
    begin: Callable[[], RunRecord]
    first: Region | None = None


Done = Callable[[Start, RunRecord, float, bool], None]
"""Called at the end of a run with the time at which it began, and whether anything had to be done."""
Failed = Callable[[Start, MicroscopeQCError], None]


@dataclass(slots=True, eq=False)
class _Hand:
    """A run that was handed out."""

    start: Start
    run: RunRecord
    began: float
    intake: RunIntake | None = None
    answer: RunAnswer | None = None

    @property
    def left(self) -> int:
        """Tiles that are still to be done."""
        return self.start.tiles if self.intake is None else self.intake.tiles_total - len(self.intake.tiles_done)


class OwnChild:
    """A child for one job alone, which ends with it."""

    waits_for = ""

    def take(self) -> Child:
        """A new child."""
        return Child()

    def put_back(self, child: Child) -> None:
        """End it."""
        child.stop()


class Following:
    """Follows runs to their ends; one that fails does not stop the others.

    Parameters
    ----------
    done, failed
        Called for each of them when it has ended.
    wait_s
        How long a step waits for the child. With 0 no step waits, and closing the job does not wait for the child to
        end: for a window that runs the job between its own events.
    children
        Where the child comes from; None starts one for this job.
    """

    def __init__(
        self, project: Project, starts: Sequence[Start], *, done: Done, failed: Failed, wait_s: float,
        children: Children | None = None,
    ) -> None:  # fmt: skip
        self._project, self._wait_s = project, wait_s
        self._children: Children = children or OwnChild()
        self._waiting, self._count = deque(starts), len(starts)
        self._handed: deque[_Hand] = deque()
        self._ungiven: list[_Hand] = []  # handed out, and waiting for a child
        self._done, self._failed = done, failed
        self._child: Child | None = None
        self._deaths = self._begun = 0
        self._pace = _Pace()
        self._computing = False
        self._new = self._found = 0

    def job(self) -> Job[None]:
        """Do all of them.

        When the job is closed the child is asked to end, the findings so far are kept, and runs that have not ended are
        "stopped".

        Raises
        ------
        DetectionFailed
            When the model cannot be used, or children die one after another.
        """
        state = "failed"
        try:
            while self._waiting or self._handed:
                yield from self._hand_out()
                yield from self._give_left()
                yield from self._take_in()
                self._see_to_child()
                yield self._progress()
                if self._wait_s > 0 and self._handed and self._child is not None:
                    self._child.wait_for_news(self._wait_s)
        except GeneratorExit:
            state = "stopped"
            raise
        finally:
            self._close(state)

    # -- handing out -------------------------------------------------------------------------------------------------

    def _hand_out(self) -> Job[None]:
        while self._waiting and self._room() and not self._project.is_writing:
            start = self._waiting.popleft()
            began = time.monotonic()
            self._begun += 1
            try:
                run = start.begin()
            except (MicroscopeQCError, OSError) as error:
                self._fail(start, error)
                yield self._progress()
                continue
            if run.state == "finished":
                self._done(start, run, began, False)
                yield self._progress()
                continue
            hand = _Hand(start, run, began)
            self._handed.append(hand)
            yield self._progress()  # making a run and taking it in hand are two commits: not in one step of a window
            try:
                hand.intake = RunIntake(self._project, run)
            except MicroscopeQCError as error:
                self._end(hand, error)
                continue
            self._ungiven.append(hand)
            yield from self._give_left()
            yield self._progress()

    def _give_left(self) -> Job[None]:
        """Let the child do what it has not been given, as soon as there is a child."""
        while self._ungiven:
            hand = self._ungiven[0]
            ending = _ending.get(hand.run.folder)
            if ending is not None and ending.is_alive():  # two that write one run would mix their lines
                yield from self._wait("the previous detection to end")
                continue
            child = self._child or self._children.take()
            if child is None:
                yield from self._wait(self._children.waits_for)
                continue
            self._child = child
            child.give(hand.run.folder, first=hand.start.first)
            self._ungiven.pop(0)

    def _wait(self, what: str) -> Job[None]:
        yield ChildProgress(0, 0, "tiles", f"waiting for {what}")
        time.sleep(self._wait_s)

    def _room(self) -> bool:
        return len(self._handed) < MOST_AHEAD and sum(hand.left for hand in self._handed) < ENOUGH_TILES

    # -- taking in ---------------------------------------------------------------------------------------------------

    def _take_in(self) -> Job[None]:
        self._listen()
        for hand in list(self._handed):
            answered, intake = hand.answer is not None, hand.intake
            assert intake is not None
            try:
                self._new += len(intake.poll() if self._wait_s > 0 else intake.take_ready())
                if answered and (self._wait_s > 0 or intake.idle):
                    self._new += len(intake.poll())  # a running step may have begun before the last line was written
                    self._end(hand)
            except MicroscopeQCError as error:
                self._end(hand, error)
            if not answered:
                return  # the others have not begun
            yield self._progress()

    def _listen(self) -> None:
        for answer in self._child.answers() if self._child is not None else ():
            self._deaths = 0
            hand = next((hand for hand in self._handed if hand.run.folder == answer.folder), None)
            if hand is None:
                continue
            if answer.kind == "ModelError":
                raise _ended_early(answer.message)
            hand.answer = answer

    def _end(self, hand: _Hand, error: MicroscopeQCError | None = None) -> None:
        """Store how a run ended, and say so."""
        self._handed.remove(hand)
        if hand in self._ungiven:
            self._ungiven.remove(hand)
        answer, intake = hand.answer, hand.intake
        if error is None and answer is not None and answer.state != "finished":
            error = _ended_early(answer.message)
        if error is None and intake is not None and len(intake.tiles_done) < intake.tiles_total:
            error = _ended_early("some tiles are missing.")
        try:
            self._store(hand, "finished" if error is None else "failed")
        except MicroscopeQCError as problem:
            error = error or problem
        self._pace.end(intake)
        if error is None:
            self._done(hand.start, self._project.runs.by_id(hand.run.id), hand.began, True)
        else:
            self._fail(hand.start, error)

    def _fail(self, start: Start, error: MicroscopeQCError | OSError) -> None:
        known = error if isinstance(error, MicroscopeQCError) else MicroscopeQCError(str(error))
        self._failed(start, known)

    def _store(self, hand: _Hand, state: str) -> None:
        try:
            if hand.intake is not None:
                hand.intake.finish(state)
                return
        except MicroscopeQCError:
            self._project.runs.finish(hand.run.id, "failed")
            raise
        self._project.runs.finish(hand.run.id, state)

    # -- the child ---------------------------------------------------------------------------------------------------

    def _see_to_child(self) -> None:
        """A child that died takes the run with it that it was doing; another one does the others."""
        child = self._child
        if child is None or child.running:
            return
        words = child.last_words  # after this all its answers are there
        self._listen()
        left = [hand for hand in self._handed if hand.answer is None]
        if not left:
            return
        rested = child.code == 0  # it had nothing to do for a while, and ended just when it was asked
        self._children.put_back(child)
        self._child = None
        if not rested:
            self._deaths += 1
            if self._deaths >= MOST_DEATHS and len(left) + len(self._waiting) > 1:
                raise _ended_early(words)
            dead = left.pop(0)
            dead.answer = RunAnswer(dead.run.folder, "failed", "", words)
        self._ungiven += left

    def _close(self, state: str) -> None:
        child, self._child = self._child, None
        if child is not None and self._wait_s > 0:
            self._children.put_back(child)
        elif child is not None:
            ending = threading.Thread(target=self._children.put_back, args=(child,), name="detection-end")
            _ending.update({hand.run.folder: ending for hand in self._handed})
            ending.start()
        problem: MicroscopeQCError | None = None
        while self._handed:
            hand = self._handed.popleft()
            complete = hand.answer is not None and hand.answer.state == "finished"
            try:
                self._store(hand, "finished" if complete else state)
            except MicroscopeQCError as error:
                problem = problem or error
            if not complete:
                state = "stopped"  # the others have not begun
        if problem is not None:
            raise problem

    # -- progress ----------------------------------------------------------------------------------------------------

    def _progress(self) -> ChildProgress:
        child = self._child
        says = {} if child is None else child.progress
        # it is silent while it loads the program
        told = str(says.get("note") or ("" if says or child is None else "loading the model"))
        # no speed to estimate the time left from while the child loads, and from tiles that are left out at once
        running = child is None or child.running
        self._computing |= not running or bool(says.get("total") and says.get("unit") != LOADING)
        done, total = self._pace.over_all([hand.intake for hand in self._handed], [s.tiles for s in self._waiting])
        ended = self._count - len(self._waiting) - len(self._handed)
        first = self._handed[0].start if self._handed else self._waiting[0] if self._waiting else None
        parts = []
        if self._count > 1 and first is not None:
            parts.append(f"slide {count_text(ended + 1)} of {count_text(self._count)}: {first.name}")
        parts += [f"{self._new} new findings"] if self._new else []
        parts += [told] if told else []
        self._found += self._new
        self._new = 0
        return ChildProgress(
            done, total if self._computing else 0, "tiles", "; ".join(parts), told,
            0 if first is None else first.slide_id, ended, self._count, self._begun, self._found,
        )  # fmt: skip


class _Pace:
    """How many tiles are computed, and how many will be: others are left out as empty, as many as so far."""

    def __init__(self) -> None:
        self._computed = self._seen = 0

    def end(self, intake: RunIntake | None) -> None:
        """A run has ended."""
        if intake is not None:
            self._computed += len(intake.tiles_done) - len(intake.tiles_left_out)
            self._seen += len(intake.tiles_done)

    def over_all(self, intakes: Sequence[RunIntake | None], waiting: Sequence[int]) -> tuple[int, int]:
        """Tiles done and in all, of runs that ended, that were handed out, and that wait."""
        done, total, seen, unknown = self._computed, self._computed, self._seen, sum(waiting)
        for intake in intakes:
            if intake is None:
                continue
            if not intake.tiles_done and len(intakes) > 1:
                unknown += intake.tiles_total
                continue
            left_out = len(intake.tiles_left_out)
            done += len(intake.tiles_done) - left_out
            total += intake.tiles_total - left_out
            seen += intake.tiles_total
        return done, total + round(unknown * (total / seen if seen else 1.0))


def _ended_early(words: str) -> DetectionFailed:
    hint = "What was found so far is kept; start it again to continue."
    return DetectionFailed(f"The detection ended early: {words}", hint=hint, reason=words)
