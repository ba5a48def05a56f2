"""A running detection: progress, findings so far, time left, how it ended; and its pace for later estimates."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.detect.pace import remember, remember_slide, remember_start
from microscope_qc.app.panels.detect.several import FailureList
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, duration_text, progress_text, things
from microscope_qc.project.runs.speed import starts_of

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.workflows.detection.many import ManyDetected

log = logging.getLogger(__name__)

FEWEST_TILES = 4
"""Fewer tiles are not enough to measure the pace."""


class DetectProgress(QWidget):
    """Bar and story of one detection after another. ``ended`` is sent however it ended, even if it could not start."""

    began = Signal()
    advanced = Signal()
    ended = Signal()

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._handle: JobHandle | None = None
        self._count_before = 0
        self._clock = (0.0, -1.0)
        self._key = ""
        self.bar = JobBar()
        self.bar.hide()
        self.story = sentence()
        self.story.hide()
        self.failures = FailureList()
        link(self, session.project_changed, self._forget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.bar)
        column.addWidget(self.story)
        column.addWidget(self.failures)

    @property
    def running(self) -> bool:
        """Whether a detection is followed."""
        return self._handle is not None

    @property
    def found(self) -> int:
        """Number of findings added since the detection started."""
        told = getattr(self._handle.progress, "found", None) if self._handle is not None else None
        if told is not None and self._several:
            return int(told)
        return max(0, len(self._session.table) - self._count_before)

    @property
    def _several(self) -> bool:
        """Whether the detection that is followed is one of several slides."""
        return self._handle is not None and getattr(self._handle.progress, "slides_total", 1) > 1

    def run(self, job: Callable[[], Job[Any]], title: str, *, pace_key: str) -> None:
        """Run a detection; its pace will be kept under ``pace_key``."""
        self._key = pace_key
        self._count_before = len(self._session.table)
        self._clock = (time.monotonic(), -1.0)
        self.bar.setRange(0, 0)
        self.bar.show()
        self.story.show()
        self.story.setText("Starting …")
        self.failures.show_lines([])
        project = self._session.project

        def may_stop() -> bool:
            """Whether the project takes how the detection ended."""
            return project is None or self._session.project is not project or not project.is_writing

        try:
            handle = self._jobs.run_in_slices(
                job(), title, on_done=self._on_done, on_failed=self._on_failed, on_cancelled=self._on_cancelled,
                may_stop=may_stop,
            )  # fmt: skip
        except MicroscopeQCError as error:
            self._on_failed(error)
            return
        self._handle = handle
        handle.changed.connect(self._on_changed)
        self.began.emit()

    def _forget(self) -> None:
        """Say nothing about the detection of a project that was closed."""
        if not self.running:
            self.bar.hide()
            self.story.hide()
            self.story.clear()
            self.failures.show_lines([])

    def cancel(self) -> None:
        """Stop; what was found is kept."""
        if self._handle is not None:
            self._handle.cancel()
            self.story.setText("Stopping …")

    def refresh(self) -> None:
        """Show the progress."""
        handle = self._handle
        if handle is None:
            return
        progress: Progress = handle.progress
        if progress.total <= 0:
            note = progress.note or "starting"
            self.story.setText(note if self._several else f"{note[0].upper()}{note[1:]} …")
            return
        words = [progress_text(progress.fraction)]
        if handle.seconds_left is not None:
            words.append(f"{duration_text(handle.seconds_left)} left")
        words.append(f"{things(self.found, 'finding')} so far")
        tiles = f"{count_text(int(progress.done))} of {count_text(int(progress.total))} {progress.unit or 'tiles'}"
        if self._several:
            tiles = escape(progress.note.split("; ")[0])
        told = escape(str(getattr(progress, "told", "")))  # pace, device and what had to be changed
        self.story.setText(f"<b>{',  '.join(words)}</b><br>{tiles}" + (f"<br>{told}" if told else ""))

    def _measure(self, result: Any = None) -> None:
        """Remember the pace for the next estimate: as reported by the detection, else as measured here."""
        handle = self._handle
        if handle is None:
            return
        if self._several:
            self._measure_several(result)
            return
        status = getattr(result, "status", None)
        told = _told(status if isinstance(status, dict) else {})
        started, done = self._clock
        tiles, seconds = handle.progress.done - done, time.monotonic() - started
        if told:
            remember(self._key, told)
        elif done >= 0 and tiles >= FEWEST_TILES and seconds > 0:
            remember(self._key, tiles / seconds)
        starts = starts_of(status) if isinstance(status, dict) else []
        if starts and self._clock[1] >= 0:  # else it was already finished, and nothing was started
            remember_start(starts[-1].get("starting_s", 0.0))

    def _measure_several(self, result: Any) -> None:
        """Remember the pace of the tiles of all slides, and what a slide takes besides them."""
        begun = [
            start
            for one in getattr(result, "slides", ())
            for start in starts_of(one.result.status)[-1:]
            if start.get("tiles") and start["seconds"] >= start["working_s"] > 0
        ]
        tiles, working_s = sum(start["tiles"] for start in begun), sum(start["working_s"] for start in begun)
        if tiles >= FEWEST_TILES:
            remember(self._key, tiles / working_s)
        if len(begun) > 1:
            since = time.monotonic() - self._clock[0]
            remember_slide(max(0.001, since - working_s) / len(begun))

    def _on_changed(self) -> None:
        handle = self._handle
        if handle is None:
            return
        progress: Progress = handle.progress
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.fraction))
        if self._clock[1] < 0 and progress.done > 0 and progress.total > 0:
            self._clock = (time.monotonic(), progress.done)  # the start-up of the child does not count
        self.refresh()
        self.advanced.emit()

    def _on_done(self, result: Any) -> None:
        self._measure(result)
        if hasattr(result, "left_out"):
            self._end_several(result)
            return
        findings = getattr(result, "findings", None)
        count = findings if isinstance(findings, int) else self.found
        taken = getattr(result, "seconds", None)
        time_text = f" in {duration_text(taken)}" if isinstance(taken, int | float) else ""
        before = getattr(result, "seconds_before", None)
        if time_text and before:
            time_text += f" ({duration_text(taken + before)} including earlier starts)"
        said = "Judge them in the gallery, worst first." if count else getattr(result, "pixel_fit", "")
        self._end(f"Done: {things(count, 'finding')}{time_text}. {said}".strip())

    def _on_cancelled(self) -> None:
        self._measure()
        done = ""
        if self._several and self._handle is not None:
            progress: Any = self._handle.progress
            done = f" after {count_text(progress.slides_done)} of {things(progress.slides_total, 'slide')}"
        self._end(f"Stopped{done}. What was found is kept; Continue resumes from here.")

    def _on_failed(self, error: BaseException) -> None:
        if isinstance(error, MicroscopeQCError):
            self._end(str(error))
        else:
            log.error("detection failed", exc_info=error)
            self._end(f"The detection failed ({error}). What was found is kept; see the log for details.")

    def _end_several(self, result: ManyDetected) -> None:
        """Say what was done, and list what failed."""
        from microscope_qc.workflows.detection.pixel_fit import nothing_found_lines

        done, failed = things(len(result.slides), "slide"), len(result.left_out)
        words = [f"Done: {things(result.findings, 'finding')} on {done} in {duration_text(result.seconds)}."]
        nothing = ((one.slide.name, one.result.pixel_fit) for one in result.slides if not one.result.findings)
        words += nothing_found_lines(nothing)
        if failed:
            words.append(f"{things(failed, 'slide')} could not be scanned:")
        elif result.findings:
            words.append("Judge them in the gallery, worst first.")
        self._end(" ".join(words))
        self.failures.show_lines([f"{left.slide}: {left.error}" for left in result.left_out])

    def _end(self, text: str) -> None:
        self._handle = None
        self.bar.hide()
        self.story.show()
        self.story.setText(text)
        self.ended.emit()


def _told(status: dict[str, Any]) -> float:
    """The pace that a detection reports: that of its last start, if it had enough to do; else 0."""
    last = starts_of(status)[-1:]
    if last and last[0].get("tiles", 0) >= FEWEST_TILES and last[0]["working_s"] > 0:
        return float(last[0]["tiles"] / last[0]["working_s"])
    told = status.get("tiles_per_s")
    return float(told) if isinstance(told, int | float) and told > 0 else 0.0
