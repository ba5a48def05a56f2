"""Buttons of a control chart: its limits are frozen and unfrozen, and events noted at its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QInputDialog, QPushButton, QWidget

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.workflows.results.process_control import freeze_limits, note_event, thaw_limits

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.reports.plot_values import Plot

_FREEZE = "Keeps these limits in the project, with date and author, so that later points do not move them"
_THAW = "Forgets the frozen limits: they are taken from the points again"
_EVENT = "Says at the chosen point what happened there, as “new mill”; an empty text removes it"
_NO_CHART = "There is no chart to take limits from"
_NO_POINT = "Click on a point first"
_READ_ONLY = "This project is open for reading only"


def ask_event(parent: QWidget, group: str, known: str) -> str | None:
    """Ask what happened at a point; None when nothing is to change."""
    text, kept = QInputDialog.getText(parent, "Event", f"What happened at {group}? (empty: nothing)", text=known)
    return text.strip() if kept else None


class ControlBar(QWidget):
    """What can be kept of the control chart that is shown; ``kept`` says that its limits were frozen or unfrozen."""

    kept = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: Mapping[str, Any] | None = None
        self._group = ""
        self.freeze, self.event_button = QPushButton("Freeze limits"), QPushButton("Note an event…")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.freeze)
        row.addWidget(self.event_button)
        self.freeze.clicked.connect(self._on_freeze)
        self.event_button.clicked.connect(self._on_event)
        self._update()

    def show_plot(self, plot: Plot | None) -> None:
        """Offer what can be done with another chart; its point is still chosen where it has it."""
        self._found = None if plot is None else plot.source
        if self._group not in self._groups():
            self._group = ""
        self._update()

    def choose(self, place: int) -> None:
        """Offer an event at the point with this number."""
        self._group = self._groups()[place]
        self._update()

    def _groups(self) -> list[str]:
        return [] if self._found is None else [str(point["group"]) for point in self._found["points"]]

    def _update(self) -> None:
        found = self._found
        writable = self._session.can_write
        frozen = found is not None and found["frozen"] is not None
        self.freeze.setText("Unfreeze limits" if frozen else "Freeze limits")
        self.freeze.setEnabled(writable and found is not None)
        self.event_button.setEnabled(writable and bool(self._group))
        why = "" if writable else _READ_ONLY
        self.freeze.setToolTip(why or (_NO_CHART if found is None else _THAW if frozen else _FREEZE))
        self.event_button.setToolTip(why or (_EVENT if self._group else _NO_POINT))

    def _on_freeze(self) -> None:
        found = self._found
        if found is None:
            return
        if found["frozen"] is None:
            self._keep(lambda project: freeze_limits(project, found), "The limits are frozen.")
        else:
            self._keep(lambda project: thaw_limits(project, found), "The limits are no longer frozen.")
        self.kept.emit()

    def _on_event(self) -> None:
        found, group = self._found, self._group
        if found is None or not group:
            return
        known = next(point["event"] for point in found["points"] if point["group"] == group)
        text = ask_event(self, group, known or "")
        if text is not None and text != (known or ""):
            said = f"Noted at {group}: {text}" if text else f"Nothing is noted at {group} any more."
            self._keep(lambda project: note_event(project, found, group, text), said)

    def _keep(self, change: Callable[[Project], object], said: str) -> None:
        project = self._session.project
        if project is None:
            return
        try:
            change(project)
        except MicroscopeQCError as error:
            said = str(error)
        self._session.notice.emit(said)
