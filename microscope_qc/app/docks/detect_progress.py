"""What a detection under way says: how far it is, what it has found, how long it will take; and its pace for later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from microscope_qc.app.docks.detect_speed import remember
from microscope_qc.app.docks.gallery_parts import sentence
from microscope_qc.app.docks.gallery_text import count_text, things
from microscope_qc.app.session import Session
from microscope_qc.core.jobs import Progress, format_seconds

if TYPE_CHECKING:
    from microscope_qc.app.jobs import JobHandle

FEWEST_TILES = 4
"""Fewer tiles say nothing about the pace."""


class DetectProgress(QWidget):
    """Bar and story of one detection after another."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._handle: JobHandle | None = None
        self._finds_before = 0
        self._clock = (0.0, -1.0)
        self._key = ""
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.story = sentence()
        self.story.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.bar)
        column.addWidget(self.story)

    @property
    def running(self) -> bool:
        """Whether a detection is followed."""
        return self._handle is not None

    @property
    def found(self) -> int:
        """Finds that came since the detection began."""
        return max(0, len(self._session.table) - self._finds_before)

    def prepare(self, key: str) -> None:
        """A detection is about to begin; its pace will be kept under ``key``."""
        self._key = key
        self._finds_before = len(self._session.table)
        self._clock = (time.monotonic(), -1.0)
        self.bar.setRange(0, 0)
        self.bar.show()
        self.story.show()
        self.story.setText("Starting …")

    def follow(self, handle: JobHandle) -> None:
        """It runs."""
        self._handle = handle
        handle.changed.connect(self._on_changed)

    def cancelling(self) -> None:
        """It was told to stop."""
        self.story.setText("Stopping …")

    def refresh(self) -> None:
        """Say how it stands."""
        handle = self._handle
        if handle is None:
            return
        progress: Progress = handle.progress
        if progress.total <= 0:
            self.story.setText(progress.note or "Starting …")
            return
        words = [f"{100 * progress.fraction:.0f} %"]
        if handle.seconds_left is not None:
            words.append(f"{format_seconds(handle.seconds_left)} left")
        words.append(f"{things(self.found, 'find')} so far")
        tiles = f"{count_text(int(progress.done))} of {count_text(int(progress.total))} {progress.unit or 'tiles'}"
        self.story.setText(f"<b>{',  '.join(words)}</b><br>{tiles}")

    def measure(self, result: Any = None) -> None:
        """Remember the pace for the next estimate: what the detection says of itself, else what was seen from here."""
        handle = self._handle
        if handle is None:
            return
        status = getattr(result, "status", None)
        told = status.get("tiles_per_s") if isinstance(status, dict) else None
        started, done = self._clock
        tiles, seconds = handle.progress.done - done, time.monotonic() - started
        if isinstance(told, int | float) and told > 0:
            remember(self._key, float(told))
        elif done >= 0 and tiles >= FEWEST_TILES and seconds > 0:
            remember(self._key, tiles / seconds)

    def end(self, text: str) -> None:
        """It has ended, and this is how."""
        self._handle = None
        self.bar.hide()
        self.story.setText(text)

    def _on_changed(self) -> None:
        handle = self._handle
        if handle is None:
            return
        progress: Progress = handle.progress
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.fraction))
        if self._clock[1] < 0 and progress.done > 0:
            self._clock = (time.monotonic(), progress.done)  # the start-up of the child does not count
        self.refresh()
