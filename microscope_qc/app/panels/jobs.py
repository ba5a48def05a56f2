"""Long-running jobs: what is running, its progress, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.jobs import JobHandle, JobState
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.core.wording import duration_text, progress_text

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.context import Context


class JobsDock(QWidget):
    """One row per job, newest first."""

    def __init__(self, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[JobHandle, JobRow] = {}
        self._empty = QLabel("Detections, imports, exports and reports are listed here.")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setProperty("quiet", True)
        holder = QWidget()
        self._column = QVBoxLayout(holder)
        self._column.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        self._column.setSpacing(theme.STEP)
        self._column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(holder)
        self._scroll = scroll
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._empty, 1)
        column.addWidget(scroll, 1)
        for handle in jobs.history:
            self._add(handle)
        jobs.started.connect(self._add)
        jobs.forgotten.connect(self._drop)
        self._show_empty()

    def _add(self, handle: JobHandle) -> None:
        if handle not in self._rows:
            row = JobRow(handle)
            self._rows[handle] = row
            self._column.insertWidget(0, row)
        self._show_empty()

    def _drop(self, handle: JobHandle) -> None:
        row = self._rows.pop(handle, None)
        if row is not None:
            row.deleteLater()
        self._show_empty()

    def _show_empty(self) -> None:
        self._empty.setVisible(not self._rows)
        self._scroll.setVisible(bool(self._rows))


class JobRow(QWidget):
    """Title, progress bar, status, and a button that stops the job."""

    def __init__(self, handle: JobHandle, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._handle = handle
        title = QLabel(handle.title)
        title.setTextFormat(Qt.TextFormat.PlainText)
        title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        title.setMinimumWidth(160)
        self._bar = JobBar()
        self._bar.setFixedWidth(160)
        self._words = QLabel()
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._words.setProperty("quiet", True)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._stop = QToolButton()
        self._stop.setIcon(theme.icon("stop-circle-outline"))
        self._stop.setToolTip("Stop")
        self._stop.clicked.connect(handle.cancel)
        started = QLabel(handle.started.strftime("%Y-%m-%d %H:%M"))
        started.setProperty("quiet", True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2 * theme.STEP)
        row.addWidget(started)
        row.addWidget(title, 2)
        row.addWidget(self._bar)
        row.addWidget(self._words, 3)
        row.addWidget(self._stop)
        handle.changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        handle = self._handle
        running = handle.state is JobState.RUNNING
        self._stop.setVisible(running)
        self._stop.setEnabled(not handle.cancelling)
        show_bar(self._bar, handle)
        self._words.setText(story(handle))
        self._words.setToolTip(story(handle))


def show_bar(bar: JobBar, handle: JobHandle) -> None:
    """Set a progress bar to a job; without a total it moves back and forth while the job runs."""
    if handle.state is JobState.RUNNING and handle.progress.total <= 0:
        bar.setRange(0, 0)
        return
    bar.setRange(0, 1000)
    done = handle.state is JobState.RETURNED
    bar.setValue(1000 if done else round(handle.progress.fraction * 1000))


def story(handle: JobHandle) -> str:
    """One line about a job."""
    progress = handle.progress
    if handle.state is JobState.RUNNING:
        if handle.cancelling:
            return "stopping …"
        parts = []
        if progress.total > 0:
            parts.append(progress_text(progress.fraction))
        if handle.seconds_left is not None:
            parts.append(f"{duration_text(handle.seconds_left)} left")
        if progress.note:
            parts.append(progress.note)
        return "   ".join(parts) or "starting …"
    ending = f"{handle.state.value} after {duration_text(handle.seconds)}"
    if handle.state is JobState.FAILED and handle.error is not None:
        return f"{ending}: {handle.error}"
    return ending


def _make(context: Context, parent: QWidget) -> QWidget:
    return JobsDock(context.jobs, parent)


PANEL = PanelSpec("jobs", "Jobs", "progress-clock", "bottom", _make, tab_with="gallery")
