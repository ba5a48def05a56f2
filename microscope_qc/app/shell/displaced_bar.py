"""Bar of a window whose project was deleted, renamed or replaced while it was open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.errors import DisplacedProjectError
    from microscope_qc.project import Project

CHECK_MS = 3000


class DisplacedBar(QFrame):
    """Shown above the slide as long as nothing can be written; looks for itself every few seconds.

    Parameters
    ----------
    save_as_new
        Called when the user wants to save what is open under another name.
    """

    def __init__(self, session: Session, parent: QWidget | None = None, *, save_as_new: Callable[[], None]) -> None:
        super().__init__(parent)
        self.setObjectName("displacedBar")
        self._session = session
        self._checking = False
        self._icon = QLabel()
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.save = QPushButton("Save as a new project…")
        self.save.setProperty("primary", True)
        self.save.setAutoDefault(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, theme.STEP, theme.STEP, theme.STEP)
        row.setSpacing(theme.STEP)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.words, 1)
        row.addWidget(self.save, 0, Qt.AlignmentFlag.AlignVCenter)
        self.save.clicked.connect(save_as_new)
        self._timer = QTimer(self)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self.check)
        link(self, session.project_changed, self._on_project_changed)
        self._on_project_changed()

    def refresh_theme(self) -> None:
        """Apply the colours of the theme."""
        colours = theme.current()
        self._icon.setPixmap(theme.icon("alert-circle-outline", colours.error).pixmap(20, 20))
        self.setStyleSheet(
            f"#displacedBar {{ background: {colours.base}; border: none; border-left: 4px solid {colours.error};"
            f" border-bottom: 1px solid {colours.line}; }} #displacedBar QLabel {{ background: transparent; }}"
        )

    def show_error(self, error: DisplacedProjectError) -> None:
        """Say what happened, as an edit found out."""
        self.words.setText(f"{error.message}\n{error.hint}")
        self.refresh_theme()
        self.show()

    def check(self) -> None:
        """Look in the background whether the project is where it was."""
        project, jobs = self._session.project, self._session.jobs
        if project is None or jobs is None or self._checking:
            return
        self._checking = True
        jobs.call(
            lambda: project.displaced,
            on_done=lambda error: self._on_checked(project, error),
            on_failed=lambda _error: self._on_checked(project, None),
        )

    def _on_checked(self, project: Project, error: DisplacedProjectError | None) -> None:
        self._checking = False
        if project is not self._session.project:
            return
        if error is not None:
            self.show_error(error)
        elif not self.isHidden():
            self.hide()
            self._session.notice.emit(f"{project.name} is where it was again: changes are stored.")

    def _on_project_changed(self) -> None:
        self.hide()
        project = self._session.project
        if project is None or project.read_only:
            self._timer.stop()
        else:
            self._timer.start()
