"""How many findings do not count, for switched-off detections or the confidence limit, and a click to see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import confidence_text, count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

COUNT_MS = 100


class HiddenHint(QWidget):
    """``16 findings hidden by switched-off detections``, ``40 below 0.50``: a click lets them count.

    Over the slides of the scope; hidden while nothing is.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.runs, self.limit = QToolButton(), QToolButton()
        self.runs.clicked.connect(self.show_runs)
        self.limit.clicked.connect(self.lift_limit)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for button in (self.runs, self.limit):
            button.setAutoRaise(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIcon(theme.icon("eye-off-outline"))
            row.addWidget(button)
        self._due = Refresh(self, self._count, after_ms=COUNT_MS)
        for signal in (session.inclusion_changed, session.project_changed, session.slide_changed):
            link(self, signal, self.refresh)
        link(self, session.scoped.changed, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Count soon, or hide where nothing can be hidden."""
        counted = self._session.inclusion
        possible = self._session.project is not None and (counted.hidden_runs or counted.confidence_limit > 0)
        self.setVisible(bool(possible))
        if possible:
            self._due.soon()

    def _count(self) -> None:
        counted, rows = self._session.inclusion, self._session.scoped.table.rows
        without = replace(counted, confidence_limit=0.0).mask(rows, rejected=True)
        by_runs = int(np.count_nonzero(~without))
        weak = int(np.count_nonzero(~counted.mask(rows, rejected=True))) - by_runs
        self._say(self.runs, by_runs, f"{things(by_runs, 'finding')} hidden by switched-off detections")
        limit = confidence_text(counted.confidence_limit)
        self._say(self.limit, weak, f"{count_text(weak)} below {limit}")
        self.runs.setToolTip(
            self._session.why_not_write() or "Only these detections found them. Press to switch them on."
        )
        self.limit.setToolTip(
            self._session.why_not_write()
            or f"Unreviewed findings below the confidence limit {limit} do not count. Press to let all count."
        )

    def _say(self, button: QToolButton, count: int, words: str) -> None:
        button.setText(words)
        button.setVisible(count > 0)
        button.setEnabled(not self._session.why_not_write())

    def show_runs(self) -> None:
        """Switch the detections of the scope on, in one step."""
        project, slides = self._session.project, set(self._session.scoped.slide_ids)
        if project is not None:
            off = [run.id for run in project.runs if not run.shown and run.slide_id in slides]
            self._try(lambda: project.runs.show_all(off, carry_out=self._session.writing.carry_out))

    def lift_limit(self) -> None:
        """Let findings count whatever their confidence."""
        self._try(lambda: self._session.set_confidence_limit(0.0))

    def _try(self, change: Callable[[], object]) -> None:
        try:
            change()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
