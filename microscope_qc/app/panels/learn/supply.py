"""What will be learned, counted between the events of the window."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.parts import note, sentence
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import CancelToken, Job
from microscope_qc.core.wording import count_text, listed, plural, things
from microscope_qc.workflows.learning.bad_slides import bad_slides
from microscope_qc.workflows.learning.supply import Supply, supply_of

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.ml.datasets.quality import Look
    from microscope_qc.project import Project
    from microscope_qc.project.parts.tables import ReadTables

STEP_S = 0.006
SOON_MS = 150


class SupplyView(QWidget):
    """A table of the classes with their counts, and sentences about the rest."""

    counted = Signal()

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self.supply = self._found = Supply()
        self.scope = ScopeSwitch(session)
        self.table, self.rest, self.bad, self.advice = sentence(), note(), note(), sentence()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.scope, self.table, self.rest, self.bad, self.advice):
            column.addWidget(part)
        self.bad.hide()
        self._keep_bad = False
        self._looking: CancelToken | None = None
        self._seen: dict[str, Look] = {}
        self._job: Job[Supply] | None = None
        self._steps = QTimer(self)
        self._steps.timeout.connect(self._on_step)
        self._counted = Refresh(self, self._show)
        self._due = Refresh(self, self._begin, after_ms=SOON_MS)
        for signal in (
            session.project_changed, session.boxes_changed, session.classes_changed, session.slides_changed,
            session.history_changed, session.scope.changed,
        ):  # fmt: skip
            link(self, signal, self._due.soon)
        self._due.soon()
        self._look_due = Refresh(self, self._look, after_ms=SOON_MS)
        for signal in (session.project_changed, session.slides_changed, session.scope.changed):
            link(self, signal, self._look_due.soon)
        self._look_due.soon()

    def keep_bad(self, keep: bool) -> None:
        """Say what is wrong with slides as a training does that keeps them, or one that leaves them out."""
        self._keep_bad = keep
        self._look_due.soon()

    def count_again(self) -> None:
        """Count soon, also where nothing has changed; ``counted`` follows."""
        self._due.soon()

    def _look(self) -> None:
        """Look at the focus of the slides, in another thread, while nobody waits for it."""
        if self._looking is not None:
            self._looking.cancel()
        project = self._session.project
        slides = [] if project is None else [project.slides.by_id(number) for number in self._session.scope.slide_ids]
        job = bad_slides(slides, keep_bad=self._keep_bad, seen=self._seen)
        self._looking = self._jobs.behind(job, self._say_bad, lambda _error: self._say_bad([]))

    def _say_bad(self, said: list[str]) -> None:
        self.bad.setText("<br>".join(escape(line) for line in said))
        self.bad.setVisible(bool(said))

    def _begin(self) -> None:
        project = self._session.project
        if project is None:
            self._job = None
            return
        ids = self._session.scope.slide_ids
        unread = project.boxes.unread(ids)
        if unread:  # read in another thread, for as long as it takes
            self._jobs.call(project.boxes.reading(unread), lambda read: self._take(project, read), lambda _error: None)
            return
        self._job = supply_of(project, ids)
        self._steps.start(0)

    def _take(self, project: Project, read: ReadTables) -> None:
        if self._session.project is project:
            project.boxes.take(read)
            self._due.soon()

    def _on_step(self) -> None:
        until = time.monotonic() + STEP_S
        try:
            while self._job is not None and time.monotonic() < until:
                next(self._job)
        except StopIteration as end:
            self._job = None
            self._found = end.value
            self._counted.soon()
        except (MicroscopeQCError, KeyError):  # a slide was removed meanwhile: it is counted again
            self._job = None
        if self._job is None:
            self._steps.stop()

    def _left_aside(self) -> list[str]:
        """How many slides are not learned from because of the switch above."""
        project, scope = self._session.project, self._session.scope
        others = 0 if project is None else len(project.slides) - len(scope.slide_ids)
        if others <= 0:
            return []
        return [
            f"Only {scope.words}: {things(others, 'other slide')} of the project {plural(others, 'is', 'are')} left "
            "aside. To learn from all, choose All slides above."
        ]

    def _show(self) -> None:
        supply = self.supply = self._found
        rows = [
            f"<tr><td style='color: {one.defect.colour}'>■</td><td><b>{escape(one.defect.code)}</b>&nbsp;</td>"
            f"<td>{escape(one.defect.name)}&nbsp;&nbsp;</td><td align='right'><b>{count_text(one.truths)}</b></td>"
            f"<td>&nbsp;on {things(one.slides, 'slide')}</td></tr>"
            for one in supply.classes
            if one.truths
        ]
        self.table.setText(f"<table cellspacing='2'>{''.join(rows)}</table>")
        self.table.setVisible(bool(rows))
        lines = []
        if supply.truths:
            lines.append(
                f"{things(supply.truths, 'defect')} on {things(supply.slides_judged, 'slide')}"
                + (f" of {things(supply.specimens, 'specimen')}" if supply.specimens else "")
                + " are learned as such."
            )
        if supply.rejected:
            reasons = listed([f"{count_text(count)} {reason}" for reason, count in supply.rejected])
            lines.append(f"Rejected, learned as background: {reasons}.")
        if supply.unsure:
            reasons = listed([f"{count_text(count)} {reason}" for reason, count in supply.unsure])
            lines.append(f"Rejected, but perhaps defects, left aside: {reasons}.")
        if supply.complete:
            lines.append(f"Declared complete: {things(supply.complete, 'place')}.")
        if supply.unreviewed:
            lines.append(f"{things(supply.unreviewed, 'finding')} nobody has judged: left aside.")
        if supply.held_words():
            lines.append(supply.held_words())
        self.rest.setText("<br>".join(escape(line) for line in lines))
        self.rest.setVisible(bool(lines))
        self.advice.setText("<br>".join(escape(line) for line in [*self._left_aside(), *supply.advice()]))
        self.counted.emit()
