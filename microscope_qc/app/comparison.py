"""Two detections of the slide on screen beside each other: what both found, what only one of them did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.docks.gallery_link import link
from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.jobs import JobRunner
    from microscope_qc.app.session import Session
    from microscope_qc.project.records import RunRecord
    from microscope_qc.workflows.compare_runs import RunComparison

BOTH, FIRST, SECOND = PARTS = ("both", "first", "second")
LATER_MS = 150
"""Finds are matched anew this long after the confidence or the finds have changed."""


class Comparison(QObject):
    """Matches the finds of two detections in the background and shows the parts a person wants to see.

    Of a find that both have, the box of the first detection is shown. What is compared follows the confidence range:
    a find that is too weak to be shown in the second detection was found by the first alone.
    """

    changed = Signal()

    def __init__(self, session: Session, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self.runs: tuple[RunRecord, RunRecord] | None = None
        self.shown_parts: set[str] = set(PARTS)
        self.counts: dict[str, int] | None = None
        self.found: tuple[int, int] | None = None
        self._result: RunComparison | None = None
        self._generation = 0
        self._busy = self._again = self._applying = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(LATER_MS)
        self._soon.timeout.connect(self._match)
        for signal in (session.slide_changed, session.project_changed):
            link(self, signal, self.end)
        link(self, session.filter_changed, self._on_filter_changed)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.runs_changed, self._on_runs_changed)

    @property
    def active(self) -> bool:
        """Whether two detections are being compared."""
        return self.runs is not None

    def start(self, first: int, second: int) -> None:
        """Compare two detections of the slide on screen.

        Raises
        ------
        InputError
            When there is no such detection.
        """
        project = self._session.project
        if project is None or first == second:
            return
        self._generation += 1
        self.runs = project.run(first), project.run(second)
        self.shown_parts = set(PARTS)
        self.counts = self.found = self._result = None
        self.changed.emit()
        self._match()

    def end(self) -> None:
        """Show everything again that passes the filter."""
        if self.runs is None:
            return
        self._generation += 1
        self.runs = self.counts = self.found = self._result = None
        self._soon.stop()
        self._limit(None)
        self.changed.emit()

    def show_part(self, part: str, shown: bool) -> None:
        """Show or hide what both found (``BOTH``), or what one of them alone did (``FIRST``, ``SECOND``)."""
        wanted = self.shown_parts | {part} if shown else self.shown_parts - {part}
        if wanted != self.shown_parts:
            self.shown_parts = wanted
            self._show()

    # -- matching ----------------------------------------------------------------------------------------------------

    def _match(self) -> None:
        if self.runs is None or self._session.project is None or self._jobs.closed:
            return
        if self._busy:
            self._again = True
            return
        from microscope_qc.workflows.compare_runs import compare_finds

        table, known = self._session.table, self._session.project.filter
        sure = BoxFilter(min_confidence=known.min_confidence, max_confidence=known.max_confidence).mask(table.rows)
        ids: list[np.ndarray] = []
        boxes: list[np.ndarray] = []
        for run in self.runs:  # copies: the table may change while another thread compares
            places = np.flatnonzero(sure & (table.rows["run_id"] == run.id))
            ids.append(table.rows["id"][places])
            boxes.append(np.ascontiguousarray(table.corners[:, places].T))
        generation = self._generation
        self._busy, self._again = True, False
        self._jobs.call(
            lambda: compare_finds(ids[0], boxes[0], ids[1], boxes[1]),
            on_done=lambda result: self._on_matched(generation, result),
            on_failed=self._on_failed,
        )

    def _on_matched(self, generation: int, result: RunComparison) -> None:
        self._busy = False
        if self._again:
            self._match()
        if generation == self._generation and self.runs is not None:
            self._result = result
            self._show()

    def _on_failed(self, error: BaseException) -> None:
        self._busy = False
        self.end()
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        result = self._result
        if result is None:
            self.changed.emit()
            return
        parts = {BOTH: result.both[:, 0], FIRST: result.only_first, SECOND: result.only_second}
        wanted = [ids for part, ids in parts.items() if part in self.shown_parts]
        self._limit(np.concatenate(wanted) if wanted else np.empty(0, np.int64))
        table = self._session.table
        passing = self._session.shown.passes(table.rows, limited=False)
        ids = table.rows["id"][passing]
        self.counts = {part: _count(ids, found) for part, found in parts.items()}
        self.found = (
            self.counts[BOTH] + self.counts[FIRST],
            _count(ids, result.both[:, 1]) + self.counts[SECOND],
        )
        self.changed.emit()

    def _limit(self, ids: np.ndarray | None) -> None:
        self._applying = True
        try:
            self._session.shown.limit(ids)
        finally:
            self._applying = False

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_filter_changed(self) -> None:
        if self.runs is None or self._applying:
            return
        if self._result is not None and not self._session.shown.limited:  # a person asked for everything
            self.end()
        else:
            self._soon.start()

    def _on_boxes_changed(self, _change: object) -> None:
        if self.runs is not None and not self._soon.isActive():
            self._soon.start()

    def _on_runs_changed(self) -> None:
        project = self._session.project
        if self.runs is None or project is None:
            return
        there = {run.id: run for run in project.runs}
        if any(run.id not in there for run in self.runs):
            self.end()
        else:
            self.runs = there[self.runs[0].id], there[self.runs[1].id]


def _count(known: np.ndarray, ids: np.ndarray) -> int:
    """How many of ``ids`` are in ``known``, which is sorted and holds none twice."""
    if len(known) == 0 or len(ids) == 0:
        return 0
    return int((known[np.minimum(np.searchsorted(known, ids), len(known) - 1)] == ids).sum())
