"""Bar of a window that opened a project read-only: who is writing, what is new, and how to start writing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.project.database import DATABASE_NAME

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

CHECK_MS = 4000

Stamp = tuple[int, ...]


class ReadOnlyBar(QFrame):
    """Shown above the slide while the project is open for reading only.

    Parameters
    ----------
    open_for_writing
        Called with the project's folder; closes the project and opens it again.
    """

    def __init__(
        self, session: Session, parent: QWidget | None = None, *, open_for_writing: Callable[[Path], None]
    ) -> None:
        super().__init__(parent)
        self.setObjectName("readOnlyBar")
        self._session, self._open_for_writing = session, open_for_writing
        self._stamp: Stamp = ()
        self._owned = False
        self._checking = False
        self._icon = QLabel()
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.newest = QPushButton("Show changes")
        self.newest.setToolTip("Read the changes made since then")
        self.write = QPushButton("Open for writing")
        for button in (self.newest, self.write):
            button.setAutoDefault(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, theme.STEP, 4)
        row.setSpacing(theme.STEP)
        row.addWidget(self._icon)
        row.addWidget(self.words, 1)
        row.addWidget(self.newest)
        row.addWidget(self.write)
        self.newest.clicked.connect(self._on_newest_clicked)
        self.write.clicked.connect(self._on_write_clicked)
        self._timer = QTimer(self)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self.check)
        link(self, session.project_changed, self._on_project_changed)
        self._on_project_changed()

    def refresh_theme(self) -> None:
        """Apply the colours of the theme."""
        colours = theme.current()
        self._icon.setPixmap(theme.icon("pencil-lock-outline", colours.warning).pixmap(18, 18))
        self.setStyleSheet(
            f"#readOnlyBar {{ background: {colours.base}; border: none; border-left: 4px solid {colours.warning};"
            f" border-bottom: 1px solid {colours.line}; }} #readOnlyBar QLabel {{ background: transparent; }}"
        )

    def _on_project_changed(self) -> None:
        project = self._session.project
        reading = project is not None and project.read_only
        self.setVisible(reading)
        self._timer.stop()
        if project is None or not reading:
            return
        self.refresh_theme()
        self._stamp = stamp_of(project.path)
        self._owned = self._session.refresh_owner()
        self._show(newer=False)
        self._timer.start()

    def _show(self, *, newer: bool) -> None:
        project = self._session.project
        if project is None:
            return
        words = f"{project.name} is open for reading. {self._session.why_not_write().removeprefix('Read only: ')}"
        if not self._owned:
            words = f"{project.name} is open for reading. Nobody is writing to it now."
        self.words.setText(words[0] + words[1:] + ("  There are newer changes." if newer else ""))
        self.newest.setEnabled(newer)
        self.newest.setProperty("primary", newer)
        self.newest.style().unpolish(self.newest)
        self.newest.style().polish(self.newest)
        self.write.setEnabled(not self._owned)
        self.write.setToolTip("" if not self._owned else self._session.why_not_write())

    def check(self) -> None:
        """Check in the background whether someone is still writing, and whether there are newer changes."""
        project, jobs = self._session.project, self._session.jobs
        if project is None or self._checking:
            return
        if jobs is None:
            self._on_checked(project.path, self._session.refresh_owner(), stamp_of(project.path))
            return
        self._checking = True
        session, place = self._session, project.path
        jobs.call(
            lambda: (session.refresh_owner(), stamp_of(place)),
            on_done=lambda found: self._on_checked(place, *found),
            on_failed=lambda _error: self._on_checked(place, True, self._stamp),
        )

    def _on_checked(self, place: Path, owned: bool, stamp: Stamp) -> None:
        self._checking = False
        project = self._session.project
        if project is None or project.path != place or not project.read_only:
            return
        self._owned = owned
        self._show(newer=stamp != self._stamp)

    def _on_newest_clicked(self) -> None:
        project = self._session.project
        if project is not None:
            self._stamp = stamp_of(project.path)
            project.reload()
            self._show(newer=False)

    def _on_write_clicked(self) -> None:
        project = self._session.project
        if project is not None:
            self._open_for_writing(project.path)


def stamp_of(folder: Path) -> Stamp:
    """Return size and time of the database and its log, which change with every commit."""
    parts: list[int] = []
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        with contextlib.suppress(OSError):
            found = (folder / name).stat()
            parts += [found.st_size, found.st_mtime_ns]
    return tuple(parts)
