"""The line at the bottom: mouse position, zoom and running jobs."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QStatusBar, QToolButton, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.jobs import JobHandle, JobState
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.gallery.filter import FilterHint
from microscope_qc.app.panels.jobs import show_bar
from microscope_qc.app.widgets.hidden_hint import HiddenHint
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.scope_switch import ScopeHint
from microscope_qc.core.wording import count_text, duration_text, number_text, pixel_size_text, progress_text, zoom_text

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session


class StatusLine(QStatusBar):
    """Position, zoom and the newest running job."""

    def __init__(self, session: Session, canvas: Canvas, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._jobs = session, canvas, jobs
        self.setSizeGripEnabled(False)
        self._review_zoom = 0.0
        self._position, self._micro, self._zoom, self._size = QLabel(), QLabel(), QLabel(), QLabel()
        # fixed widths, so that nothing jumps while numbers change; what is always shown comes first
        for label, widest in (
            (self._zoom, "8 888 %"),
            (self._size, "8.888 µm/px"),
            (self._position, "x 88 888  y 88 888 px"),
            (self._micro, "88 888.8, 88 888.8 µm"),
        ):
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest) + 2 * theme.STEP)
            label.setContentsMargins(theme.STEP, 0, 0, 0)
            self.addWidget(label)
        self.draws = QLabel()
        self.draws.setContentsMargins(theme.STEP, 0, 0, 0)
        self.addWidget(self.draws)
        self._plane = QLabel()
        self._plane.setContentsMargins(theme.STEP, 0, 0, 0)
        self.addWidget(self._plane)
        self._job_words = QLabel()
        self._bar = JobBar()
        self._bar.setFixedWidth(120)
        self._stop = QToolButton()
        self._stop.setToolTip("Stop")
        self._stop.setFixedSize(22, 22)
        self._stop.clicked.connect(self._on_stop_clicked)
        self._job = QWidget()
        row = QHBoxLayout(self._job)
        row.setContentsMargins(0, 0, theme.STEP, 0)
        row.setSpacing(theme.STEP)
        for widget in (self._job_words, self._bar, self._stop):
            row.addWidget(widget)
        self.scope_hint = ScopeHint(session)
        self.addPermanentWidget(self.scope_hint)
        self.hidden_hint = HiddenHint(session)
        self.addPermanentWidget(self.hidden_hint)
        self.filter_hint = FilterHint(session)
        self.addPermanentWidget(self.filter_hint)
        self.addPermanentWidget(self._job)
        self._job.hide()
        for changed in (
            session.tool_changed, session.draw_class_changed, session.classes_changed, session.project_changed,
        ):  # fmt: skip
            link(self, changed, self._show_draw_class)
        canvas.cursor_moved.connect(self._on_cursor_moved)
        canvas.view_changed.connect(self.refresh)
        session.slide_view.display_changed.connect(self._on_display_changed)
        session.mosaic_changed.connect(self._on_display_changed)
        for signal in (jobs.started, jobs.changed, jobs.ended):
            signal.connect(self._on_job_changed)
        self.refresh_icons()
        self.refresh()
        self._show_draw_class()

    def refresh_icons(self) -> None:
        """Apply the colours of the theme."""
        self._stop.setIcon(theme.icon("stop-circle-outline"))

    def show_review_zoom(self, zoom: float) -> None:
        """Show the zoom of the review page; 0 goes back to that of the canvas."""
        self._review_zoom = zoom
        self.refresh()

    def refresh(self) -> None:
        """Show zoom and pixel size."""
        if self._session.slide is None:
            for label in (self._position, self._micro, self._zoom, self._size):
                label.setText("")
            return
        zoom = self._review_zoom or self._canvas.view.zoom
        self._zoom.setText(zoom_text(zoom * self.devicePixelRatioF()))
        size = self._session.pixel_size_um
        self._size.setText("pixel size not known" if size is None else f"{pixel_size_text(size)}/px")

    def _show_draw_class(self, *_: object) -> None:
        """Say which class the next box gets while the user draws."""
        session = self._session
        drawing = session.tool == "draw" and session.project is not None and session.draw_class_id > 0
        self.draws.setVisible(drawing)
        if drawing:
            item = session.class_of(session.draw_class_id)
            square = f"<span style='color:{item.colour}'>\u25a0</span>"
            key = f" (key {escape(item.key)})" if item.key else ""
            self.draws.setText(f"Next box: {square} <b>{escape(item.code)}</b> {escape(item.name)}{key}")

    def _on_cursor_moved(self, y: float, x: float) -> None:
        if math.isnan(y) or self._session.slide is None:
            self._position.setText("")
            self._micro.setText("")
            return
        self._position.setText(f"x {count_text(math.floor(x))}  y {count_text(math.floor(y))} px")
        size = self._session.pixel_size_um
        self._micro.setText("" if size is None else f"{number_text(x * size[1], 1)}, {number_text(y * size[0], 1)} µm")

    def _on_display_changed(self, _display: object = None) -> None:
        """Say which picture of a stack and which channels are on screen; nothing of an ordinary slide."""
        from microscope_qc.slides.plane_choice import plane_words, shown_plane

        mosaic, display = self._session.mosaic, self._session.slide_view.display
        words = "" if mosaic is None else plane_words(mosaic, shown_plane(mosaic, display), only_chosen=True)
        self._plane.setText(words)
        self._plane.setVisible(bool(words))

    def _on_job_changed(self, _handle: JobHandle) -> None:
        running = self._jobs.running
        self._job.setVisible(bool(running))
        if not running:
            return
        handle = running[-1]
        progress = handle.progress
        words = handle.title
        if progress.total > 0:
            words += f"  {progress_text(progress.fraction)}"
        if handle.seconds_left is not None:
            words += f"  {duration_text(handle.seconds_left)} left"
        if len(running) > 1:
            words += f"  (+{len(running) - 1})"
        self._job_words.setText(words)
        self._job_words.setToolTip(progress.note)
        show_bar(self._bar, handle)
        self._stop.setEnabled(handle.state is JobState.RUNNING and not handle.cancelling)

    def _on_stop_clicked(self) -> None:
        running = self._jobs.running
        if running:
            running[-1].cancel()
